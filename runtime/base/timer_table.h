// Named timers: an enum of reasons, each with at most one due time. The next wake-up is the minimum.
//
// `Timer` is an enum class whose last enumerator is kCount.
#pragma once

#include <array>
#include <cstddef>

#include "runtime/base/time.h"

namespace runnel {

template <typename Timer>
class TimerTable {
 public:
  TimerTable() { due_.fill(kNever); }
  void set(Timer timer, Instant due) { due_[index(timer)] = due; }
  void stop(Timer timer) { due_[index(timer)] = kNever; }
  bool is_set(Timer timer) const { return due_[index(timer)] != kNever; }

  // True once when the timer has come due; it is stopped by the asking.
  [[nodiscard]] bool take_expired(Timer timer, Instant now) {
    if (due_[index(timer)] > now || !is_set(timer)) return false;
    stop(timer);
    return true;
  }

  Instant next_timeout() const {
    Instant next = kNever;
    for (const Instant due : due_) {
      if (due < next) next = due;
    }
    return next;
  }

 private:
  static constexpr size_t index(Timer timer) { return static_cast<size_t>(timer); }
  std::array<Instant, static_cast<size_t>(Timer::kCount)> due_;
};

}  // namespace runnel
