// What is going to happen in a simulation, in the order of virtual time; of two things at the same time, the one that
// was planned first.
//
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <tuple>
#include <vector>

#include "runtime/base/time.h"

namespace runnel::fleet {

class Happenings {
 public:
  // kNever is not kept.
  void plan(Instant at, std::function<void()> what) {
    if (at == kNever) return;
    queue_.push_back({at, ++order_, std::move(what)});
    std::push_heap(queue_.begin(), queue_.end(), later);
  }

  bool empty() const { return queue_.empty(); }
  Instant next_at() const { return queue_.front().at; }  // REQUIRES: !empty()

  // Takes the next one out. REQUIRES: !empty().
  std::function<void()> take() {
    std::pop_heap(queue_.begin(), queue_.end(), later);
    std::function<void()> what = std::move(queue_.back().what);
    queue_.pop_back();
    return what;
  }

 private:
  struct Happening {
    Instant at;
    uint64_t order;
    std::function<void()> what;
  };
  static bool later(const Happening& a, const Happening& b) {
    return std::tie(a.at, a.order) > std::tie(b.at, b.order);
  }
  std::vector<Happening> queue_;  // a heap
  uint64_t order_ = 0;
};

}  // namespace runnel::fleet
