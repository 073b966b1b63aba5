// The bound that the schedule minimises holds with equality where it must: on a quadratic, with a real quantizer.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"
#include "runtime/rate/dq_schedule.h"

namespace runnel::rate {
namespace {

constexpr size_t kCoordinates = 4096;
constexpr uint32_t kRounds = 40;
constexpr uint32_t kWorkers = 4;
constexpr double kRate = 0.1;   // eta
constexpr double kNoise = 0.2;  // of each coordinate of a gradient

struct Descent {
  double loss = 0.0;   // F(x_T) = ||x_T||^2 / 2
  double bound = 0.0;  // from the measured q_t
};

// Gradient descent on ||x||^2 / 2 with noisy gradients, each quantized by `spec` with the step of its round.
Descent descend(plan::CodecSpec spec, const Horizon& horizon, double step_end, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(kCoordinates, 1.0F);
  std::vector<float> gradient(kCoordinates);
  std::vector<float> decoded(kCoordinates);
  std::vector<uint8_t> buffer(codec::encoded_bytes_max(spec, kCoordinates));
  Descent result;
  result.bound = std::exp(kRounds * std::log(horizon.contraction)) * 0.5 * kCoordinates;
  for (uint32_t t = 0; t < kRounds; ++t) {
    const double log_c = log_weight(horizon, t);
    spec.step = static_cast<float>(step(step_end, log_c));
    std::vector<double> mean(kCoordinates);
    double error = 0.0;
    for (uint32_t worker = 0; worker < kWorkers; ++worker) {
      for (size_t i = 0; i < kCoordinates; ++i) gradient[i] = x[i] + static_cast<float>(kNoise * rng.normal());
      const Result<plan::EncodedTensor> tensor =
          codec::encode_tensor(spec, "g", gradient, derive_key(seed, t, worker), buffer);
      EXPECT_TRUE(tensor.ok());
      EXPECT_TRUE(codec::decode_tensor("g", *tensor, decoded).ok());
      for (size_t i = 0; i < kCoordinates; ++i) {
        const double off = double{decoded[i]} - double{gradient[i]};
        error += off * off / kWorkers;
        mean[i] += double{decoded[i]} / kWorkers;
      }
    }
    for (size_t i = 0; i < kCoordinates; ++i) x[i] -= static_cast<float>(kRate * mean[i]);
    const double noise = kNoise * kNoise * kCoordinates;
    result.bound += std::exp(log_c) * kRate * kRate / (2.0 * kWorkers) * (noise + error);
  }
  for (const float value : x) result.loss += 0.5 * double{value} * double{value};
  return result;
}

TEST(DqBound, IsMetWithEqualityOnAQuadratic) {
  const Horizon horizon{kRounds, (1.0 - kRate) * (1.0 - kRate), {}, false};
  plan::CodecSpec spec;
  spec.codec = plan::CodecId::kDithered;
  for (const double step_end : {0.25, 1.0, 2.5}) {
    Descent sum;
    for (uint64_t seed = 1; seed <= 4; ++seed) {
      const Descent one = descend(spec, horizon, step_end, seed);
      sum.loss += one.loss;
      sum.bound += one.bound;
    }
    EXPECT_NEAR(sum.loss / sum.bound, 1.0, 0.05) << step_end;
  }
}

}  // namespace
}  // namespace runnel::rate
