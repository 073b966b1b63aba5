// Pace steering (Bonawitz et al. 2019, "Towards federated learning at scale", section 2.3): when a device that has
// nothing to do should be back, so that its radio may sleep, the next round has its devices, and they do not all return
// in the same second.
//
// A round lasts about as long as the median of the last five. A device is asked back when the next one is due; where
// there are many more devices than a round takes, so much later that about twice as many come as it takes. Spread by
// the device's name and the round, not by chance: a restarted coordinator says the same. Threads: one at a time.
// Memory: the names of the devices that are away.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "coordinator/store/store.h"
#include "runtime/base/time.h"

namespace runnel::coordinator {

class Pace {
 public:
  // `history`: the closed rounds, ascending.
  Pace(const FleetPlan& plan, const std::vector<RoundHistory>& history);

  void handle_closed(double seconds);

  struct Rest {
    Duration come_back{};
    bool counts = true;  // it may be drawn for a round that opens before it is back
  };
  // For a device without work in the open round, `elapsed` after that opened and `time_left` before its deadline.
  // `connected`: devices with a session. nullopt: not worth a disconnection, or no round has shown yet how long one
  // takes.
  std::optional<Rest> rest(const std::string& device, uint32_t round, size_t connected, Duration elapsed,
                           Duration time_left) const;

  // The device was told so, and is away until then.
  void handle_resting(const std::string& device, const Rest& rest, Instant now);
  // It is back, early or in time.
  void handle_back(const std::string& device);

  // Forgets those who are overdue, and says who may no longer be drawn for it.
  std::vector<std::string> take_overdue(Instant now);
  // Not after the next one is overdue.
  Instant next_overdue() const { return next_overdue_; }

  // Devices that must be there for a round to open, of `selectable` that are: as many as it takes, if they are coming.
  size_t needed(size_t selectable) const;
  size_t away_count() const { return away_.size(); }

 private:
  struct Away {
    Instant overdue{};
    bool counts = true;
  };
  size_t wanted() const;  // devices that a round asks; 0 = all

  PaceSpec spec_;
  uint32_t cohort_;
  double over_selection_;
  uint64_t seed_;
  std::deque<double> seconds_;  // of the newest rounds
  std::map<std::string, Away> away_;
  size_t coming_ = 0;  // of those away, without which a round does not open
  Instant next_overdue_ = kNever;
};

}  // namespace runnel::coordinator
