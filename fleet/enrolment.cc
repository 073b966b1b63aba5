#include "fleet/enrolment.h"

#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "fleet/child_process.h"
#include "fleet/fleet_error.h"
#include "fleet/program_arguments.h"

namespace runnel::fleet {
namespace fs = std::filesystem;
namespace {

constexpr size_t kNamesPerCall = 256;

void run_to_end(const ChildOptions& options, const std::string& who, StopSignals& signals) {
  ChildProcess child = ChildProcess::start(options);
  for (;;) {
    if (const auto status = child.poll_exit()) {
      if (!status->clean()) throw FleetError(death_notice(who, status->text(), options.log_path));
      return;
    }
    signals.wait(100);
  }
}

// The bundle of a name, whatever ending the coordinator gave the file.
fs::path find_bundle(const fs::path& folder, const std::string& name) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename() == name || entry.path().stem() == name) return entry.path();
  }
  throw FleetError("runnel-coordinator enroll wrote no bundle for " + name + " in " + folder.string());
}

}  // namespace

Programs find_programs(const std::string& folder) {
  std::error_code error;
  fs::path where = folder;
  if (folder.empty()) {
    where = fs::read_symlink("/proc/self/exe", error).parent_path();
    if (error) throw FleetError("cannot tell where this program is: " + error.message());
  }
  const Programs programs{(where / "runnel-coordinator").string(), (where / "runnel-device").string()};
  for (const std::string& each : {programs.coordinator, programs.device}) {
    if (::access(each.c_str(), X_OK) != 0) {
      throw FleetError(each + " is not there or not executable; build it, or say where it is with --bin FOLDER");
    }
  }
  return programs;
}

Enrolment enroll_fleet(const Programs& programs, const RunConfig& config, const WorkFolder& work,
                       const std::string& endpoint, StopSignals& signals) {
  Enrolment enrolment;
  enrolment.coordinator_state = work.folder("coordinator");
  const fs::path bundles = work.folder("bundles");
  const std::string log = (work.folder("logs") / "setup.log").string();
  run_to_end({programs.coordinator, init_arguments(config, enrolment.coordinator_state.string()), log},
             "runnel-coordinator init", signals);
  std::vector<std::string> names;
  for (uint32_t i = 0; i < config.devices; ++i) names.push_back(device_name(i, config.devices));
  for (size_t first = 0; first < names.size(); first += kNamesPerCall) {
    const size_t end = std::min(first + kNamesPerCall, names.size());
    const std::vector<std::string> some(names.begin() + static_cast<std::ptrdiff_t>(first),
                                        names.begin() + static_cast<std::ptrdiff_t>(end));
    run_to_end({programs.coordinator,
                enroll_arguments(some, enrolment.coordinator_state.string(), endpoint, bundles.string()), log},
               "runnel-coordinator enroll", signals);
  }
  for (const std::string& name : names) enrolment.bundles.push_back(find_bundle(bundles, name));
  return enrolment;
}

std::string death_notice(const std::string& who, const std::string& how, const std::string& log_path) {
  const std::string tail = log_tail(log_path);
  if (tail.empty()) return who + " " + how + "; its log is empty";
  return who + " " + how + "; the end of its log:\n" + tail;
}

}  // namespace runnel::fleet
