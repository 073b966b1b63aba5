#include "coordinator/config/fleet_plan.h"

#include <string>

#include "coordinator/config/model_file.h"
#include "runtime/host/toml_table.h"

namespace runnel::coordinator {
namespace {

using host::TomlTable;

// The name under `key`, if it is there, as the number it stands for.
template <typename Id>
Failure read_name(TomlTable& table, const char* key, const char* (*name_of)(Id),
                  Result<Id> (*from_name)(std::string_view), Id& id) {
  std::string name = name_of(id);
  RUNNEL_TRY(table.read(key, name));
  Result<Id> known = from_name(name);
  if (!known) return table.at(key, known.error(), known.failure().text());
  id = *known;
  return Error::kOk;
}

Failure read_fleet(TomlTable& table, FleetPlan& plan) {
  RUNNEL_TRY(table.read("rounds", plan.rounds));
  RUNNEL_TRY(table.read("seed", plan.seed));
  RUNNEL_TRY(table.read("min_devices", plan.min_devices));
  RUNNEL_TRY(table.read("cohort", plan.cohort));
  RUNNEL_TRY(table.read("over_selection", plan.over_selection));
  RUNNEL_TRY(table.read("quorum", plan.quorum));
  return table.read("deadline_seconds", plan.deadline_seconds);
}

Failure read_training(TomlTable& table, plan::TrainingSpec& training) {
  RUNNEL_TRY(table.read("learning_rate", training.learning_rate));
  RUNNEL_TRY(table.read("momentum", training.momentum));
  RUNNEL_TRY(table.read("weight_decay", training.weight_decay));
  RUNNEL_TRY(table.read("proximal_mu", training.proximal_mu));
  RUNNEL_TRY(table.read("batch_size", training.batch_size));
  RUNNEL_TRY(table.read("local_epochs", training.local_epochs));
  RUNNEL_TRY(table.read("local_steps", training.local_steps));
  RUNNEL_TRY(read_name(table, "schedule", plan::schedule_name, schedule_from_name, training.schedule));
  RUNNEL_TRY(table.read("learning_rate_end", training.learning_rate_end));
  RUNNEL_TRY(table.read("warmup_rounds", training.warmup_rounds));
  RUNNEL_TRY(read_name(table, "optimizer", plan::optimizer_name, optimizer_from_name, training.optimizer));
  RUNNEL_TRY(table.read("beta1", training.beta1));
  RUNNEL_TRY(table.read("beta2", training.beta2));
  RUNNEL_TRY(table.read("epsilon", training.epsilon));
  RUNNEL_TRY(table.read("clip_norm", training.clip_norm));
  RUNNEL_TRY(table.read("accumulate", training.accumulate));
  RUNNEL_TRY(table.read("scaffold_share", training.scaffold_share));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(training));
}

Failure read_codec(TomlTable& table, plan::CodecSpec& codec) {
  RUNNEL_TRY(read_name(table, "name", plan::codec_name, codec_from_name, codec.codec));
  RUNNEL_TRY(table.read("levels", codec.levels));
  if (table.has("bits")) {
    double bits = 0.0;
    RUNNEL_TRY(table.read("bits", bits));
    if (table.has("levels")) return table.at("bits", Error::kMalformed, "stands next to levels: one of them only");
    if (Failure bad = plan::set_bits(codec, bits); !bad.ok()) return table.at("bits", bad.error(), bad.text());
  }
  RUNNEL_TRY(table.read("bucket", codec.bucket));
  RUNNEL_TRY(table.read("exact_coordinates_max", codec.exact_coordinates_max));
  RUNNEL_TRY(table.read("step", codec.step));
  RUNNEL_TRY(table.read("rotate", codec.rotate));
  RUNNEL_TRY(table.read("error_feedback", codec.error_feedback));
  RUNNEL_TRY(table.read("keep", codec.keep));
  RUNNEL_TRY(read_name(table, "coder", plan::coder_name, coder_from_name, codec.coder));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(codec));
}

Failure read_rate(TomlTable& table, plan::RateSpec& rate, double& horizon) {
  RUNNEL_TRY(read_name(table, "mode", plan::rate_mode_name, rate_mode_from_name, rate.mode));
  RUNNEL_TRY(table.read("horizon", horizon));
  RUNNEL_TRY(table.read("error_share", rate.error_share));
  RUNNEL_TRY(table.read("budget_bytes", rate.budget_bytes));
  RUNNEL_TRY(table.read("resolution", rate.resolution));
  RUNNEL_TRY(table.read("deadline", rate.deadline));
  RUNNEL_TRY(table.read("save_time", rate.save_time));
  RUNNEL_TRY(table.read("per_layer", rate.per_layer));
  RUNNEL_TRY(table.read("step_ratio_max", rate.step_ratio_max));
  std::string late = rate.late == plan::LatePolicy::kKeep ? "keep" : "send";
  RUNNEL_TRY(table.read("late", late));
  if (late != "keep" && late != "send")
    return table.at("late", Error::kUnknownName, ("must be keep or send, not '" + late + "'").c_str());
  rate.late = late == "keep" ? plan::LatePolicy::kKeep : plan::LatePolicy::kSend;
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(rate));
}

Failure read_downlink(TomlTable& table, DownlinkSpec& downlink) {
  RUNNEL_TRY(table.read("bits", downlink.bits));
  RUNNEL_TRY(table.read("step", downlink.step));
  RUNNEL_TRY(table.read("deltas", downlink.deltas));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(downlink));
}

Failure read_policy(TomlTable& table, PolicySpec& policy) {
  RUNNEL_TRY(read_name(table, "mode", plan::round_policy_name, round_policy_from_name, policy.policy));
  RUNNEL_TRY(table.read("grace_seconds", policy.grace_seconds));
  policy.staleness_max = default_staleness_max(policy.policy);
  RUNNEL_TRY(table.read("staleness_max", policy.staleness_max));
  RUNNEL_TRY(table.read("staleness_exponent", policy.staleness_exponent));
  RUNNEL_TRY(table.read("buffer", policy.buffer));
  RUNNEL_TRY(table.read("offline_updates", policy.offline_updates));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(policy));
}

Failure read_aggregation(TomlTable& table, AggregationSpec& aggregation) {
  RUNNEL_TRY(read_name(table, "method", aggregation_method_name, aggregation_method_from_name, aggregation.method));
  RUNNEL_TRY(table.read("clip_norm", aggregation.clip_norm));
  RUNNEL_TRY(table.read("trim", aggregation.trim));
  RUNNEL_TRY(table.read("byzantine", aggregation.byzantine));
  RUNNEL_TRY(table.read("krum_keep", aggregation.krum_keep));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(aggregation));
}

Failure read_server(TomlTable& table, ServerSpec& server) {
  RUNNEL_TRY(read_name(table, "optimizer", server_optimizer_name, server_optimizer_from_name, server.optimizer));
  RUNNEL_TRY(table.read("nesterov", server.nesterov));
  server.learning_rate = default_learning_rate(server.optimizer);
  RUNNEL_TRY(table.read("learning_rate", server.learning_rate));
  RUNNEL_TRY(table.read("momentum", server.momentum));
  RUNNEL_TRY(table.read("beta1", server.beta1));
  RUNNEL_TRY(table.read("beta2", server.beta2));
  RUNNEL_TRY(table.read("tau", server.tau));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(server));
}

Failure read_pace(TomlTable& table, PaceSpec& pace) {
  RUNNEL_TRY(table.read("come_back", pace.come_back));
  RUNNEL_TRY(table.read("come_back_seconds", pace.come_back_seconds));
  RUNNEL_TRY(table.read("ping_seconds", pace.ping_seconds));
  RUNNEL_TRY(table.refuse_unread());
  return table.locate(check(pace));
}

}  // namespace

Result<FleetPlan> parse_fleet_plan(const std::string& toml) {
  Result<TomlTable> table = TomlTable::parse(toml);
  if (!table) return table.failure();
  FleetPlan plan;
  RUNNEL_TRY(read_fleet(*table, plan));
  Result<TomlTable> training = table->table("training");
  if (!training) return training.failure();
  Result<TomlTable> codec = table->table("codec");
  if (!codec) return codec.failure();
  Result<TomlTable> rate = table->table("rate");
  if (!rate) return rate.failure();
  Result<TomlTable> downlink = table->table("downlink");
  if (!downlink) return downlink.failure();
  Result<TomlTable> policy = table->table("policy");
  if (!policy) return policy.failure();
  Result<TomlTable> aggregation = table->table("aggregation");
  if (!aggregation) return aggregation.failure();
  Result<TomlTable> server = table->table("server");
  if (!server) return server.failure();
  Result<TomlTable> pace = table->table("pace");
  if (!pace) return pace.failure();
  RUNNEL_TRY(table->refuse_unread());
  RUNNEL_TRY(read_training(*training, plan.training));
  RUNNEL_TRY(read_codec(*codec, plan.codec));
  RUNNEL_TRY(read_downlink(*downlink, plan.downlink));
  RUNNEL_TRY(read_policy(*policy, plan.policy));
  RUNNEL_TRY(read_aggregation(*aggregation, plan.aggregation));
  RUNNEL_TRY(read_server(*server, plan.server));
  RUNNEL_TRY(read_pace(*pace, plan.pace));
  RUNNEL_TRY(read_rate(*rate, plan.rate, plan.horizon));
  RUNNEL_TRY(table->locate(check(plan)));
  return plan;
}

Result<FleetPlan> new_fleet_plan(std::string_view model) {
  const BuiltinModel* builtin = find_builtin_model(model);
  Result<FleetPlan> plan = parse_fleet_plan(std::string(builtin != nullptr ? builtin->plan : ""));
  if (!plan) return Failure(plan.failure()).prefix("the plan of the model %s", std::string(model).c_str());
  return plan;
}

}  // namespace runnel::coordinator
