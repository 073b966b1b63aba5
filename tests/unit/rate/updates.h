// Updates as training makes them, and what becomes of a decision: an Update message with its true length.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"
#include "runtime/rate/rate_controller.h"
#include "runtime/wire/frame.h"

namespace runnel::rate {

inline plan::ModelLayout layout_of(std::initializer_list<uint32_t> counts) {
  plan::ModelLayout layout;
  for (const uint32_t count : counts) {
    plan::TensorInfo info;
    EXPECT_TRUE(info.name.assign("3.conv2d.weight"));
    info.offset = layout.parameter_count;
    info.count = count;
    layout.parameter_count += count;
    EXPECT_TRUE(layout.tensors.push_back(info));
  }
  return layout;
}

// Five tensors, the largest with most of the coordinates.
inline plan::ModelLayout network_layout(uint32_t count) {
  return layout_of({count / 20, 32, count - count / 20 - 32 - count / 10 - 10, count / 10, 10});
}

// Heavy tails, and a scale of its own for each tensor and, within it, for each unit; or plain Gaussian. Of norm `norm`.
inline std::vector<float> update_of(const plan::ModelLayout& layout, bool heavy, double norm, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(layout.parameter_count);
  double squares = 0.0;
  for (const plan::TensorInfo& info : layout.tensors) {
    const double tensor_scale = heavy ? std::exp(rng.normal()) : 1.0;
    double scale = tensor_scale;
    for (uint32_t i = 0; i < info.count; ++i) {
      if (heavy && i % 64 == 0) scale = tensor_scale * std::exp(0.7 * rng.normal());
      const double magnitude = heavy ? -std::log(1.0 - rng.uniform()) : 1.0;
      values[info.offset + i] = static_cast<float>(scale * rng.normal() * magnitude);
      squares += std::pow(static_cast<double>(values[info.offset + i]), 2);
    }
  }
  for (float& value : values) value = static_cast<float>(static_cast<double>(value) * norm / std::sqrt(squares));
  return values;
}

struct Decided {
  RateDecision decision;
  Failure failure = Error::kOk;
};

inline Decided decide_on(const plan::RoundPlan& plan, const plan::ModelLayout& layout, std::span<const float> update,
                         const RateHistory& history = {}, const LinkLimits& limits = {}) {
  std::vector<float> scratch(decide_scratch_count(plan, layout));
  std::vector<uint8_t> output(decide_output_bytes(plan, layout));
  const Result<RateDecision> decision = decide(plan, layout, update, history, limits, plan.seed, scratch, output);
  if (decision.ok()) return {*decision, Error::kOk};
  return {{}, decision.failure()};
}

// The message that a device would send for a decision.
struct Sent {
  double message_bytes = 0.0;
  double overhead_bytes = 0.0;
  double error = 0.0;  // squared, of what is decoded
};

inline Sent send(const RateDecision& decision, const plan::ModelLayout& layout, std::span<const float> update,
                 uint64_t seed) {
  const plan::CodecSpec& spec = decision.codec;
  std::vector<uint8_t> buffer(std::max(codec::encoded_update_bytes_max(spec, layout),
                                       decision.steps.empty() ? 0 : codec::encoded_layers_bytes_max(spec, layout)));
  std::vector<float> scratch(codec::encode_update_scratch_count(spec, layout));
  codec::EncodedTensors tensors;
  const std::span<const float> steps(decision.steps.begin(), decision.steps.size());
  const Result<size_t> payload =
      steps.empty() ? codec::encode_update(spec, layout, update, seed, buffer, tensors, scratch)
                    : codec::encode_update_layers(spec, steps, layout, update, seed, buffer, tensors, scratch);
  EXPECT_TRUE(payload.ok()) << payload.failure().text();
  if (!payload.ok()) return {};
  std::vector<float> decoded(update.size());
  const std::span<const plan::EncodedTensor> runs(tensors.begin(), tensors.size());
  const Failure failure = codec::decode_update(layout, runs, decoded);
  EXPECT_TRUE(failure.ok()) << failure.text();
  wire::Update message;
  message.run = 7;
  message.device = "meter-0123";
  message.sequence = 12;
  message.round = 3;
  message.model_version = 2;
  message.sample_count = 500;
  message.mean_loss = 0.5F;
  message.tensors = tensors;
  for (size_t k = 0; k < tensors.size(); ++k) EXPECT_TRUE(message.tensor_names.push_back("3.conv2d.weight"));
  const size_t needed = *payload + wire::update_overhead_bytes_max(tensors.size());
  std::vector<uint64_t> memory(needed / 8 + 2);
  const Result<ByteView> built =
      wire::build_update(message, MutableByteView(reinterpret_cast<uint8_t*>(memory.data()), 8 * memory.size()));
  EXPECT_TRUE(built.ok()) << built.failure().text();
  if (!built.ok()) return {};
  Sent sent;
  sent.message_bytes = static_cast<double>(built->size());
  sent.overhead_bytes = sent.message_bytes - static_cast<double>(*payload);
  for (size_t i = 0; i < update.size(); ++i) {
    sent.error += std::pow(static_cast<double>(decoded[i]) - static_cast<double>(update[i]), 2);
  }
  return sent;
}

}  // namespace runnel::rate
