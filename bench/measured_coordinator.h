// The real coordinator program with a fleet of its own in a folder, for measuring it from outside.
//
// Threads: one (it forks).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bench/process_figures.h"
#include "fleet/child_process.h"

namespace runnel::bench {

struct MeasuredOptions {
  std::string program;            // runnel-coordinator
  std::string folder;             // work folder; a fleet that is there already with enough devices is taken again
  uint32_t devices = 0;           // to be enrolled: load_device_name(0), ...
  uint32_t min_devices = 0;       // that the first round waits for
  std::string model_toml;         // the fleet's model
  std::vector<std::string> plan;  // further words for init
};

class MeasuredCoordinator {
 public:
  // Makes the fleet, enrols the devices and starts the program. Throws std::runtime_error or fleet::FleetError.
  explicit MeasuredCoordinator(const MeasuredOptions& options);

  void start();
  const std::string& endpoint() const { return endpoint_; }
  std::string bundles() const { return state() + "/bundles"; }
  std::string state() const { return options_.folder + "/fleet"; }
  ProcessFigures figures() const { return figures_of(process_->pid()); }
  // Throws when the program has ended.
  void require_running();
  void stop();

 private:
  void run_to_end(const std::vector<std::string>& words, const std::string& log);

  MeasuredOptions options_;
  std::string endpoint_;
  std::optional<fleet::ChildProcess> process_;
};

}  // namespace runnel::bench
