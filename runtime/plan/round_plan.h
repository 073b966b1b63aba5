// What the coordinator asks of a device for one round: how to train, how to compress, until when.
//
// Plain values with stated ranges; check() is the one place that knows the ranges, for a plan file and for a peer's
// frame.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/base/time.h"

namespace runnel::plan {

// Numbers are on the wire: never renumber, only add.
enum class CodecId : uint8_t {
  kFp32 = 0,  // 32 bits a coordinate, exact
  kQsgd = 1,  // Alistarh et al. 2017: L2 norm a bucket, s levels, stochastic rounding, Elias coding
};

// "fp32", "qsgd"; never null.
const char* codec_name(CodecId codec);

struct CodecSpec {
  CodecId codec = CodecId::kQsgd;
  uint32_t levels = 7;                   // s, positive levels; 1..32767. With b bits, s = 2^(b-1) - 1.
  uint32_t bucket = 128;                 // coordinates that share one norm; 8..1048576
  uint32_t exact_coordinates_max = 128;  // a tensor of at most this many coordinates is sent as fp32; 0..65536
};

// Local SGD: w <- w - learning_rate * v,  v <- momentum * v + (gradient + weight_decay * w + proximal_mu * (w -
// w_global)).
struct TrainingSpec {
  float learning_rate = 0.05F;  // (0, 100]
  float momentum = 0.9F;        // [0, 1)
  float weight_decay = 0.0F;    // [0, 1]
  float proximal_mu = 0.0F;     // FedProx (Li et al. 2020); [0, 100]; 0 is FedAvg
  uint32_t batch_size = 32;     // examples; 1..4096
  uint32_t local_epochs = 1;    // passes over the device's own data; used when local_steps is 0; 1..1000
  uint32_t local_steps = 0;     // SGD steps a round instead of epochs; 0..1000000
};

struct RoundPlan {
  uint64_t run = 0;    // identifies one training run of one coordinator
  uint32_t round = 0;  // 1..rounds
  uint32_t rounds = 0;
  uint64_t model_version = 0;  // the model to start from
  uint64_t seed = 0;           // of this device in this round: shuffling and stochastic rounding derive from it
  Duration time_left{};        // until the coordinator closes the round, counted from when the plan was sent
  TrainingSpec training;
  CodecSpec codec;
};

// Error::kOk, or which field is out of its range.
Failure check(const CodecSpec& codec);
Failure check(const TrainingSpec& training);
Failure check(const RoundPlan& plan);

}  // namespace runnel::plan
