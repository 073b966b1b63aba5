// What happens before a run: the coordinator's state is made, and every device gets its bundle of credentials.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "fleet/run_config.h"
#include "fleet/stop_signals.h"
#include "fleet/work_folder.h"

namespace runnel::fleet {

struct Programs {
  std::string coordinator;
  std::string device;
};

// In `folder`, or next to this program when it is empty. Throws FleetError naming the one that is missing.
Programs find_programs(const std::string& folder);

struct Enrolment {
  std::filesystem::path coordinator_state;
  std::vector<std::filesystem::path> bundles;  // of device 0, 1, ...
};

// Runs `runnel-coordinator init` and `enroll`. Throws FleetError with the end of the log when one fails.
Enrolment enroll_fleet(const Programs& programs, const RunConfig& config, const WorkFolder& work,
                       const std::string& endpoint, StopSignals& signals);

// "NAME exited with code 1 ..." and the end of its log, for a program that died.
std::string death_notice(const std::string& who, const std::string& how, const std::string& log_path);

}  // namespace runnel::fleet
