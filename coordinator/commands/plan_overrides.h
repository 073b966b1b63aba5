// What a command line says about a fleet's plan, on top of the plan file or of the defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator/config/fleet_plan.h"
#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace runnel::coordinator {

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
  std::optional<float> learning_rate, learning_rate_end, momentum, weight_decay, proximal_mu, scaffold_share;
  std::optional<std::string> schedule, optimizer;
  std::optional<float> beta1, beta2, epsilon, clip_gradient;
  std::optional<uint32_t> accumulate, warmup_rounds;
  std::optional<std::string> rate, late;
  std::optional<float> error_share, resolution;
  std::optional<uint64_t> budget_bytes;
  std::optional<double> horizon;
  bool no_rate_deadline = false, save_time = false, per_layer = false;
  std::optional<std::string> policy;
  std::optional<double> grace_seconds, staleness_exponent;
  std::optional<uint32_t> staleness_max, buffer, offline_updates;
  std::optional<std::string> aggregation;
  std::optional<double> clip_norm, trim;
  std::optional<uint32_t> byzantine, krum_keep;
  std::optional<std::string> server_optimizer;
  std::optional<double> server_learning_rate, server_momentum, server_beta1, server_beta2, server_tau;
  bool nesterov = false;
  bool come_back = false;
  std::optional<double> come_back_seconds;
  std::optional<uint32_t> ping_seconds;
};

// kUnknownName or kOutOfRange, naming the option; `plan` is then half changed.
Failure apply_overrides(const PlanOverrides& given, FleetPlan& plan);

// Adds an option for each; they are written to `plan`, which must outlive the parsing.
void add_plan_options(CLI::App& command, PlanOverrides& plan);

}  // namespace runnel::coordinator
