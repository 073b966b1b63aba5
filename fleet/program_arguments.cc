#include "fleet/program_arguments.h"

#include <algorithm>
#include <optional>

#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

using Arguments = std::vector<std::string>;

void add(Arguments& to, const char* flag, const std::string& value) {
  if (value.empty()) return;
  to.emplace_back(flag);
  to.push_back(value);
}
void add(Arguments& to, const char* flag, const std::optional<uint32_t>& value) {
  if (value) add(to, flag, std::to_string(*value));
}
void add(Arguments& to, const char* flag, const std::optional<double>& value) {
  if (value) add(to, flag, exact_number(*value));
}

void add_data(Arguments& to, const RunConfig& config) {
  add(to, "--data", config.data);
  add(to, "--split", config.split);
  add(to, "--scale", config.scale);
}

}  // namespace

std::string device_name(uint32_t index, uint32_t count) {
  const size_t digits = std::max<size_t>(2, std::to_string(std::max(count, 1U) - 1).size());
  const std::string number = std::to_string(index);
  std::string name(1 + digits - std::min(digits, number.size()), '0');
  name.front() = 'd';
  return name + number;
}

Arguments init_arguments(const RunConfig& config, const std::string& state_folder) {
  Arguments result = {"init",
                      "--state",
                      state_folder,
                      "--model",
                      config.model,
                      "--rounds",
                      std::to_string(config.rounds),
                      "--seed",
                      std::to_string(config.seed),
                      "--codec",
                      config.codec};
  add(result, "--downlink-bits", config.downlink_bits);
  if (config.codec != "fp32") {
    add(result, "--bits", config.bits);
    add(result, "--levels", config.levels);
    add(result, "--bucket", config.bucket);
    add(result, "--step", config.step);
    add(result, "--keep", config.keep_share);
    if (config.coder) add(result, "--coder", *config.coder);
    if (config.rotate) result.emplace_back("--rotate");
    if (config.error_feedback) result.emplace_back("--error-feedback");
    if (config.rate) add(result, "--rate", *config.rate);
    add(result, "--error-share", config.error_share);
    add(result, "--horizon", config.horizon);
    add(result, "--resolution", config.resolution);
    add(result, "--budget-bytes", config.budget_bytes);
    if (config.save_time) result.emplace_back("--save-time");
    if (config.per_layer) result.emplace_back("--per-layer");
  }
  if (config.late) add(result, "--late", *config.late);
  if (config.no_rate_deadline) result.emplace_back("--no-rate-deadline");
  add(result, "--epochs", config.epochs);
  add(result, "--steps", config.steps);
  add(result, "--batch", config.batch);
  add(result, "--learning-rate", config.learning_rate);
  add(result, "--learning-rate-end", config.learning_rate_end);
  if (config.schedule) add(result, "--schedule", *config.schedule);
  add(result, "--momentum", config.momentum);
  add(result, "--weight-decay", config.weight_decay);
  add(result, "--proximal-mu", config.proximal_mu);
  add(result, "--cohort", config.cohort);
  add(result, "--quorum", config.quorum);
  add(result, "--over-selection", config.over_selection);
  add(result, "--deadline", config.deadline_s);
  for (const auto& [flag, value] : config.plan_options) {
    result.push_back(flag);
    if (!value.empty()) result.push_back(value);
  }
  return result;
}

Arguments enroll_arguments(const std::vector<std::string>& names, const std::string& state_folder,
                           const std::string& endpoint, const std::string& out_folder) {
  Arguments result = {"enroll"};
  result.insert(result.end(), names.begin(), names.end());
  result.insert(result.end(), {"--state", state_folder, "--coordinator", endpoint, "--out-dir", out_folder});
  return result;
}

Arguments coordinator_arguments(const RunConfig& config, const std::string& state_folder,
                                const std::string& events_path, const std::string& dump_folder) {
  Arguments result = {"run", "--state", state_folder, "--bind", "tcp://" + config.bind + ":0"};
  add_data(result, config);
  add(result, "--events", events_path);
  add(result, "--dump-frames", dump_folder);
  if (config.insecure_plaintext) result.emplace_back("--insecure-plaintext");
  add(result, "--min-devices", std::to_string(config.devices));
  result.emplace_back("--exit-when-finished");
  return result;
}

Arguments device_arguments(const RunConfig& config, const DeviceArguments& device) {
  Arguments result = {"run",           "--bundle",     device.bundle, "--state", device.state_folder,
                      "--coordinator", device.endpoint};
  add_data(result, config);
  add(result, "--partition", config.partition);
  add(result, "--holdout", config.holdout);
  add(result, "--fine-tune", config.fine_tune);
  add(result, "--part", std::to_string(device.index));
  add(result, "--parts", std::to_string(config.devices));
  add(result, "--seed", std::to_string(config.seed));
  add(result, "--events", device.events_path);
  add(result, "--dump-frames", device.dump_folder);
  if (config.insecure_plaintext) result.emplace_back("--insecure-plaintext");
  return result;
}

}  // namespace runnel::fleet
