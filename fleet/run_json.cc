#include "fleet/run_json.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "fleet/fleet_error.h"
#include "fleet/link_table.h"

namespace runnel::fleet {
namespace {

using nlohmann::ordered_json;

template <typename T>
ordered_json maybe(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

const char* start_order_name(StartOrder order) {
  switch (order) {
    case StartOrder::kForward:
      return "forward";
    case StartOrder::kReverse:
      return "reverse";
    case StartOrder::kRandom:
      return "random";
  }
  return "forward";
}

ordered_json config_json(const RunConfig& config) {
  ordered_json result;
  result["devices"] = config.devices;
  result["start_order"] = start_order_name(config.start_order);
  result["profile"] = config.trace_file.empty() ? ordered_json(config.profile) : ordered_json(nullptr);
  result["trace"] = config.trace_file.empty() ? ordered_json(nullptr) : ordered_json(config.trace_file);
  result["data"] = config.data;
  result["partition"] = config.partition;
  result["split"] = config.split;
  result["scale"] = config.scale;
  result["model"] = config.model;
  result["rounds"] = config.rounds;
  result["seed"] = config.seed;
  result["epochs"] = maybe(config.epochs);
  result["steps"] = maybe(config.steps);
  result["batch"] = maybe(config.batch);
  result["learning_rate"] = maybe(config.learning_rate);
  result["momentum"] = maybe(config.momentum);
  result["weight_decay"] = maybe(config.weight_decay);
  result["proximal_mu"] = maybe(config.proximal_mu);
  result["cohort"] = maybe(config.cohort);
  result["quorum"] = maybe(config.quorum);
  result["over_selection"] = maybe(config.over_selection);
  result["deadline"] = maybe(config.deadline_s);
  result["codec"] = config.codec;
  const bool quantized = config.codec != "fp32";
  result["bits"] = quantized ? maybe(config.bits) : ordered_json(nullptr);
  result["levels"] = quantized ? maybe(config.levels) : ordered_json(nullptr);
  result["bucket"] = quantized ? maybe(config.bucket) : ordered_json(nullptr);
  result["step"] = quantized ? maybe(config.step) : ordered_json(nullptr);
  result["keep_share"] = quantized ? maybe(config.keep_share) : ordered_json(nullptr);
  result["rotate"] = quantized && config.rotate;
  result["error_feedback"] = quantized && config.error_feedback;
  result["rate"] = quantized ? maybe(config.rate) : ordered_json(nullptr);
  result["budget_bytes"] = quantized ? maybe(config.budget_bytes) : ordered_json(nullptr);
  result["error_share"] = quantized ? maybe(config.error_share) : ordered_json(nullptr);
  result["horizon"] = quantized ? maybe(config.horizon) : ordered_json(nullptr);
  result["rate_deadline"] = !config.no_rate_deadline;
  result["plan_options"] = ordered_json::object();
  for (const auto& [flag, value] : config.plan_options) result["plan_options"][flag] = value;
  result["secure"] = !config.insecure_plaintext;
  result["kill_every_s"] = config.kill_every_s;
  result["cut_every_s"] = config.cut_every_s;
  result["kill_device"] = config.faults.device_texts();
  result["kill_coordinator"] = maybe(config.faults.coordinator_round());
  return result;
}

ordered_json round_json(const RoundRecord& round) {
  return {{"round", round.round},
          {"accuracy", maybe(round.accuracy)},
          {"loss", maybe(round.loss)},
          {"value", maybe(round.value)},
          {"participants", round.participants},
          {"uplink_bytes", round.uplink_bytes},
          {"downlink_bytes", round.downlink_bytes},
          {"bits_per_coordinate", round.bits_per_coordinate},
          {"seconds", round.duration_s}};
}

ordered_json rate_json(const RateEvent& rate) {
  return {{"round", rate.round},
          {"outcome", rate.outcome},
          {"bound", rate.bound},
          {"bits", rate.bits},
          {"step", rate.step},
          {"predicted_bytes", rate.predicted_bytes},
          {"message_bytes", rate.message_bytes},
          {"budget_bytes", maybe(rate.budget_bytes)},
          {"link_bytes", maybe(rate.link_bytes)},
          {"goodput", maybe(rate.goodput)},
          {"goodput_low", maybe(rate.goodput_low)},
          {"goodput_high", maybe(rate.goodput_high)},
          {"seconds_left", rate.seconds_left}};
}

ordered_json evaluated_json(const std::optional<EvaluatedEvent>& found) {
  if (!found) return nullptr;
  return {{"round", found->round},
          {"metric", found->metric},
          {"examples", found->examples},
          {"loss_before", found->loss_before},
          {"value_before", found->value_before},
          {"loss_after", found->loss_after},
          {"value_after", found->value_after},
          {"tuned_steps", found->tuned_steps},
          {"loss_tuned", maybe(found->loss_tuned)},
          {"value_tuned", maybe(found->value_tuned)}};
}

ordered_json measured_json(const std::optional<MeasuredLink>& measured) {
  if (!measured) return nullptr;
  const auto rate = [](const MeasuredRate& each) {
    return ordered_json{{"busy_s", each.busy_s},
                        {"bytes", each.bytes},
                        {"profile_bytes", each.profile_bytes},
                        {"ratio", maybe(rate_ratio(each))}};
  };
  return {{"up", rate(measured->up)}, {"down", rate(measured->down)}, {"drops", measured->drops}};
}

ordered_json device_json(const DeviceRecord& device) {
  ordered_json outages = ordered_json::array();
  for (const Outage& each : device.outages) outages.push_back({each.begin_s, each.end_s});
  ordered_json rates = ordered_json::array();
  for (const RateEvent& each : device.rates) rates.push_back(rate_json(each));
  return {{"name", device.name},
          {"uplink_bytes", device.link.uplink_bytes},
          {"downlink_bytes", device.link.downlink_bytes},
          {"connections", device.link.connections},
          {"refused", device.link.refused},
          {"cuts", device.link.cuts},
          {"measured_link", measured_json(device.measured)},
          {"rss_bytes_max", device.rss_bytes_max},
          {"arena_bytes", device.arena_bytes},
          {"updates_acknowledged", device.updates_acknowledged},
          {"restarts", device.restarts},
          {"evaluated", evaluated_json(device.evaluated)},
          {"outages", outages},
          {"rates", rates}};
}

ordered_json final_json(const RunRecord& record) {
  uint64_t rss_bytes_max = 0;
  for (const DeviceRecord& device : record.devices) rss_bytes_max = std::max(rss_bytes_max, device.rss_bytes_max);
  const auto count = static_cast<double>(std::max<size_t>(record.devices.size(), 1));
  return {{"accuracy", maybe(record.accuracy)},
          {"loss", maybe(record.loss)},
          {"metric", record.metric},
          {"value", maybe(record.value)},
          {"confusion", record.confusion},
          {"model_sha256", record.model_sha256},
          {"parameters", record.parameters},
          {"uplink_bytes_per_device", static_cast<double>(record.uplink_bytes()) / count},
          {"downlink_bytes_per_device", static_cast<double>(record.downlink_bytes()) / count},
          {"device_rss_bytes_max", rss_bytes_max},
          {"coordinator_rss_bytes_max", record.coordinator_rss_bytes_max},
          {"seconds", record.elapsed_s},
          {"training_seconds", record.finished_at_s - record.training_began_s}};
}

ordered_json record_json(const RunRecord& record) {
  ordered_json rounds = ordered_json::array();
  for (const RoundRecord& each : record.rounds) rounds.push_back(round_json(each));
  ordered_json devices = ordered_json::array();
  for (const DeviceRecord& each : record.devices) devices.push_back(device_json(each));
  ordered_json result;
  result["config"] = config_json(record.config);
  result["rounds"] = std::move(rounds);
  result["final"] = final_json(record);
  result["devices"] = std::move(devices);
  result["coordinator_restarts"] = record.coordinator_restarts;
  result["warnings"] = record.warnings;
  return result;
}

}  // namespace

std::string run_json(const RunRecord& record, const RunRecord* comparison, const RunContext& context) {
  ordered_json result = record_json(record);
  result["command"] = context.command;
  result["machine"] = context.machine;
  if (comparison != nullptr) result["comparison"] = record_json(*comparison);
  // A child may write any bytes into a warning; what is not UTF-8 is replaced.
  return result.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

void write_text_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  if (!file) throw system_error("cannot write " + path);
  file << text;
  file.close();
  if (!file) throw system_error("cannot write " + path);
}

}  // namespace runnel::fleet
