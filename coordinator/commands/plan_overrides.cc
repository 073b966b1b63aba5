#include "coordinator/commands/plan_overrides.h"

#include <CLI/CLI.hpp>

namespace runnel::coordinator {
namespace {

template <typename T>
void override_with(const std::optional<T>& given, T& value) {
  if (given) value = *given;
}

Failure override_rate(const PlanOverrides& given, FleetPlan& plan) {
  // Who names a width wants that width.
  if (given.bits || given.levels || given.step) plan.rate.mode = plan::RateMode::kFixed;
  if (given.rate) {
    Result<plan::RateMode> mode = rate_mode_from_name(*given.rate);
    if (!mode) return Failure(mode.failure()).prefix("--rate");
    plan.rate.mode = *mode;
  }
  if (given.late) {
    if (*given.late != "keep" && *given.late != "send")
      return fail(Error::kUnknownName, "--late must be keep or send, not '%s'", given.late->c_str());
    plan.rate.late = *given.late == "keep" ? plan::LatePolicy::kKeep : plan::LatePolicy::kSend;
  }
  override_with(given.error_share, plan.rate.error_share);
  override_with(given.resolution, plan.rate.resolution);
  override_with(given.budget_bytes, plan.rate.budget_bytes);
  override_with(given.horizon, plan.horizon);
  plan.rate.deadline = plan.rate.deadline && !given.no_rate_deadline;
  plan.rate.save_time = plan.rate.save_time || given.save_time;
  plan.rate.per_layer = plan.rate.per_layer || given.per_layer;
  return Error::kOk;
}

Failure override_policy(const PlanOverrides& given, PolicySpec& policy) {
  if (given.policy) {
    Result<plan::RoundPolicy> known = round_policy_from_name(*given.policy);
    if (!known) return Failure(known.failure()).prefix("--policy");
    // A staleness that nobody chose goes with the policy.
    if (policy.staleness_max == default_staleness_max(policy.policy))
      policy.staleness_max = default_staleness_max(*known);
    policy.policy = *known;
  }
  override_with(given.grace_seconds, policy.grace_seconds);
  override_with(given.staleness_max, policy.staleness_max);
  override_with(given.staleness_exponent, policy.staleness_exponent);
  override_with(given.buffer, policy.buffer);
  override_with(given.offline_updates, policy.offline_updates);
  return Error::kOk;
}

Failure override_aggregation(const PlanOverrides& given, AggregationSpec& aggregation) {
  if (given.aggregation) {
    Result<AggregationMethod> known = aggregation_method_from_name(*given.aggregation);
    if (!known) return Failure(known.failure()).prefix("--aggregation");
    aggregation.method = *known;
  }
  override_with(given.clip_norm, aggregation.clip_norm);
  override_with(given.trim, aggregation.trim);
  override_with(given.byzantine, aggregation.byzantine);
  override_with(given.krum_keep, aggregation.krum_keep);
  return Error::kOk;
}

Failure override_server(const PlanOverrides& given, ServerSpec& server) {
  const ServerOptimizer before = server.optimizer;
  if (given.server_optimizer) {
    Result<ServerOptimizer> known = server_optimizer_from_name(*given.server_optimizer);
    if (!known) return Failure(known.failure()).prefix("--server-optimizer");
    server.optimizer = *known;
  } else if (given.nesterov) {
    server.optimizer = ServerOptimizer::kMomentum;
  }
  if (server.learning_rate == default_learning_rate(before))
    server.learning_rate = default_learning_rate(server.optimizer);
  override_with(given.server_learning_rate, server.learning_rate);
  override_with(given.server_momentum, server.momentum);
  override_with(given.server_beta1, server.beta1);
  override_with(given.server_beta2, server.beta2);
  override_with(given.server_tau, server.tau);
  server.nesterov = server.nesterov || given.nesterov;
  return Error::kOk;
}

void override_pace(const PlanOverrides& given, PaceSpec& pace) {
  pace.come_back = pace.come_back || given.come_back;
  override_with(given.come_back_seconds, pace.come_back_seconds);
  override_with(given.ping_seconds, pace.ping_seconds);
}

void add_round_options(CLI::App& command, PlanOverrides& plan) {
  command.add_option("--rounds", plan.rounds, "Rounds of training in all")->group("Rounds");
  command.add_option("--seed", plan.seed, "Of everything random in the run")->group("Rounds");
  command.add_option("--min-devices", plan.min_devices, "Devices that must be there before the first round")
      ->group("Rounds");
  command.add_option("--cohort", plan.cohort, "Devices a round; 0 = all")->group("Rounds");
  command.add_option("--quorum", plan.quorum, "Fewest updates that may close a round at its deadline")->group("Rounds");
  command.add_option("--over-selection", plan.over_selection, "Ask this share more devices than the cohort")
      ->group("Rounds");
  command.add_option("--deadline", plan.deadline_seconds, "A round's length at most, in seconds")->group("Rounds");
}

void add_training_options(CLI::App& command, PlanOverrides& plan) {
  command.add_option("--epochs", plan.local_epochs, "Passes over a device's data a round")->group("Training");
  command.add_option("--steps", plan.local_steps, "Steps a round instead of epochs")->group("Training");
  command.add_option("--batch", plan.batch_size, "Examples a step")->group("Training");
  command.add_option("--learning-rate", plan.learning_rate, "Step size")->group("Training");
  command.add_option("--schedule", plan.schedule, "Of the learning rate: constant, linear, cosine, exponential")
      ->group("Training");
  command
      .add_option("--learning-rate-end", plan.learning_rate_end,
                  "Learning rate of the last round; 0 = a thousandth of the first")
      ->group("Training");
  command.add_option("--warmup-rounds", plan.warmup_rounds, "Rounds over which the learning rate climbs")
      ->group("Training");
  command.add_option("--optimizer", plan.optimizer, "Of the devices: sgd, nesterov, adam, adamw")->group("Training");
  command.add_option("--beta1", plan.beta1, "adam and adamw: memory of the mean gradient")->group("Training");
  command.add_option("--beta2", plan.beta2, "adam and adamw: memory of its square")->group("Training");
  command.add_option("--epsilon", plan.epsilon, "adam and adamw: added to the root of the latter")->group("Training");
  command.add_option("--clip-gradient", plan.clip_gradient, "Largest L2 norm of a step's gradient; 0 = any")
      ->group("Training");
  command.add_option("--accumulate", plan.accumulate, "Minibatches whose gradients make one step")->group("Training");
  command.add_option("--momentum", plan.momentum, "0 = none")->group("Training");
  command.add_option("--weight-decay", plan.weight_decay, "0 = none")->group("Training");
  command.add_option("--proximal-mu", plan.proximal_mu, "FedProx's pull towards the round's model; 0 = FedAvg")
      ->group("Training");
  command
      .add_option("--scaffold-share", plan.scaffold_share,
                  "SCAFFOLD: the share of the fleet that trains in a round; 0 = no control variates")
      ->group("Training");
}

void add_compression_options(CLI::App& command, PlanOverrides& plan) {
  std::string codecs = "How an update is compressed:";
  for (uint8_t k = 0; k < plan::kCodecCount; ++k) {
    codecs += std::string(" ") + plan::codec_name(static_cast<plan::CodecId>(k));
  }
  command.add_option("--codec", plan.codec, codecs)->group("Compression");
  CLI::Option* bits =
      command.add_option("--bits", plan.bits,
                         "Bits a number: 2..16 for schemes with levels, any real number for dithered, deadzone, eden");
  bits->group("Compression");
  command.add_option("--levels", plan.levels, "Levels above zero, 1..32767")->excludes(bits)->group("Compression");
  command.add_option("--bucket", plan.bucket, "Numbers that share one norm")->group("Compression");
  command
      .add_option("--downlink-bits", plan.downlink_bits,
                  "Bits a number that the model's changes take on their way down; 0 = the full model every round")
      ->group("Compression");
  command.add_option("--step", plan.step, "Absolute step; 0 = found from the bits")->group("Compression");
  command.add_option("--keep", plan.keep, "Share of the numbers that are sent")->group("Compression");
  command.add_option("--coder", plan.coder, "auto, elias, fixed, rans, model or raw")->group("Compression");
  command.add_flag("--rotate", plan.rotate, "Randomized Hadamard transform first")->group("Compression");
  command.add_flag("--error-feedback", plan.error_feedback, "Devices make up for what compression loses")
      ->group("Compression");
}

void add_rate_options(CLI::App& command, PlanOverrides& plan) {
  std::string modes = "How fine an update is (error, unless a width is given or the codec has none):";
  for (uint8_t k = 0; k < plan::kRateModeCount; ++k) {
    modes += std::string(" ") + plan::rate_mode_name(static_cast<plan::RateMode>(k));
  }
  command.add_option("--rate", plan.rate, modes)->group("Rate");
  command.add_option("--error-share", plan.error_share, "error: share of the final noise that quantization may cause")
      ->group("Rate");
  command.add_option("--budget-bytes", plan.budget_bytes, "budget: update bytes of one device over the whole run")
      ->group("Rate");
  command.add_option("--horizon", plan.horizon, "An error of round 1 counts e^-horizon of one of the last round")
      ->group("Rate");
  command.add_option("--resolution", plan.resolution, "feddq: the step it keeps")->group("Rate");
  command.add_option("--late", plan.late, "What cannot arrive in time: keep it for the next round, or send it")
      ->group("Rate");
  command.add_flag("--no-rate-deadline", plan.no_rate_deadline, "Updates as the rule says, whatever the link carries")
      ->group("Rate");
  command.add_flag("--save-time", plan.save_time, "Coarser on slow links: the least time, not the fewest bytes")
      ->group("Rate");
  command.add_flag("--per-layer", plan.per_layer, "One step a tensor instead of one for all")->group("Rate");
}

void add_policy_options(CLI::App& command, PlanOverrides& plan) {
  command.add_option("--policy", plan.policy, "sync = one model a round; buffered = every K updates move the model")
      ->group("Policy");
  command.add_option("--grace", plan.grace_seconds, "sync: seconds that uploads under way are waited for in the end")
      ->group("Policy");
  command.add_option("--staleness-max", plan.staleness_max, "Versions that an update may be behind and still count")
      ->group("Policy");
  command
      .add_option("--staleness-exponent", plan.staleness_exponent,
                  "A late update counts (1 + versions behind)^-exponent")
      ->group("Policy");
  command.add_option("--buffer", plan.buffer, "buffered: updates that move the model once (K)")->group("Policy");
  command
      .add_option("--offline-updates", plan.offline_updates, "buffered: further updates of a device that is cut off")
      ->group("Policy");
  command.add_flag("--come-back", plan.come_back, "Devices with nothing to do are told when to return")->group("Pace");
  command.add_option("--come-back-seconds", plan.come_back_seconds, "For less than this a connection is not given up")
      ->group("Pace");
  command.add_option("--ping-seconds", plan.ping_seconds, "Silence before a device asks for a sign of life; 0 = never")
      ->group("Pace");
}

void add_aggregation_options(CLI::App& command, PlanOverrides& plan) {
  command.add_option("--aggregation", plan.aggregation, "mean, or against liars: median, trimmed_mean, krum")
      ->group("Aggregation");
  command.add_option("--clip-norm", plan.clip_norm, "An update with a larger norm is scaled down to it; 0 = none")
      ->group("Aggregation");
  command.add_option("--trim", plan.trim, "trimmed_mean: share left out at each end of a coordinate")
      ->group("Aggregation");
  command.add_option("--byzantine", plan.byzantine, "krum: devices that may lie")->group("Aggregation");
  command.add_option("--krum-keep", plan.krum_keep, "krum: updates that are averaged")->group("Aggregation");
  command.add_option("--server-optimizer", plan.server_optimizer, "avg, momentum, adam, yogi or adagrad")
      ->group("Server");
  command.add_option("--server-learning-rate", plan.server_learning_rate, "1 = the model moves by the aggregate")
      ->group("Server");
  command.add_option("--server-momentum", plan.server_momentum, "momentum: share of the step before")->group("Server");
  command.add_option("--server-beta1", plan.server_beta1, "adam, yogi, adagrad: decay of the mean")->group("Server");
  command.add_option("--server-beta2", plan.server_beta2, "adam, yogi: decay of the squares")->group("Server");
  command.add_option("--server-tau", plan.server_tau, "adam, yogi, adagrad: how adaptive; smaller is more")
      ->group("Server");
  command.add_flag("--nesterov", plan.nesterov, "Momentum that looks ahead (DiLoCo)")->group("Server");
}

}  // namespace

Failure apply_overrides(const PlanOverrides& given, FleetPlan& plan) {
  override_with(given.rounds, plan.rounds);
  override_with(given.seed, plan.seed);
  override_with(given.min_devices, plan.min_devices);
  override_with(given.cohort, plan.cohort);
  override_with(given.quorum, plan.quorum);
  override_with(given.over_selection, plan.over_selection);
  override_with(given.deadline_seconds, plan.deadline_seconds);
  override_with(given.local_epochs, plan.training.local_epochs);
  // Steps would go before epochs, and who names epochs wants epochs.
  if (given.local_epochs) plan.training.local_steps = 0;
  override_with(given.local_steps, plan.training.local_steps);
  override_with(given.batch_size, plan.training.batch_size);
  override_with(given.learning_rate, plan.training.learning_rate);
  override_with(given.learning_rate_end, plan.training.learning_rate_end);
  if (given.schedule) {
    Result<plan::Schedule> schedule = schedule_from_name(*given.schedule);
    if (!schedule) return Failure(schedule.failure()).prefix("--schedule");
    plan.training.schedule = *schedule;
  }
  override_with(given.warmup_rounds, plan.training.warmup_rounds);
  if (given.optimizer) {
    Result<plan::Optimizer> optimizer = optimizer_from_name(*given.optimizer);
    if (!optimizer) return Failure(optimizer.failure()).prefix("--optimizer");
    plan.training.optimizer = *optimizer;
  }
  override_with(given.beta1, plan.training.beta1);
  override_with(given.beta2, plan.training.beta2);
  override_with(given.epsilon, plan.training.epsilon);
  override_with(given.clip_gradient, plan.training.clip_norm);
  override_with(given.accumulate, plan.training.accumulate);
  override_with(given.momentum, plan.training.momentum);
  override_with(given.weight_decay, plan.training.weight_decay);
  override_with(given.proximal_mu, plan.training.proximal_mu);
  override_with(given.scaffold_share, plan.training.scaffold_share);
  if (given.codec) {
    Result<plan::CodecId> codec = codec_from_name(*given.codec);
    if (!codec) return Failure(codec.failure()).prefix("--codec");
    plan.codec.codec = *codec;
  }
  if (given.bits && given.levels)
    return fail(Error::kInvalidArgument, "--bits and --levels say the same: give one of them");
  if (given.bits) {
    if (Failure bad = plan::set_bits(plan.codec, *given.bits); !bad.ok()) return bad.prefix("--bits");
    if (!given.step) plan.codec.step = 0.0F;
  }
  if (given.levels && !plan::has_levels(plan.codec.codec)) {
    return fail(Error::kInvalidArgument, "--levels: %s has none", plan::codec_name(plan.codec.codec));
  }
  if (given.coder) {
    Result<plan::Coder> coder = coder_from_name(*given.coder);
    if (!coder) return Failure(coder.failure()).prefix("--coder");
    plan.codec.coder = *coder;
  }
  override_with(given.step, plan.codec.step);
  override_with(given.keep, plan.codec.keep);
  if (given.downlink_bits) {
    plan.downlink.bits = *given.downlink_bits;
    plan.downlink.step = 0.0F;
    if (Failure bad = check(plan.downlink); !bad.ok()) return bad.prefix("--downlink-bits");
  }
  plan.codec.rotate = plan.codec.rotate || given.rotate;
  plan.codec.error_feedback = plan.codec.error_feedback || given.error_feedback;
  override_with(given.levels, plan.codec.levels);
  override_with(given.bucket, plan.codec.bucket);
  RUNNEL_TRY(override_policy(given, plan.policy));
  RUNNEL_TRY(override_aggregation(given, plan.aggregation));
  RUNNEL_TRY(override_server(given, plan.server));
  override_pace(given, plan.pace);
  return override_rate(given, plan);
}

void add_plan_options(CLI::App& command, PlanOverrides& plan) {
  add_round_options(command, plan);
  add_policy_options(command, plan);
  add_training_options(command, plan);
  add_aggregation_options(command, plan);
  add_compression_options(command, plan);
  add_rate_options(command, plan);
}

}  // namespace runnel::coordinator
