#include "runtime/plan/round_plan.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/plan/range_check.h"

namespace runnel::plan {
const char* codec_name(CodecId codec) {
  static constexpr const char* kNames[kCodecCount] = {"fp32",     "qsgd",     "qsgd_inf",      "nuqsgd", "nuqsgd_inf",
                                                      "terngrad", "sign",     "sign_dithered", "eden",   "fp16",
                                                      "dithered", "deadzone", "trellis"};
  const auto index = static_cast<uint8_t>(codec);
  return index < kCodecCount ? kNames[index] : "unknown";
}

const char* coder_name(Coder coder) {
  static constexpr const char* kNames[kCoderCount] = {"auto", "elias", "fixed", "rans", "model", "raw"};
  const auto index = static_cast<uint8_t>(coder);
  return index < kCoderCount ? kNames[index] : "unknown";
}

const char* schedule_name(Schedule schedule) {
  static constexpr const char* kNames[kScheduleCount] = {"constant", "linear", "cosine", "exponential"};
  const auto index = static_cast<uint8_t>(schedule);
  return index < kScheduleCount ? kNames[index] : "unknown";
}

const char* optimizer_name(Optimizer optimizer) {
  static constexpr const char* kNames[kOptimizerCount] = {"sgd", "nesterov", "adam", "adamw"};
  const auto index = static_cast<uint8_t>(optimizer);
  return index < kOptimizerCount ? kNames[index] : "unknown";
}

const char* round_policy_name(RoundPolicy policy) {
  static constexpr const char* kNames[kRoundPolicyCount] = {"sync", "buffered"};
  const auto index = static_cast<uint8_t>(policy);
  return index < kRoundPolicyCount ? kNames[index] : "unknown";
}

namespace {

constexpr float kLearningRateMin = 1e-9F;

double scheduled_rate(const TrainingSpec& training, uint32_t round, uint32_t rounds) {
  const double first = static_cast<double>(training.learning_rate);
  // A last round that trains nothing would be asked of everybody for nothing.
  const double last =
      training.learning_rate_end > 0.0F ? static_cast<double>(training.learning_rate_end) : first / 1000.0;
  if (round <= training.warmup_rounds) return first * round / (static_cast<double>(training.warmup_rounds) + 1.0);
  round -= training.warmup_rounds;
  rounds -= std::min(rounds, training.warmup_rounds);
  if (rounds <= 1 || round <= 1) return first;
  const double done = std::min(1.0, (static_cast<double>(round) - 1.0) / (static_cast<double>(rounds) - 1.0));
  switch (training.schedule) {
    case Schedule::kConstant:
      break;
    case Schedule::kLinear:
      return first + (last - first) * done;
    case Schedule::kCosine:
      return last + (first - last) * 0.5 * (1.0 + std::cos(std::numbers::pi * done));
    case Schedule::kExponential:
      return first * std::pow(last / first, done);
  }
  return first;
}

}  // namespace

float learning_rate_at(const TrainingSpec& training, uint32_t round, uint32_t rounds) {
  return std::max(static_cast<float>(scheduled_rate(training, round, rounds)), kLearningRateMin);
}

Failure set_bits(CodecSpec& codec, double bits) {
  const CodecId id = codec.codec;
  const bool exponential = id == CodecId::kNuqsgd || id == CodecId::kNuqsgdInf;
  if (has_levels(id)) {
    const int bits_max = exponential ? 6 : 16;
    if (!(bits >= 2.0 && bits <= bits_max) || bits != std::floor(bits)) {
      return fail(Error::kOutOfRange, "must be a whole number of 2..%d for %s, not %g", bits_max, codec_name(id), bits);
    }
    const uint32_t symbols = (1U << (static_cast<uint32_t>(bits) - 1)) - 1;
    // Of n nonzero magnitudes, exponential levels 2^-s .. 1 are s + 1.
    codec.levels = exponential ? std::max(1U, symbols - 1) : symbols;
    return Error::kOk;
  }
  if (id != CodecId::kEden && !has_step(id)) {
    return fail(Error::kInvalidArgument, "cannot be chosen for %s", codec_name(id));
  }
  const double bits_min = id == CodecId::kEden ? 0.1 : 0.01;
  const double bits_max = id == CodecId::kEden ? 4.0 : 16.0;
  if (!(bits >= bits_min && bits <= bits_max)) {
    return fail(Error::kOutOfRange, "must be %g..%g for %s, not %g", bits_min, bits_max, codec_name(id), bits);
  }
  codec.bits = static_cast<float>(bits);
  return Error::kOk;
}

Failure check(const CodecSpec& codec) {
  if (static_cast<uint8_t>(codec.codec) >= kCodecCount) {
    return fail(Error::kUnsupported, "codec %u is not known here", static_cast<unsigned>(codec.codec));
  }
  if (static_cast<uint8_t>(codec.coder) >= kCoderCount) {
    return fail(Error::kUnsupported, "coder %u is not known here", static_cast<unsigned>(codec.coder));
  }
  const bool exponential = codec.codec == CodecId::kNuqsgd || codec.codec == CodecId::kNuqsgdInf;
  RUNNEL_TRY(count_in_range("levels", codec.levels, 1, exponential ? 30 : 32767));
  RUNNEL_TRY(count_in_range("bucket", codec.bucket, 8, 1048576));
  RUNNEL_TRY(count_in_range("exact_coordinates_max", codec.exact_coordinates_max, 0, 65536));
  if (codec.step != 0.0F) RUNNEL_TRY(in_range("step", codec.step, 1e-30F, 1e30F));
  if (codec.codec == CodecId::kEden) RUNNEL_TRY(in_range("bits", codec.bits, 0.1F, 4.0F));
  RUNNEL_TRY(in_range("bits", codec.bits, 0.01F, 16.0F));
  return in_range("keep", codec.keep, 1e-4F, 1.0F);
}

// Control variates are mean gradients, and what a gradient did to the model has to be known.
static Failure check_scaffold(const TrainingSpec& training) {
  if (training.local_steps == 0)
    return fail(Error::kInvalidArgument, "scaffold_share needs local_steps: as many steps on every device");
  if (training.optimizer != Optimizer::kSgd)
    return fail(Error::kInvalidArgument, "scaffold_share needs optimizer sgd, not %s",
                optimizer_name(training.optimizer));
  if (training.proximal_mu > 0.0F) return fail(Error::kInvalidArgument, "scaffold_share goes without proximal_mu");
  if (training.clip_norm > 0.0F) return fail(Error::kInvalidArgument, "scaffold_share goes without clip_norm");
  return Error::kOk;
}

Failure check(const TrainingSpec& training) {
  RUNNEL_TRY(in_range("learning_rate", training.learning_rate, kLearningRateMin, 100.0F));
  RUNNEL_TRY(in_range("momentum", training.momentum, 0.0F, 0.9999F));
  RUNNEL_TRY(in_range("weight_decay", training.weight_decay, 0.0F, 1.0F));
  RUNNEL_TRY(in_range("proximal_mu", training.proximal_mu, 0.0F, 100.0F));
  RUNNEL_TRY(count_in_range("batch_size", training.batch_size, 1, 4096));
  RUNNEL_TRY(count_in_range("local_epochs", training.local_epochs, 1, 1000));
  RUNNEL_TRY(count_in_range("local_steps", training.local_steps, 0, 1000000));
  if (static_cast<uint8_t>(training.schedule) >= kScheduleCount) {
    return fail(Error::kUnsupported, "schedule %u is not known here", static_cast<unsigned>(training.schedule));
  }
  RUNNEL_TRY(in_range("learning_rate_end", training.learning_rate_end,
                      training.schedule == Schedule::kExponential ? 1e-9F : 0.0F, 100.0F));
  if (static_cast<uint8_t>(training.optimizer) >= kOptimizerCount) {
    return fail(Error::kUnsupported, "optimizer %u is not known here", static_cast<unsigned>(training.optimizer));
  }
  RUNNEL_TRY(in_range("beta1", training.beta1, 0.0F, 0.9999F));
  RUNNEL_TRY(in_range("beta2", training.beta2, 0.0F, 0.999999F));
  RUNNEL_TRY(in_range("epsilon", training.epsilon, 1e-12F, 1.0F));
  RUNNEL_TRY(in_range("clip_norm", training.clip_norm, 0.0F, 1e9F));
  RUNNEL_TRY(count_in_range("accumulate", training.accumulate, 1, 1024));
  RUNNEL_TRY(count_in_range("warmup_rounds", training.warmup_rounds, 0, 1000000));
  RUNNEL_TRY(in_range("scaffold_share", training.scaffold_share, 0.0F, 1.0F));
  return training.scaffold_share > 0.0F ? check_scaffold(training) : Failure(Error::kOk);
}

Failure check(const RoundPlan& plan) {
  RUNNEL_TRY(count_in_range("rounds", plan.rounds, 1, 1000000));
  RUNNEL_TRY(count_in_range("round", plan.round, 1, plan.rounds));
  RUNNEL_TRY(check(plan.training));
  RUNNEL_TRY(check(plan.codec));
  if (static_cast<uint8_t>(plan.policy) >= kRoundPolicyCount) {
    return fail(Error::kUnsupported, "round policy %u is not known here", static_cast<unsigned>(plan.policy));
  }
  RUNNEL_TRY(count_in_range("staleness_max", plan.staleness_max, 0, 1000));
  RUNNEL_TRY(count_in_range("offline_updates", plan.offline_updates, 0, 16));
  if (plan.training.scaffold_share > 0.0F && plan.policy != RoundPolicy::kSync)
    return fail(Error::kInvalidArgument, "scaffold_share is of synchronous rounds");
  return check(plan.rate);
}

}  // namespace runnel::plan
