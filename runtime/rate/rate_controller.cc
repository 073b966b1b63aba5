#include "runtime/rate/rate_controller.h"

#include <algorithm>
#include <cmath>

#include "runtime/codec/update_codec.h"
#include "runtime/rate/layer_steps.h"
#include "runtime/rate/rate_rule.h"

namespace runnel::rate {
namespace {

using plan::CodecSpec;
using plan::RateMode;

// What tables, names and lengths of an Update message take until one has been measured.
constexpr double kMessageBytes = 115.0;
constexpr double kTensorBytes = 78.0;
// The rate model is right to within this; what must arrive in time is chosen as much smaller.
constexpr double kModelError = 0.01;
// With dither what comes out has the noise of the step even where the update is silent: step^2 / 12 a coordinate. To
// meet a deadline a step is at most so many times the update's root mean square, 21 times its energy: beyond it the
// bits hardly fall any more, and what arrives moves the model by chance.
constexpr double kNoisyStepMax = 16.0;

bool takes_layers(const plan::RoundPlan& plan, const plan::ModelLayout& layout) {
  return plan.rate.per_layer && plan::has_step(plan.codec.codec) && layout.tensors.size() > 1;
}

// The spec with everything that a rule may change at its largest.
CodecSpec widest(CodecSpec spec) {
  const bool exponential = spec.codec == plan::CodecId::kNuqsgd || spec.codec == plan::CodecId::kNuqsgdInf;
  if (plan::has_levels(spec.codec)) spec.levels = exponential ? 30 : 32767;
  if (spec.codec == plan::CodecId::kEden) spec.bits = 4.0F;
  return spec;
}

// Of the message beyond its payloads, before one has been measured.
double expected_overhead(const CodecSpec& spec, const plan::ModelLayout& layout) {
  const double runs = plan::has_step(spec.codec) ? 1.0 : static_cast<double>(layout.tensors.size());
  return kMessageBytes + kTensorBytes * runs;
}

Failure check_values(const plan::ModelLayout& layout, std::span<const float> update) {
  if (update.size() != layout.parameter_count) {
    return fail(Error::kShape, "an update of %zu values for a model of %u", update.size(), layout.parameter_count);
  }
  for (const plan::TensorInfo& info : layout.tensors) {
    if (!range_within(info.offset, info.count, update.size())) {
      return fail(Error::kShape, "%s: lies outside the parameters", info.name.c_str());
    }
    for (size_t i = 0; i < info.count; ++i) {
      if (std::isfinite(update[info.offset + i])) continue;
      return fail(Error::kNotFinite, "%s: value %zu is not finite", info.name.c_str(), i);
    }
  }
  return Error::kOk;
}

// The decision so far is the rule's. Where the link cannot carry that in time: the finest that it can.
Failure meet_deadline_by_step(const Subject& subject, RateDecision& decision) {
  const double payload_max = decision.link_bytes - subject.overhead_bytes;
  const auto ratio_max = static_cast<double>(subject.plan.rate.step_ratio_max);
  double coarsest = std::min(1e30, ratio_max * decision.rule_step);
  coarsest = std::clamp(noisy_step_max(subject, kNoisyStepMax), decision.rule_step, coarsest);
  const float within = codec::step_for_bytes(decision.codec, subject.values, subject.seed,
                                             std::max(0.0, payload_max * (1.0 - kModelError)), subject.scratch);
  const double step = std::clamp(static_cast<double>(within), decision.rule_step, coarsest);
  decision.codec.step = static_cast<float>(step);
  const Result<double> bytes = payload_bytes(subject, decision.codec);
  if (!bytes.ok()) return bytes.failure();
  decision.predicted_bytes = *bytes + subject.overhead_bytes;
  decision.bound = decision.predicted_bytes <= decision.link_bytes ? RateBound::kDeadline : RateBound::kCoarsest;
  return Error::kOk;
}

Failure meet_deadline_by_spec(const Subject& subject, RateDecision& decision) {
  const Result<CodecSpec> finest = finest_within(subject, decision.codec, decision.link_bytes - subject.overhead_bytes);
  if (!finest.ok()) return finest.failure();
  decision.codec = *finest;
  const Result<double> bytes = payload_bytes(subject, decision.codec);
  if (!bytes.ok()) return bytes.failure();
  decision.predicted_bytes = *bytes + subject.overhead_bytes;
  decision.bound = decision.predicted_bytes <= decision.link_bytes ? RateBound::kDeadline : RateBound::kCoarsest;
  return Error::kOk;
}

Failure share_out_steps(const Subject& subject, RateDecision& decision) {
  // Each tensor comes as a run of its own, which has to be paid for; unless the messages that the overhead was measured
  // on were of that kind already.
  const double runs = kTensorBytes * (static_cast<double>(subject.layout.tensors.size()) - 1.0);
  const bool measured = subject.overhead_bytes > kMessageBytes + kTensorBytes + 0.5 * runs;
  const double extra = measured ? 0.0 : runs;
  const double payload_max = decision.predicted_bytes - subject.overhead_bytes - extra;
  if (payload_max <= 0.0) return Error::kOk;
  const Result<LayerSteps> layers = find_layer_steps(subject, decision.step, payload_max);
  if (!layers.ok()) return layers.failure();
  if (layers->steps.empty()) return Error::kOk;
  decision.steps = layers->steps;
  decision.predicted_bytes = layers->payload_bytes + subject.overhead_bytes + extra;
  return Error::kOk;
}

}  // namespace

const char* rate_bound_name(RateBound bound) {
  switch (bound) {
    case RateBound::kRule:
      return "rule";
    case RateBound::kDeadline:
      return "deadline";
    case RateBound::kCoarsest:
      return "coarsest";
  }
  return "unknown";
}

size_t decide_scratch_count(const plan::RoundPlan& plan, const plan::ModelLayout& layout) {
  const size_t whole = codec::encode_update_scratch_count(plan.codec, layout);
  return takes_layers(plan, layout) ? std::max(whole, layer_scratch_count(plan.codec, layout)) : whole;
}

size_t decide_output_bytes(const plan::RoundPlan& plan, const plan::ModelLayout& layout) {
  if (plan::has_step(plan.codec.codec)) {
    return takes_layers(plan, layout) ? layer_output_bytes(plan.codec, layout) : 0;
  }
  return std::max(codec::encoded_update_bytes_max(plan.codec, layout),
                  codec::encoded_update_bytes_max(widest(plan.codec), layout));
}

Result<RateDecision> decide(const plan::RoundPlan& plan, const plan::ModelLayout& layout, std::span<const float> update,
                            const RateHistory& history, const LinkLimits& limits, uint64_t seed,
                            std::span<float> scratch, MutableByteView output) {
  RUNNEL_TRY(plan::check(plan));
  RUNNEL_TRY(check_values(layout, update));
  if (scratch.size() < decide_scratch_count(plan, layout) || output.size() < decide_output_bytes(plan, layout)) {
    return fail(Error::kNoMemory, "%zu floats of scratch and %zu bytes to decide in", scratch.size(), output.size());
  }
  Subject subject{plan,
                  layout,
                  update,
                  history.run == plan.run ? history : RateHistory{},
                  limits,
                  seed,
                  scratch,
                  output,
                  0.0,
                  0.0,
                  history.payload_overhead};
  if (!(subject.overhead_bytes > 0.0)) subject.overhead_bytes = expected_overhead(plan.codec, layout);
  double squares = 0.0;
  float least = 0.0F;
  float most = 0.0F;
  for (const float value : update) {
    squares += static_cast<double>(value) * static_cast<double>(value);
    least = std::min(least, value);
    most = std::max(most, value);
  }
  subject.norm = std::sqrt(squares);
  subject.range = static_cast<double>(most) - static_cast<double>(least);

  RateDecision decision;
  decision.codec = plan.codec;
  decision.norm = subject.norm;
  const bool stepped = plan::has_step(plan.codec.codec);
  if (stepped) {
    decision.rule_step = rule_step(subject);
    decision.codec.step = static_cast<float>(decision.rule_step);
    decision.levels = subject.norm / decision.rule_step;
  } else {
    const Result<CodecSpec> spec = rule_spec(subject, decision.levels);
    if (!spec.ok()) return spec.failure();
    decision.codec = *spec;
  }
  const Result<double> bytes = payload_bytes(subject, decision.codec);
  if (!bytes.ok()) return bytes.failure();
  decision.predicted_bytes = *bytes + subject.overhead_bytes;
  if (plan.rate.mode == RateMode::kBudget) {
    decision.budget_bytes = std::max(0.0, even_share_bytes(subject) + subject.overhead_bytes);
  } else if (plan.rate.mode == RateMode::kKimad && std::isfinite(limits.round_bytes)) {
    decision.budget_bytes = std::max(0.0, limits.round_bytes - limits.overhead_bytes);
  }
  if (plan.rate.deadline && std::isfinite(limits.bytes_max)) {
    decision.link_bytes = limits.bytes_max - limits.overhead_bytes;
    if (decision.predicted_bytes > decision.link_bytes) {
      RUNNEL_TRY(stepped ? meet_deadline_by_step(subject, decision) : meet_deadline_by_spec(subject, decision));
    }
  }
  if (stepped) decision.step = static_cast<double>(decision.codec.step);
  if (takes_layers(plan, layout) && decision.fits() && subject.norm > 0.0) {
    RUNNEL_TRY(share_out_steps(subject, decision));
  }
  return decision;
}

}  // namespace runnel::rate
