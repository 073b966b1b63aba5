#include "coordinator/engine/upload_pace.h"

#include <algorithm>

namespace runnel::coordinator {
namespace {

constexpr Duration kShortest = seconds(1);      // what a device waits at least
constexpr Duration kMeasured = seconds(1);      // of uploads that end, for one measurement
constexpr Duration kNothingEnded = seconds(2);  // before the rate is taken for half of what it was
constexpr Duration kForgotten = seconds(30);    // without anybody turned away: what was measured says nothing now
constexpr double kOverbooked = 1.25;
constexpr double kBytesPerSecondMin = 1e4;

}  // namespace

void UploadPace::handle_room(uint64_t bytes, Instant now) {
  if (measured_since_ == kNever) return;
  measured_bytes_ += bytes;
  measure(now);
}

void UploadPace::measure(Instant now) {
  const Duration elapsed = now - measured_since_;
  if (elapsed < (measured_bytes_ > 0 ? kMeasured : kNothingEnded)) return;
  const double measured = 1e6 * static_cast<double>(measured_bytes_) / static_cast<double>(elapsed.count());
  const double before = bytes_per_second_;
  bytes_per_second_ = std::max(kBytesPerSecondMin, measured_bytes_ > 0 ? measured : before / 2);
  // Turns that were given at a slower pace leave room between them.
  if (bytes_per_second_ > before && next_ > now) {
    const double ahead = static_cast<double>((next_ - now).count()) * before / bytes_per_second_;
    next_ = now + Duration(static_cast<int64_t>(ahead));
  }
  measured_bytes_ = 0;
  measured_since_ = now < next_ + kForgotten ? now : kNever;
}

Duration UploadPace::turn(uint64_t bytes, uint64_t seed, Instant now) {
  if (measured_since_ == kNever) {
    measured_since_ = now;
    measured_bytes_ = 0;
  }
  measure(now);
  if (measured_since_ == kNever) measured_since_ = now;
  const Instant last = now + longest_;
  next_ = std::max(next_, now + kShortest);
  const double step_s = static_cast<double>(bytes) / (bytes_per_second_ * kOverbooked);
  const Duration step(static_cast<int64_t>(1e6 * std::min(step_s, 1e6)));
  if (next_ > last || step > longest_) {
    const auto half = static_cast<uint64_t>(longest_.count() / 2);
    return longest_ - Duration(static_cast<int64_t>(seed % (half + 1)));
  }
  const Duration turn = next_ - now;
  next_ += step;
  return turn;
}

}  // namespace runnel::coordinator
