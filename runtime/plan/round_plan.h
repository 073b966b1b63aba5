// What the coordinator asks of a device for one round: how to train, how to compress, until when.
//
// Plain values with stated ranges; check() is the one place that knows the ranges, for a plan file and for a peer's
// frame.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/plan/rate_spec.h"

namespace runnel::plan {

// Numbers are on the wire: never renumber, only add. docs/quantization.md has the formulas and when to use which.
enum class CodecId : uint8_t {
  kFp32 = 0,          // 32 bits a coordinate, exact
  kQsgd = 1,          // Alistarh et al. 2017: L2 norm a bucket, s uniform levels, stochastic rounding
  kQsgdInf = 2,       // the same with the largest magnitude of a bucket as its norm
  kNuqsgd = 3,        // Ramezani-Kebrya et al. 2021: s + 1 exponential levels 2^-s .. 1 and zero, L2 norm
  kNuqsgdInf = 4,     // the same levels with the largest magnitude as the norm
  kTerngrad = 5,      // Wen et al. 2017: -1, 0, 1 times the largest magnitude, stochastic
  kSign = 6,          // sign times the mean magnitude of a bucket; biased
  kSignDithered = 7,  // sign of the value plus noise as wide as the bucket's largest magnitude; unbiased
  kEden = 8,          // Vargaftik et al. 2022: rotation, Lloyd-Max centroids of N(0,1), unbiased scale
  kFp16 = 9,          // IEEE binary16, round to nearest even
  kDithered = 10,     // one absolute step, subtractive dither from a shared seed, entropy coded; unbiased
  kDeadzone = 11,     // one absolute step, deterministic, entropy coded; biased unless rotated
  kTrellis = 12,      // trellis-coded quantization, entropy coded; unbiased if rotated
};
inline constexpr uint8_t kCodecCount = 13;

// How symbols become bits. Numbers are on the wire.
enum class Coder : uint8_t {
  kAuto = 0,   // in a plan: whichever makes a tensor shortest. In a tensor: the coder that its scheme began with.
  kElias = 1,  // Elias omega, sparse or dense
  kFixed = 2,  // equal width
  kRans = 3,   // order-0 asymmetric numeral system with the symbols' frequencies in front
  kModel = 4,  // asymmetric numeral system driven by an adaptive model of the values' local scale
  kRaw = 5,    // fp32, when nothing else is shorter
};
inline constexpr uint8_t kCoderCount = 6;

// "fp32", "qsgd", ...; never null.
const char* codec_name(CodecId codec);
// "auto", "elias", ...; never null.
const char* coder_name(Coder coder);

// The schemes of one absolute step over the whole update: kDithered, kDeadzone, kTrellis.
constexpr bool has_step(CodecId codec) {
  return codec == CodecId::kDithered || codec == CodecId::kDeadzone || codec == CodecId::kTrellis;
}

// The schemes whose quantizer has `levels`.
constexpr bool has_levels(CodecId codec) {
  return codec == CodecId::kQsgd || codec == CodecId::kQsgdInf || codec == CodecId::kNuqsgd ||
         codec == CodecId::kNuqsgdInf;
}

struct CodecSpec {
  CodecId codec = CodecId::kDithered;
  uint32_t levels = 7;  // s, positive levels of qsgd, qsgd_inf (1..32767; with b bits, 2^(b-1) - 1) and nuqsgd (1..30)
  uint32_t bucket = 128;                 // coordinates that share one norm, in the schemes with norms; 8..1048576
  uint32_t exact_coordinates_max = 128;  // a tensor of at most this many is sent as fp32, unless one step serves all
  Coder coder = Coder::kAuto;
  float step = 0.0F;            // Delta of the schemes with a step, in the update's unit; 0 = found from `bits`
  float bits = 1.0F;            // a coordinate: eden's width (0.1..4), and what a step of 0 aims at (0.01..16)
  bool rotate = false;          // two rounds of the randomized Hadamard transform first
  bool error_feedback = false;  // the device adds what earlier updates lost, and keeps what this one loses
  float keep = 1.0F;            // share of coordinates sent, drawn from the seed; (0, 1]. The rest counts as zero.
};

// How the learning rate goes from the first round to the last. Numbers are on the wire: never renumber, only add.
enum class Schedule : uint8_t { kConstant = 0, kLinear = 1, kCosine = 2, kExponential = 3 };
inline constexpr uint8_t kScheduleCount = 4;

// "constant", "linear", ...; never null.
const char* schedule_name(Schedule schedule);

// How a device's weights follow the gradient. Numbers are on the wire: never renumber, only add.
enum class Optimizer : uint8_t {
  kSgd = 0,       // with momentum
  kNesterov = 1,  // the same, looking ahead (Sutskever et al. 2013)
  kAdam = 2,      // Kingma and Ba 2015; weight decay is part of the gradient
  kAdamW = 3,     // Loshchilov and Hutter 2019; weight decay is not
};
inline constexpr uint8_t kOptimizerCount = 4;

// "sgd", "nesterov", "adam", "adamw"; never null.
const char* optimizer_name(Optimizer optimizer);

// Local training. With g = gradient + weight_decay * w + proximal_mu * (w - w_global), sgd is w <- w - learning_rate *
// v, v <- momentum * v + g; runtime/train/optimizer.h has the others.
struct TrainingSpec {
  float learning_rate = 0.05F;  // of the first round; (0, 100]
  float momentum = 0.9F;        // [0, 1)
  float weight_decay = 0.0F;    // [0, 1]
  float proximal_mu = 0.0F;     // FedProx (Li et al. 2020); [0, 100]; 0 is FedAvg
  uint32_t batch_size = 32;     // examples; 1..4096
  uint32_t local_epochs = 1;    // passes over the device's own data; used when local_steps is 0; 1..1000
  uint32_t local_steps = 0;     // SGD steps a round instead of epochs; 0..1000000
  Schedule schedule = Schedule::kConstant;
  float learning_rate_end = 0.0F;  // of the last round; [0, 100], above 0 for kExponential; 0 = learning_rate / 1000
  Optimizer optimizer = Optimizer::kSgd;
  float beta1 = 0.9F;          // of kAdam and kAdamW: memory of the mean gradient; [0, 0.9999]
  float beta2 = 0.999F;        // and of its square; [0, 0.999999]
  float epsilon = 1e-8F;       // added to the root of the latter; [1e-12, 1]
  float clip_norm = 0.0F;      // a step's gradient is scaled down to at most this L2 norm; 0 = not; [0, 1e9]
  uint32_t accumulate = 1;     // minibatches whose gradients make one step; 1..1024
  uint32_t warmup_rounds = 0;  // the learning rate climbs over so many rounds to where the schedule begins; 0..1000000
  // SCAFFOLD (Karimireddy et al. 2020): the share of the fleet that trains in a round; (0, 1], 0 = no control variates.
  // Every device has to make as many steps of the same length: it needs local_steps and optimizer sgd, and goes with
  // neither proximal_mu nor clip_norm.
  float scaffold_share = 0.0F;
};

// The learning rate of `round` of `rounds` (1-based): through the warm-up, learning_rate * round / (warmup_rounds + 1);
// then from learning_rate to learning_rate_end along the schedule.
float learning_rate_at(const TrainingSpec& training, uint32_t round, uint32_t rounds);

// When updates count. Numbers are on the wire: never renumber, only add.
enum class RoundPolicy : uint8_t {
  kSync = 0,      // a round's updates start from one model; the round closes with what came by its deadline
  kBuffered = 1,  // FedBuff (Nguyen et al. 2022): whoever is done is counted, and every K updates the model moves
};
inline constexpr uint8_t kRoundPolicyCount = 2;

// "sync", "buffered"; never null.
const char* round_policy_name(RoundPolicy policy);

struct RoundPlan {
  uint64_t run = 0;    // identifies one training run of one coordinator
  uint32_t round = 0;  // 1..rounds
  uint32_t rounds = 0;
  uint64_t model_version = 0;  // the model to start from
  uint64_t seed = 0;           // of this device in this round: shuffling and stochastic rounding derive from it
  Duration time_left{};        // until the coordinator closes the round, counted from when the plan was sent
  TrainingSpec training;
  CodecSpec codec;
  RateSpec rate;
  RoundPolicy policy = RoundPolicy::kSync;
  uint32_t staleness_max = 0;    // versions that the model may be ahead of an update's for it to count; 0..1000
  uint32_t offline_updates = 0;  // further updates on this plan while the coordinator is out of reach; 0..16
};

// Sets what `bits` a coordinate means for the codec: whole bits of sign and level for the schemes with levels (2..16;
// up to 6 for exponential levels), eden's width, or what a step of 0 aims at. kOutOfRange; kInvalidArgument for a codec
// whose width is fixed. The texts begin at the range: the caller names the key.
Failure set_bits(CodecSpec& codec, double bits);

// Error::kOk, or which field is out of its range.
Failure check(const CodecSpec& codec);
Failure check(const TrainingSpec& training);
Failure check(const RoundPlan& plan);

}  // namespace runnel::plan
