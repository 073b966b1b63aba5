#include "fleet/netns/link_plan.h"

#include <algorithm>
#include <cmath>

namespace runnel::fleet {
namespace {

constexpr double kFrameBytesMax = 1600.0;  // one Ethernet frame, with room for tags
constexpr double kBurstS = 0.01;
constexpr double kQueueS = 0.5;
constexpr double kQueueFrames = 8.0;
constexpr double kLengthMinS = 1.0;
constexpr double kBurstsMin = 8.0;                // a setting lasts at least so many times what its burst takes
constexpr double kBytesPerSecondMax = 1.25e9;     // "unlimited": 10 Gbit/s
constexpr uint32_t kOutageBytesPerSecond = 1;     // the filter knows no rate of 0
constexpr double kBytesPerSecondPerKbps = 125.0;  // kbps = 1000 bit/s

double seconds_of(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

double bytes_per_second(double kbps) {
  return std::min(kbps * kBytesPerSecondPerKbps, kBytesPerSecondMax);
}

double burst_of(double rate) {
  return std::max(kFrameBytesMax, rate * kBurstS);
}

double length_min_s(double up_kbps, double down_kbps) {
  const double slowest = std::max(bytes_per_second(std::min(up_kbps, down_kbps)), 1.0);
  return std::max(kLengthMinS, kBurstsMin * burst_of(slowest) / slowest);
}

// Unlimited rates would make a mean of infinity times zero.
double finite_kbps(double kbps) {
  return std::min(kbps, kBytesPerSecondMax / kBytesPerSecondPerKbps);
}

}  // namespace

LinkSetting next_setting(const RateTrace& trace, Duration position) {
  LinkState state = trace.at(position);
  LinkSetting setting{state.remaining, state.down_kbps, state.up_kbps, state.outage};
  if (setting.outage) return setting;
  double down = finite_kbps(state.down_kbps) * seconds_of(state.remaining);
  double up = finite_kbps(state.up_kbps) * seconds_of(state.remaining);
  while (seconds_of(setting.length) < length_min_s(setting.up_kbps, setting.down_kbps) &&
         setting.length < trace.length()) {
    state = trace.at(position + setting.length);
    if (state.outage) break;
    down += finite_kbps(state.down_kbps) * seconds_of(state.remaining);
    up += finite_kbps(state.up_kbps) * seconds_of(state.remaining);
    setting.length += state.remaining;
    setting.down_kbps = down / seconds_of(setting.length);
    setting.up_kbps = up / seconds_of(setting.length);
  }
  return setting;
}

QueueSetting queue_setting(double kbps, const LinkSetting& setting) {
  if (setting.outage) return {kOutageBytesPerSecond, static_cast<uint32_t>(kFrameBytesMax), 1};
  const double rate = bytes_per_second(kbps);
  const double burst = burst_of(rate);
  const double given = burst / std::max(seconds_of(setting.length), 1e-3);
  const double limit = std::max(kQueueFrames * kFrameBytesMax, rate * kQueueS);
  return {static_cast<uint32_t>(std::lround(std::max({rate - given, rate / 2.0, 1.0}))), static_cast<uint32_t>(burst),
          static_cast<uint32_t>(std::min(limit, 1e9))};
}

CarriedBytes carried_bytes(const RateTrace& trace, Duration from, Duration to) {
  CarriedBytes sum;
  while (from < to) {
    const LinkState state = trace.at(from);
    const Duration part = std::min(state.remaining, to - from);
    sum.up += bytes_per_second(state.up_kbps) * seconds_of(part);
    sum.down += bytes_per_second(state.down_kbps) * seconds_of(part);
    from += part;
  }
  return sum;
}

void RateMeter::sample(Duration position, const QueueCounters& up, const QueueCounters& down) {
  if (begun_ && position > last_position_) {
    bool dark = false;
    for (Duration at = last_position_; at < position && !dark; at += trace_.at(at).remaining) {
      dark = trace_.at(at).outage;
    }
    const CarriedBytes carried = carried_bytes(trace_, last_position_, position);
    const double interval_s = seconds_of(position - last_position_);
    const auto add = [&](MeasuredRate& rate, const QueueCounters& before, const QueueCounters& after, double profile) {
      if (dark || before.backlog_bytes == 0 || after.backlog_bytes == 0 || after.bytes < before.bytes) return;
      rate.busy_s += interval_s;
      rate.bytes += static_cast<double>(after.bytes - before.bytes);
      rate.profile_bytes += profile;
    };
    add(up_, last_up_, up, carried.up);
    add(down_, last_down_, down, carried.down);
  }
  begun_ = true;
  last_position_ = position;
  last_up_ = up;
  last_down_ = down;
}

}  // namespace runnel::fleet
