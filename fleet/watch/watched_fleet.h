// A run that others started, as a RunRecord: what its coordinator, its devices and their links write into a folder.
//
// Files: coordinator.events, d00.events, d00.link and so on; the last from `runnel-fleet shape`. A device that is
// stopped and started again goes on in the same files; its link's counters begin anew and are added up.
//
// Time: seconds since the watch began, passed in. Threads: one.
#pragma once

#include <string>
#include <vector>

#include "fleet/fleet_run.h"
#include "fleet/run_config.h"
#include "fleet/run_recorder.h"
#include "fleet/watch/followed_file.h"

namespace runnel::fleet {

class WatchedFleet {
 public:
  WatchedFleet(const RunConfig& config, const std::string& folder, RunObserver& observer);

  // Takes in what has been written since.
  void read_new(double now_s);

  // The run is finished, and every device has heard of it.
  bool all_done() const;
  bool finished() const { return recorder_.record().finished; }

  // Closes what is open; the record is complete then.
  const RunRecord& close(double now_s);
  const RunRecord& record() const { return recorder_.record(); }

 private:
  struct WatchedDevice {
    FollowedFile events;
    FollowedFile link;
    LinkEvent newest;       // of the running program
    LinkCounters before;    // of the programs that ended
    MeasuredLink measured;  // of the programs that ended
    bool seen = false;
    bool done = false;
  };

  void coordinator_event(const Event& event, double now_s);
  void device_event(size_t index, const Event& event, double now_s);
  void link_event(size_t index, const LinkEvent& event, double now_s);
  void common_event(const std::string& name, const Event& event);

  RunRecorder recorder_;
  RunObserver& observer_;
  FollowedFile coordinator_;
  std::vector<WatchedDevice> devices_;
};

}  // namespace runnel::fleet
