#include "fleet/watch/watched_fleet.h"

#include <algorithm>
#include <utility>

#include "fleet/program_arguments.h"

namespace runnel::fleet {
namespace {

MeasuredRate sum(const MeasuredRate& one, const MeasuredRate& other) {
  return {one.busy_s + other.busy_s, one.bytes + other.bytes, one.profile_bytes + other.profile_bytes};
}

}  // namespace

WatchedFleet::WatchedFleet(const RunConfig& config, const std::string& folder, RunObserver& observer)
    : recorder_(config, codec_label(config)), observer_(observer), coordinator_(folder + "/coordinator.events") {
  for (uint32_t i = 0; i < config.devices; ++i) {
    const std::string path = folder + "/" + device_name(i, config.devices);
    devices_.push_back({FollowedFile(path + ".events"), FollowedFile(path + ".link"), {}, {}, {}, false, false});
  }
}

void WatchedFleet::read_new(double now_s) {
  recorder_.record().elapsed_s = now_s;
  for (size_t i = 0; i < devices_.size(); ++i) {
    for (const Event& event : devices_[i].link.read_new()) {
      if (const auto* link = std::get_if<LinkEvent>(&event)) link_event(i, *link, now_s);
    }
    for (const Event& event : devices_[i].events.read_new()) device_event(i, event, now_s);
  }
  for (const Event& event : coordinator_.read_new()) coordinator_event(event, now_s);
}

void WatchedFleet::coordinator_event(const Event& event, double now_s) {
  if (const auto* started = std::get_if<StartedEvent>(&event)) {
    recorder_.started(*started, now_s);
  } else if (const auto* closed = std::get_if<RoundClosedEvent>(&event)) {
    recorder_.round_closed(closed->round, now_s);
  } else if (const auto* round = std::get_if<RoundEvent>(&event)) {
    if (recorder_.round(*round, now_s)) observer_.on_round(recorder_.record());
  } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
    recorder_.finished(*finished, now_s);
  } else {
    common_event("runnel-coordinator", event);
  }
}

void WatchedFleet::device_event(size_t index, const Event& event, double now_s) {
  DeviceRecord& device = recorder_.record().devices[index];
  if (const auto* state = std::get_if<StateEvent>(&event)) {
    recorder_.device_state(index, state->state, state->round, now_s);
  } else if (const auto* memory = std::get_if<MemoryEvent>(&event)) {
    device.arena_bytes = std::max(device.arena_bytes, memory->arena_bytes);
  } else if (const auto* evaluated = std::get_if<EvaluatedEvent>(&event)) {
    recorder_.evaluated(index, *evaluated);
  } else if (const auto* rate = std::get_if<RateEvent>(&event)) {
    recorder_.rate(index, *rate);
  } else if (const auto* done = std::get_if<DoneEvent>(&event)) {
    device.updates_acknowledged += done->updates_acknowledged;
    devices_[index].done = true;
  } else {
    common_event(device.name, event);
  }
}

void WatchedFleet::link_event(size_t index, const LinkEvent& event, double now_s) {
  WatchedDevice& watched = devices_[index];
  DeviceRecord& device = recorder_.record().devices[index];
  if (event.first && watched.seen) {
    watched.before = device.link;
    watched.measured = device.measured.value_or(MeasuredLink{});
    ++device.restarts;
    observer_.on_notice(recorder_.record(), device.name + " is started again");
  }
  const bool was_dark = watched.newest.outage && watched.seen;
  watched.seen = true;
  watched.newest = event;
  LinkCounters counters = watched.before;
  counters.uplink_bytes += event.uplink_bytes;
  counters.downlink_bytes += event.downlink_bytes;
  LinkState state;
  state.up_kbps = event.up_kbps;
  state.down_kbps = event.down_kbps;
  state.outage = event.outage;
  recorder_.link(index, counters, state);
  device.measured = MeasuredLink{sum(watched.measured.up, event.up), sum(watched.measured.down, event.down),
                                 watched.measured.drops + event.drops};
  device.rss_bytes_max = std::max(device.rss_bytes_max, event.rss_bytes_max);
  if (event.outage == was_dark) return;
  recorder_.link_notice(index, event.outage, now_s);
  observer_.on_notice(recorder_.record(), device.name + (event.outage ? ": the link is down" : ": the link is back"));
}

void WatchedFleet::common_event(const std::string& name, const Event& event) {
  std::string text;
  if (const auto* warning = std::get_if<WarningEvent>(&event)) text = warning->text;
  if (const auto* malformed = std::get_if<MalformedEvent>(&event)) text = malformed->text;
  if (text.empty()) return;
  recorder_.warning(name + ": " + text);
  observer_.on_notice(recorder_.record(), name + ": " + text);
}

bool WatchedFleet::all_done() const {
  return finished() &&
         std::all_of(devices_.begin(), devices_.end(), [](const WatchedDevice& each) { return each.done; });
}

const RunRecord& WatchedFleet::close(double now_s) {
  recorder_.close(now_s);
  return recorder_.record();
}

}  // namespace runnel::fleet
