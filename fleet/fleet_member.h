// One of a run's programs, over its restarts: how it is started, its process, its events, and how it is stopped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fleet/child_process.h"
#include "fleet/event_stream.h"
#include "runtime/base/time.h"

namespace runnel::fleet {

struct FleetMember {
  std::string name;
  ChildOptions options;
  std::optional<ChildProcess> process;
  EventStream events;
  std::optional<Instant> restart_at;  // killed on purpose, to come back then
  bool kill_expected = false;
  bool done = false;  // ended, and not to come back
  uint64_t rss_bytes_max = 0;

  bool running() const { return process && process->running(); }

  // Throws FleetError when the program cannot be started.
  void start();

  // kill -9; REQUIRES: running().
  void kill_on_purpose();

  // Its status, once, when it has ended.
  std::optional<ExitStatus> poll_exit();

  void retire();
};

// Ends all that run: SIGTERM, three seconds, then SIGKILL. Returns when all are gone.
void stop_members(const std::vector<FleetMember*>& members);

}  // namespace runnel::fleet
