#include <algorithm>

#include "coordinator/config/fleet_plan.h"
#include "runtime/host/toml_table.h"

namespace runnel::coordinator {

std::string fleet_plan_toml(const FleetPlan& plan) {
  using host::toml_float;
  std::string text = "# How this fleet trains. Read when the coordinator starts.\n";
  const auto line = [&text](const char* key, const std::string& value, const char* comment) {
    std::string assignment = std::string(key) + " = " + value;
    assignment.resize(std::max<size_t>(assignment.size() + 1, 32), ' ');
    text += assignment + "# " + comment + "\n";
  };
  line("rounds", std::to_string(plan.rounds), "rounds of training in all");
  line("seed", std::to_string(plan.seed), "the same seed, data and updates give the same model");
  line("min_devices", std::to_string(plan.min_devices), "devices that must be there before the first round opens");
  line("cohort", std::to_string(plan.cohort), "devices a round; 0 = all that are there");
  line("over_selection", toml_float(plan.over_selection),
       "this share more devices are asked; the first `cohort` count");
  line("quorum", std::to_string(plan.quorum), "fewest updates that may close a round at its deadline");
  line("deadline_seconds", toml_float(plan.deadline_seconds), "a round's length at most");

  text += "\n[training]                      # on each device: docs/training.md\n";
  line("learning_rate", toml_float(plan.training.learning_rate), "step size");
  line("momentum", toml_float(plan.training.momentum), "0 = none");
  line("weight_decay", toml_float(plan.training.weight_decay), "0 = none");
  line("proximal_mu", toml_float(plan.training.proximal_mu), "pull towards the round's model (FedProx); 0 = FedAvg");
  line("batch_size", std::to_string(plan.training.batch_size), "examples a step");
  line("local_epochs", std::to_string(plan.training.local_epochs), "passes over the device's data a round");
  line("local_steps", std::to_string(plan.training.local_steps), "steps a round instead of epochs; 0 = epochs");
  line("schedule", host::toml_quoted(plan::schedule_name(plan.training.schedule)),
       "of the learning rate: constant, linear, cosine or exponential");
  line("learning_rate_end", toml_float(double{plan.training.learning_rate_end}),
       "in the last round, unless it is constant");
  line("warmup_rounds", std::to_string(plan.training.warmup_rounds), "rounds over which the learning rate climbs");
  line("optimizer", host::toml_quoted(plan::optimizer_name(plan.training.optimizer)), "sgd, nesterov, adam or adamw");
  line("beta1", toml_float(plan.training.beta1), "adam and adamw: memory of the mean gradient");
  line("beta2", toml_float(plan.training.beta2), "and of its square");
  line("epsilon", toml_float(plan.training.epsilon), "added to the root of the latter");
  line("clip_norm", toml_float(plan.training.clip_norm), "a step's gradient is scaled down to this norm; 0 = not");
  line("accumulate", std::to_string(plan.training.accumulate), "minibatches whose gradients make one step");
  line("scaffold_share", toml_float(plan.training.scaffold_share),
       "SCAFFOLD: the share of the fleet that trains in a round; 0 = no control variates");

  text += "\n[policy]                        # when updates count: docs/rounds.md\n";
  const PolicySpec& policy = plan.policy;
  line("mode", host::toml_quoted(plan::round_policy_name(policy.policy)),
       "sync = one model a round; buffered = FedBuff");
  line("grace_seconds", toml_float(policy.grace_seconds), "sync: how long uploads under way are waited for in the end");
  line("staleness_max", std::to_string(policy.staleness_max), "versions that an update may be behind and still count");
  line("staleness_exponent", toml_float(policy.staleness_exponent), "it counts (1 + versions behind)^-exponent");
  line("buffer", std::to_string(policy.buffer), "buffered: updates that move the model once");
  line("offline_updates", std::to_string(policy.offline_updates),
       "buffered: further updates of a device that is cut off");

  text += "\n[aggregation]                   # how updates become one: docs/aggregation.md\n";
  const AggregationSpec& aggregation = plan.aggregation;
  line("method", host::toml_quoted(aggregation_method_name(aggregation.method)),
       "mean, or against liars: median, trimmed_mean, krum");
  line("clip_norm", toml_float(aggregation.clip_norm), "an update with a larger norm is scaled down to it; 0 = none");
  line("trim", toml_float(aggregation.trim), "trimmed_mean: share left out at each end of a coordinate");
  line("byzantine", std::to_string(aggregation.byzantine), "krum: devices that may lie");
  line("krum_keep", std::to_string(aggregation.krum_keep), "krum: updates that are averaged");

  text += "\n[server]                        # how the model follows what was aggregated: docs/aggregation.md\n";
  const ServerSpec& server = plan.server;
  line("optimizer", host::toml_quoted(server_optimizer_name(server.optimizer)), "avg, momentum, adam, yogi or adagrad");
  line("learning_rate", toml_float(server.learning_rate), "of the server; 1 = the model moves by the aggregate");
  line("momentum", toml_float(server.momentum), "momentum: share of the step before");
  line("nesterov", server.nesterov ? "true" : "false", "momentum: looks ahead (DiLoCo)");
  line("beta1", toml_float(server.beta1), "adam, yogi, adagrad: decay of the mean");
  line("beta2", toml_float(server.beta2), "adam, yogi: decay of the squares");
  line("tau", toml_float(server.tau), "adam, yogi, adagrad: how adaptive; smaller is more");

  text += "\n[pace]                          # when a device need not be connected\n";
  line("come_back", plan.pace.come_back ? "true" : "false", "devices with nothing to do are told when to return");
  line("come_back_seconds", toml_float(plan.pace.come_back_seconds), "for less a connection is not given up");
  line("ping_seconds", std::to_string(plan.pace.ping_seconds), "silence before a sign of life is asked for; 0 = never");

  text += "\n[codec]                         # how updates are compressed\n";
  const plan::CodecSpec& codec = plan.codec;
  line("name", host::toml_quoted(plan::codec_name(codec.codec)), "docs/quantization.md says which for what");
  if (plan::has_step(codec.codec) || codec.codec == plan::CodecId::kEden) {
    line("bits", toml_float(double{codec.bits}),
         "a coordinate; while step is 0 each device finds the step that gives it");
  } else {
    line("levels", std::to_string(codec.levels), "with b bits a number, 2^(b-1) - 1; `bits = b` says the same");
  }
  line("step", toml_float(double{codec.step}), "of the schemes with one absolute step; 0 = found from bits");
  line("bucket", std::to_string(codec.bucket), "numbers that share one norm, in the schemes with norms");
  line("exact_coordinates_max", std::to_string(codec.exact_coordinates_max),
       "tensors up to this size are sent exactly, unless one step serves all");
  line("rotate", codec.rotate ? "true" : "false", "two rounds of the randomized Hadamard transform first");
  line("error_feedback", codec.error_feedback ? "true" : "false", "a device makes up later for what compression loses");
  line("keep", toml_float(double{codec.keep}), "share of the numbers that are sent, drawn from the seed");
  line("coder", host::toml_quoted(plan::coder_name(codec.coder)), "auto = whichever makes the update shortest");

  text += "\n[downlink]                      # how the model goes down to devices that hold an older version\n";
  line("bits", toml_float(plan.downlink.bits), "a number of each round's delta; 0 = always the full model");
  line("step", toml_float(double{plan.downlink.step}), "a power of two instead of bits; 0 = found from bits");
  line("deltas", std::to_string(plan.downlink.deltas), "rounds a device may miss before it gets the full model");

  text += "\n[rate]                          # how fine an update is; docs/rate.md\n";
  const plan::RateSpec& rate = plan.rate;
  line("mode", host::toml_quoted(plan::rate_mode_name(rate.mode)),
       "fixed (as in [codec]), error, budget, feddq, adaquantfl, dadaquant or kimad");
  line("horizon", toml_float(plan.horizon), "an error of round 1 counts e^-horizon of one of the last round");
  line("error_share", toml_float(double{rate.error_share}),
       "error: share of the noise in the final loss that quantization may cause");
  line("budget_bytes", std::to_string(rate.budget_bytes), "budget: update bytes of one device over the whole run");
  line("resolution", toml_float(double{rate.resolution}), "feddq: the step it keeps");
  line("deadline", rate.deadline ? "true" : "false", "never more than the link carries before the round closes");
  line("late", rate.late == plan::LatePolicy::kKeep ? "\"keep\"" : "\"send\"",
       "what cannot arrive in time: keep it for the next round, or send it all the same");
  line("step_ratio_max", toml_float(double{rate.step_ratio_max}), "at most this much coarser to meet a deadline");
  line("save_time", rate.save_time ? "true" : "false", "coarser on slow links: the least time, not the fewest bytes");
  line("per_layer", rate.per_layer ? "true" : "false", "one step a tensor instead of one for all");
  return text;
}

}  // namespace runnel::coordinator
