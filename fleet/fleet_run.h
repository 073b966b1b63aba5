// One run of a real fleet on this machine: a coordinator process, one process a device, and an emulated link between
// them.
//
// Threads: one; everything is polled. Time: the steady clock. Cleans up all its processes, however it ends.
#pragma once

#include <string>

#include "fleet/run_record.h"
#include "fleet/stop_signals.h"

namespace runnel::fleet {

// Somebody who watches a run.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  virtual void on_round(const RunRecord& record) = 0;                            // the last one of record.rounds
  virtual void on_notice(const RunRecord& record, const std::string& text) = 0;  // an outage, a restart, a warning
  virtual void on_tick(const RunRecord& record) = 0;                             // about ten times a second
};

// Runs until the coordinator has finished and every program has ended. Throws FleetError when a program dies unasked
// (with the end of its log), and Interrupted when a signal asks for the end.
RunRecord run_fleet(const RunConfig& config, RunObserver& observer, StopSignals& signals);

}  // namespace runnel::fleet
