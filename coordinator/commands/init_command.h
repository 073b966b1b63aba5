// `runnel-coordinator init`: makes a fleet's state folder, with its keys, its plan, its model and its store.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "coordinator/config/fleet_plan.h"
#include "coordinator/state_folder.h"
#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace runnel::coordinator {

// What the command line says on top of the plan file, or of the defaults.
struct PlanOverrides {
  std::optional<uint32_t> rounds, min_devices, cohort, quorum;
  std::optional<uint64_t> seed;
  std::optional<double> over_selection, deadline_seconds;
  std::optional<std::string> codec;
  std::optional<std::string> coder;
  std::optional<uint32_t> levels, bucket;
  std::optional<double> bits;
  std::optional<double> downlink_bits;
  std::optional<float> step, keep;
  bool rotate = false, error_feedback = false;
  std::optional<uint32_t> local_epochs, local_steps, batch_size;
  std::optional<float> learning_rate, learning_rate_end, momentum, weight_decay, proximal_mu;
  std::optional<std::string> schedule;
  std::optional<std::string> rate, late;
  std::optional<float> error_share, resolution;
  std::optional<uint64_t> budget_bytes;
  std::optional<double> horizon;
  bool no_rate_deadline = false, save_time = false, per_layer = false;
};

// kUnknownName or kOutOfRange, naming the option; `plan` is then half changed.
Failure apply_overrides(const PlanOverrides& given, FleetPlan& plan);

struct InitOptions {
  std::string state_folder = kDefaultStateFolder;
  std::string model = "sensor-cnn";  // a built-in model's name, or a path to a model.toml
  std::string plan_path;             // empty: defaults
  std::string fleet_name = "runnel-fleet";
  PlanOverrides plan;
};

// Adds the subcommand and its options; they are written to `options`, which must outlive the parsing.
CLI::App* add_init_command(CLI::App& app, InitOptions& options);

// Makes the folder (0700) and everything in it. kDuplicate, with nothing touched, if there is a fleet already, or
// anything else; after any other failure what was made is removed again.
Failure init_fleet(const InitOptions& options, std::ostream& out);

}  // namespace runnel::coordinator
