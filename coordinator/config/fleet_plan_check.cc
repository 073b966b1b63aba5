#include <algorithm>
#include <cmath>
#include <limits>

#include "coordinator/config/fleet_plan.h"
#include "runtime/plan/range_check.h"

// Names and ranges of a plan's fields. Pure, so that the engine can say them too.
namespace runnel::coordinator {
namespace {

using plan::count_in_range;

Failure real_in_range(const char* name, double value, double low, double high) {
  if (std::isfinite(value) && value >= low && value <= high) return Error::kOk;
  return fail(std::isfinite(value) ? Error::kOutOfRange : Error::kNotFinite, "%s must be %.10g..%.10g, not %g", name,
              low, high, value);
}

// [0, 1)
Failure decay_in_range(const char* name, double value) {
  if (std::isfinite(value) && value >= 0.0 && value < 1.0) return Error::kOk;
  return fail(std::isfinite(value) ? Error::kOutOfRange : Error::kNotFinite,
              "%s must be at least 0 and below 1, not %g", name, value);
}

template <typename Id>
Failure known_number(const char* name, Id id, uint8_t count) {
  const auto number = static_cast<uint8_t>(id);
  if (number < count) return Error::kOk;
  return fail(Error::kUnknownName, "%s %u is not known here", name, static_cast<unsigned>(number));
}

// The number whose name it is, of `count` that `name_of` knows.
template <typename Id>
Result<Id> from_name(std::string_view name, uint8_t count, const char* (*name_of)(Id)) {
  std::string known;
  for (uint8_t number = 0; number < count; ++number) {
    const char* each = name_of(static_cast<Id>(number));
    if (name == each) return static_cast<Id>(number);
    known += (number == 0 ? "" : number + 1 == count ? " or " : ", ") + std::string(each);
  }
  return fail(Error::kUnknownName, "must be one of %s, not '%.*s'", known.c_str(), static_cast<int>(name.size()),
              name.data());
}

}  // namespace

Result<plan::RateMode> rate_mode_from_name(std::string_view name) {
  return from_name<plan::RateMode>(name, plan::kRateModeCount, plan::rate_mode_name);
}

Result<plan::Schedule> schedule_from_name(std::string_view name) {
  return from_name<plan::Schedule>(name, plan::kScheduleCount, plan::schedule_name);
}

Result<plan::Optimizer> optimizer_from_name(std::string_view name) {
  return from_name<plan::Optimizer>(name, plan::kOptimizerCount, plan::optimizer_name);
}

Result<plan::CodecId> codec_from_name(std::string_view name) {
  return from_name<plan::CodecId>(name, plan::kCodecCount, plan::codec_name);
}

Result<plan::Coder> coder_from_name(std::string_view name) {
  return from_name<plan::Coder>(name, plan::kCoderCount, plan::coder_name);
}

Result<plan::RoundPolicy> round_policy_from_name(std::string_view name) {
  return from_name<plan::RoundPolicy>(name, plan::kRoundPolicyCount, plan::round_policy_name);
}

const char* aggregation_method_name(AggregationMethod method) {
  static constexpr const char* kNames[kAggregationMethodCount] = {"mean", "median", "trimmed_mean", "krum"};
  const auto index = static_cast<uint8_t>(method);
  return index < kAggregationMethodCount ? kNames[index] : "unknown";
}

Result<AggregationMethod> aggregation_method_from_name(std::string_view name) {
  return from_name<AggregationMethod>(name, kAggregationMethodCount, aggregation_method_name);
}

const char* server_optimizer_name(ServerOptimizer optimizer) {
  static constexpr const char* kNames[kServerOptimizerCount] = {"avg", "momentum", "adam", "yogi", "adagrad"};
  const auto index = static_cast<uint8_t>(optimizer);
  return index < kServerOptimizerCount ? kNames[index] : "unknown";
}

Result<ServerOptimizer> server_optimizer_from_name(std::string_view name) {
  return from_name<ServerOptimizer>(name, kServerOptimizerCount, server_optimizer_name);
}

Failure check(const DownlinkSpec& downlink) {
  if (downlink.bits != 0.0) RUNNEL_TRY(real_in_range("bits", downlink.bits, 0.01, 16.0));
  RUNNEL_TRY(count_in_range("deltas", downlink.deltas, 1, 1000));
  if (downlink.step == 0.0F) return Error::kOk;
  RUNNEL_TRY(real_in_range("step", double{downlink.step}, 0x1p-20, 1.0));
  int exponent = 0;
  if (std::frexp(downlink.step, &exponent) == 0.5F) return Error::kOk;
  return fail(Error::kOutOfRange, "step must be a power of two, not %g", static_cast<double>(downlink.step));
}

Failure check(const PolicySpec& policy) {
  RUNNEL_TRY(known_number("mode", policy.policy, plan::kRoundPolicyCount));
  const bool buffered = policy.policy == plan::RoundPolicy::kBuffered;
  RUNNEL_TRY(real_in_range("grace_seconds", policy.grace_seconds, 0.0, 86400.0));
  if (buffered && policy.grace_seconds != 0.0)
    return fail(Error::kInvalidArgument, "grace_seconds is of synchronous rounds: with mode = buffered it must be 0");
  RUNNEL_TRY(count_in_range("staleness_max", policy.staleness_max, 0, 1000));
  RUNNEL_TRY(real_in_range("staleness_exponent", policy.staleness_exponent, 0.0, 10.0));
  RUNNEL_TRY(count_in_range("buffer", policy.buffer, 1, 1000000));
  RUNNEL_TRY(count_in_range("offline_updates", policy.offline_updates, 0, 16));
  if (!buffered && policy.offline_updates != 0)
    return fail(Error::kInvalidArgument, "offline_updates is of buffered rounds: with mode = sync it must be 0");
  return Error::kOk;
}

Failure check(const AggregationSpec& aggregation) {
  RUNNEL_TRY(known_number("method", aggregation.method, kAggregationMethodCount));
  RUNNEL_TRY(real_in_range("clip_norm", aggregation.clip_norm, 0.0, 1e6));
  RUNNEL_TRY(real_in_range("trim", aggregation.trim, 0.0, 0.499));
  RUNNEL_TRY(count_in_range("byzantine", aggregation.byzantine, 0, 1000000));
  return count_in_range("krum_keep", aggregation.krum_keep, 1, 1000000);
}

Failure check(const ServerSpec& server) {
  RUNNEL_TRY(known_number("optimizer", server.optimizer, kServerOptimizerCount));
  RUNNEL_TRY(real_in_range("learning_rate", server.learning_rate, 1e-6, 100.0));
  RUNNEL_TRY(decay_in_range("momentum", server.momentum));
  if (server.nesterov && server.optimizer != ServerOptimizer::kMomentum)
    return fail(Error::kInvalidArgument, "nesterov is a kind of momentum: optimizer must be momentum, not %s",
                server_optimizer_name(server.optimizer));
  RUNNEL_TRY(decay_in_range("beta1", server.beta1));
  RUNNEL_TRY(decay_in_range("beta2", server.beta2));
  return real_in_range("tau", server.tau, 1e-9, 1.0);
}

Failure check(const PaceSpec& pace) {
  RUNNEL_TRY(real_in_range("come_back_seconds", pace.come_back_seconds, 1.0, 86400.0));
  return count_in_range("ping_seconds", pace.ping_seconds, 0, 86400);
}

namespace {

// What no part of the plan can see alone.
Failure check_together(const FleetPlan& plan) {
  const PolicySpec& policy = plan.policy;
  const AggregationSpec& aggregation = plan.aggregation;
  const bool buffered = policy.policy == plan::RoundPolicy::kBuffered;
  if (buffered && plan.over_selection != 0.0)
    return fail(Error::kInvalidArgument,
                "over_selection is of synchronous rounds: with policy.mode = buffered it must be 0");
  if (buffered && plan.quorum > policy.buffer)
    return fail(Error::kOutOfRange, "quorum must be at most policy.buffer, %u, not %u", policy.buffer, plan.quorum);
  if (plan.training.scaffold_share > 0.0F) {
    // Devices read the fleet's mean gradient off the model that they are sent.
    if (buffered)
      return fail(Error::kInvalidArgument,
                  "training.scaffold_share is of synchronous rounds: policy.mode must be sync");
    if (plan.server.optimizer != ServerOptimizer::kAvg || plan.server.learning_rate != 1.0)
      return fail(
          Error::kInvalidArgument,
          "training.scaffold_share needs server.optimizer avg with a learning_rate of 1: the model has to move by "
          "the mean of the updates");
  }
  if (aggregation.method != AggregationMethod::kKrum) return Error::kOk;
  // Blanchard et al. 2017, proposition 4.2: n >= 2f + 3. Every round must have them, so the quorum says it.
  const uint64_t needed = krum_updates_min(aggregation);
  if (buffered && policy.buffer < needed)
    return fail(Error::kOutOfRange,
                "policy.buffer must be at least 2 byzantine + 3 = %llu with aggregation.method = krum, not %u",
                static_cast<unsigned long long>(needed), policy.buffer);
  if (!buffered && plan.cohort != 0 && plan.cohort < needed)
    return fail(Error::kOutOfRange,
                "cohort must be at least 2 byzantine + 3 = %llu with aggregation.method = krum, not %u",
                static_cast<unsigned long long>(needed), plan.cohort);
  if (plan.quorum < needed)
    return fail(Error::kOutOfRange,
                "quorum must be at least 2 byzantine + 3 = %llu with aggregation.method = krum, not %u",
                static_cast<unsigned long long>(needed), plan.quorum);
  return Error::kOk;
}

}  // namespace

Failure check(const FleetPlan& plan) {
  RUNNEL_TRY(count_in_range("rounds", plan.rounds, 1, 1000000));
  RUNNEL_TRY(count_in_range("seed", plan.seed, 0, std::numeric_limits<int64_t>::max()));
  RUNNEL_TRY(count_in_range("min_devices", plan.min_devices, 1, 1000000));
  RUNNEL_TRY(count_in_range("cohort", plan.cohort, 0, 1000000));
  RUNNEL_TRY(real_in_range("over_selection", plan.over_selection, 0.0, 4.0));
  RUNNEL_TRY(count_in_range("quorum", plan.quorum, 1, 1000000));
  const bool buffered = plan.policy.policy == plan::RoundPolicy::kBuffered;
  if (!buffered && plan.cohort != 0 && plan.quorum > plan.cohort) {
    return fail(Error::kOutOfRange, "quorum must be at most the cohort, %u, not %u", plan.cohort, plan.quorum);
  }
  RUNNEL_TRY(real_in_range("deadline_seconds", plan.deadline_seconds, 0.1, 31536000.0));
  RUNNEL_TRY(check(plan.training));
  RUNNEL_TRY(check(plan.downlink));
  RUNNEL_TRY(check(plan.codec));
  // Some of their fields have the names of others: learning_rate, momentum.
  if (Failure bad = check(plan.policy); !bad.ok()) return bad.prefix("policy");
  if (Failure bad = check(plan.aggregation); !bad.ok()) return bad.prefix("aggregation");
  if (Failure bad = check(plan.server); !bad.ok()) return bad.prefix("server");
  if (Failure bad = check(plan.pace); !bad.ok()) return bad.prefix("pace");
  RUNNEL_TRY(check_together(plan));
  RUNNEL_TRY(real_in_range("horizon", plan.horizon, 0.0, 20.0));
  return check(plan.rate);
}

}  // namespace runnel::coordinator
