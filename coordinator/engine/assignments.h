// Who works on which version of the model, when rounds are buffered: a device gets a plan when it has nothing else to
// do, whatever the others are doing.
//
// A device is away, idle or assigned. It stays assigned, also while it is away, until its update is settled, its plan's
// time is over, or the model has moved on too far; new rounds leave it alone. Whoever is idle longest is assigned
// first, by name among equals, and a device whose update of the open round is settled rests until the next: training
// again on the same version would say the same again.
// Threads: one at a time. Memory: a few hundred bytes a device. Time: passed in; none of it decides a bit of the model.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/base/time.h"

namespace runnel::coordinator {

class Assignments {
 public:
  // At most `concurrent_max` devices work at once; 0 = all that are there.
  explicit Assignments(uint32_t concurrent_max) : concurrent_max_(concurrent_max) {}

  // The device can be reached and may train.
  void handle_available(Instant now, const std::string& device);
  // It cannot, for now; what it is working on is still its own.
  void handle_away(const std::string& device);
  // Nothing of the device is outstanding any more; with `round` != 0, its update of that round is accepted or refused.
  void handle_settled(Instant now, const std::string& device, uint32_t round);
  // The device is found to have an update of that version on its way, which nobody here assigned (before a restart).
  void handle_found_working(const std::string& device, uint64_t version, Instant until);
  // A round has opened. Whoever works on a version below `version_min` is idle again.
  void handle_round(Instant now, uint32_t round, uint64_t version_min);
  // Whoever has had its time is idle again.
  void handle_timeout(Instant now);
  Instant next_timeout() const { return assigned_.empty() ? kNever : assigned_.begin()->first; }

  // The next device that is to work on `version` until then, and is assigned with this call; nullopt when there is
  // none.
  std::optional<std::string> poll(uint64_t version, Instant until);

  // When the device's plan ends; nullopt if it is not assigned.
  std::optional<Instant> until(const std::string& device) const;
  uint64_t version(const std::string& device) const;  // that it works on; 0 if it is not assigned
  size_t assigned_count() const { return assigned_.size(); }
  size_t idle_count() const { return idle_.size(); }

 private:
  struct Work {
    Instant since{};  // idle since
    Instant until{};  // of its plan
    uint64_t version = 0;
    uint32_t done_round = 0;  // newest whose update is settled
    bool available = false;
    bool assigned = false;
  };
  void release(Instant now, const std::string& device, Work& work);
  void rest(const std::string& device, Work& work);

  uint32_t concurrent_max_;
  uint32_t round_ = 0;
  std::unordered_map<std::string, Work> work_;
  std::set<std::pair<Instant, std::string>> idle_;      // by how long
  std::set<std::pair<Instant, std::string>> assigned_;  // by when their time is over
  std::vector<std::string> resting_;                    // until the next round; some may have left meanwhile
};

}  // namespace runnel::coordinator
