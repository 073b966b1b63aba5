// The quantized downlink without links: what the coordinator makes, any device makes too, in any grouping, and what is
// left behind never grows.
#include "coordinator/engine/public_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "coordinator/engine/model_messages.h"
#include "runtime/base/crc32c.h"
#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"

namespace runnel::coordinator {
namespace {

constexpr size_t kCount = 1000;

std::vector<float> decoded(const ModelDelta& delta, size_t count = kCount) {
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kDeadzone;
  tensor.coder = plan::Coder::kModel;
  tensor.count = static_cast<uint32_t>(count);
  tensor.scale = delta.step;
  tensor.payload = delta.blob;
  std::vector<float> changes(count);
  const Failure bad = codec::decode_tensor("delta", tensor, changes);
  EXPECT_TRUE(bad.ok()) << bad.text();
  return changes;
}

// As a device adds: fp32 and nothing else.
std::vector<float> added(std::vector<float> parameters, const ModelDelta& delta) {
  const std::vector<float> changes = decoded(delta, parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) parameters[i] += changes[i];
  return parameters;
}

uint32_t bits_of(const std::vector<float>& values) {
  return crc32c({reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)});
}

// A run whose updates shrink, as they do in training, with a tail of large ones.
struct Walk {
  explicit Walk(uint64_t seed) : rng(seed) {
    for (float& value : exact) value = static_cast<float>(0.2 * rng.normal());
    held = {1, on_downlink_grid(exact)};
    versions.push_back(held.parameters);
  }
  void round(const DownlinkSpec& downlink) {
    const double size = 0.05 / (1.0 + static_cast<double>(held.version));
    for (float& value : exact) {
      const double change = size * rng.normal() * (rng.below(20) == 0 ? 10.0 : 1.0);
      value = static_cast<float>(double{value} + change);
    }
    NextModel next = next_public_model(downlink, held, exact);
    ASSERT_EQ(next.delta.version, held.version + 1);
    held = {held.version + 1, std::move(next.parameters)};
    versions.push_back(held.parameters);
    deltas.push_back(std::move(next.delta));
  }
  double largest_error() const {
    double largest = 0.0;
    for (size_t i = 0; i < exact.size(); ++i)
      largest = std::max(largest, std::abs(double{exact[i]} - double{held.parameters[i]}));
    return largest;
  }

  Rng rng;
  std::vector<float> exact = std::vector<float>(kCount);
  ModelRecord held;
  std::vector<std::vector<float>> versions;  // [v - 1]
  std::vector<ModelDelta> deltas;            // [v - 2]
};

TEST(PublicModel, ADeviceThatAddsADeltaHoldsTheSameBits) {
  Walk walk(1);
  for (int round = 0; round < 40; ++round) {
    walk.round({});
    EXPECT_EQ(bits_of(added(walk.versions[walk.versions.size() - 2], walk.deltas.back())),
              bits_of(walk.versions.back()))
        << round;
  }
}

TEST(PublicModel, AnyMissedRoundsComposeToTheSameBits) {
  Walk walk(2);
  for (int round = 0; round < 33; ++round) walk.round({});
  for (size_t missed = 1; missed <= 33; ++missed) {
    const auto last = std::span<const ModelDelta>(walk.deltas).last(missed);
    const Result<std::optional<ModelDelta>> composed = compose(last, kCount);
    ASSERT_TRUE(composed.ok() && composed->has_value()) << missed;
    EXPECT_EQ((*composed)->version, walk.held.version);
    EXPECT_EQ(bits_of(added(walk.versions[33 - missed], **composed)), bits_of(walk.held.parameters)) << missed;
  }
}

TEST(PublicModel, WhatIsLeftBehindStaysBelowTheStep) {
  for (const double bits : {0.25, 1.0, 3.0}) {
    Walk walk(3);
    DownlinkSpec downlink;
    downlink.bits = bits;
    for (int round = 0; round < 60; ++round) {
      walk.round(downlink);
      // The dead zone is 5/8 of a step on either side.
      ASSERT_LE(walk.largest_error(), 0.626 * double{walk.deltas.back().step}) << bits << " bits, round " << round;
    }
    EXPECT_LT(walk.largest_error(), 0.05) << bits;
  }
}

TEST(PublicModel, TakesAboutTheBitsAimedAt) {
  for (const double bits : {0.5, 1.0, 2.0, 4.0}) {
    Walk walk(4);
    DownlinkSpec downlink;
    downlink.bits = bits;
    double bytes = 0.0;
    for (int round = 0; round < 30; ++round) {
      walk.round(downlink);
      bytes += static_cast<double>(walk.deltas.back().blob.size());
    }
    // A step that is a power of two can only come within about a factor of sqrt(2) of the step.
    EXPECT_GT(8.0 * bytes / 30.0 / kCount, 0.5 * bits);
    EXPECT_LT(8.0 * bytes / 30.0 / kCount, 1.6 * bits);
  }
}

TEST(PublicModel, AGivenStepIsTaken) {
  Walk walk(5);
  DownlinkSpec downlink;
  downlink.bits = 0.0;
  downlink.step = 0x1p-8F;
  ASSERT_TRUE(downlink.quantized());
  walk.round(downlink);
  EXPECT_EQ(walk.deltas.back().step, 0x1p-8F);
}

TEST(PublicModel, NothingChangedIsADeltaOfNoBytes) {
  const ModelRecord held{7, on_downlink_grid(std::vector<float>{0.5F, -0.25F, -1e-9F})};
  EXPECT_FALSE(std::signbit(held.parameters[2])) << "two zeros would be two models";
  const NextModel next = next_public_model({}, held, held.parameters);
  EXPECT_EQ(next.delta.version, 8U);
  EXPECT_TRUE(next.delta.blob.empty());
  EXPECT_EQ(bits_of(added(held.parameters, next.delta)), bits_of(next.parameters));
}

TEST(PublicModel, ZeroComesOutTheSameWhateverItsSign) {
  // Not from on_downlink_grid(): a run that began before there was one.
  const ModelRecord held{7, {-0.0F, 0.5F, -0.0F, -0.5F}};
  const std::vector<float> exact = {0.0F, 0.0F, -0.6F, 0.0F};
  const NextModel next = next_public_model({}, held, exact);
  ASSERT_EQ(next.delta.version, 8U);
  EXPECT_EQ(bits_of(added(held.parameters, next.delta)), bits_of(next.parameters));
  const NextModel same = next_public_model({}, held, held.parameters);
  EXPECT_EQ(bits_of(added(held.parameters, same.delta)), bits_of(same.parameters));
}

TEST(PublicModel, AModelOffTheGridIsFollowedByOneInFull) {
  std::vector<float> exact(kCount, 0.11F);
  const NextModel next = next_public_model({}, {3, std::vector<float>(kCount, 0.1F)}, exact);
  EXPECT_EQ(next.delta.version, 0U);
  EXPECT_NEAR(next.parameters[0], 0.11F, 0x1p-20);
  exact[7] = 0.13F;
  EXPECT_EQ(next_public_model({}, {4, next.parameters}, exact).delta.version, 5U);
}

TEST(PublicModel, LargeParametersGetACoarserGridAndStayExact) {
  std::vector<float> exact = {7.9F, -7.99F, 1e-5F, 0.0F};
  ModelRecord held{1, on_downlink_grid(exact)};
  size_t in_full = 0;
  for (int round = 0; round < 200; ++round) {
    for (size_t i = 0; i < exact.size(); ++i) exact[i] += static_cast<float>((i % 2 == 0 ? 1 : -1) * 0.7);
    const NextModel next = next_public_model({}, held, exact);
    if (next.delta.version == 0) {
      ++in_full;
    } else {
      ASSERT_EQ(bits_of(added(held.parameters, next.delta)), bits_of(next.parameters)) << round;
    }
    held = {held.version + 1, next.parameters};
    for (size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(held.parameters[i], exact[i], 1.0) << round;
  }
  EXPECT_GT(in_full, 0U);
  EXPECT_LT(in_full, 10U);
}

TEST(PublicModel, SumsBeyondTheCoderAreNoDelta) {
  // A coarse move, then a fine one: on the fine step the sum has too many multiples.
  DownlinkSpec downlink;
  downlink.bits = 0.0;
  std::vector<float> exact(kCount);
  ModelRecord held{1, exact};
  downlink.step = 1.0F;
  exact[0] = 5.0F;
  const NextModel coarse = next_public_model(downlink, held, exact);
  held = {2, coarse.parameters};
  downlink.step = 0x1p-20F;
  exact[1] = 0x1p-20F;
  const NextModel fine = next_public_model(downlink, held, exact);
  ASSERT_EQ(fine.delta.version, 3U);
  const std::vector<ModelDelta> both = {coarse.delta, fine.delta};
  const Result<std::optional<ModelDelta>> composed = compose(both, kCount);
  ASSERT_TRUE(composed.ok());
  EXPECT_FALSE(composed->has_value());
}

TEST(PublicModel, ABlobThatIsNoneIsCorrupt) {
  Walk walk(6);
  walk.round({});
  walk.round({});
  walk.deltas[0].blob.resize(3);
  const Result<std::optional<ModelDelta>> composed = compose(walk.deltas, kCount);
  ASSERT_FALSE(composed.ok());
  EXPECT_NE(std::string(composed.failure().text()).find("version 2"), std::string::npos);
}

// --- the messages ---

plan::ModelSpec spec_of_thousand() {
  plan::ModelSpec spec;
  EXPECT_TRUE(spec.name.assign("thousand"));
  spec.input = {99, 1, 1};
  spec.classes = 10;
  plan::LayerSpec dense;
  dense.kind = plan::LayerKind::kDense;
  dense.units = 10;
  EXPECT_TRUE(spec.layers.push_back(dense));
  return spec;
}

TEST(ModelMessages, TheShorterOneIsSentAndComposedOnlyOnce) {
  Walk walk(7);
  for (int round = 0; round < 5; ++round) walk.round({});
  ModelMessages messages(9, spec_of_thousand(), 1 << 20);
  messages.set_model(walk.held);
  EXPECT_EQ(messages.message_for(0, walk.deltas).base_version, 0U);
  const ModelMessages::Message missed = messages.message_for(2, walk.deltas);
  EXPECT_EQ(missed.base_version, 2U);
  EXPECT_LT(missed.bytes.size(), messages.full().bytes.size() / 8);
  const std::vector<uint8_t> once(missed.bytes.begin(), missed.bytes.end());
  wire::ModelDelta delta;
  ASSERT_TRUE(wire::decode_delta(once, delta).ok());
  EXPECT_EQ(delta.run, 9U);
  EXPECT_EQ(delta.model_version, 6U);
  EXPECT_EQ(delta.checksum, bits_of(walk.held.parameters));
  const uint64_t composed = messages.composed_count();
  messages.message_for(2, walk.deltas);
  EXPECT_EQ(messages.composed_count(), composed);

  // After a restart: the same bytes.
  ModelMessages again(9, spec_of_thousand(), 1 << 20);
  again.set_model(walk.held);
  const ByteView bytes = again.message_for(2, walk.deltas).bytes;
  EXPECT_EQ(std::vector<uint8_t>(bytes.begin(), bytes.end()), once);
}

TEST(ModelMessages, WithoutAChainTheModelGoesInFull) {
  Walk walk(8);
  for (int round = 0; round < 5; ++round) walk.round({});
  ModelMessages messages(9, spec_of_thousand(), 1 << 20);
  messages.set_model(walk.held);
  const std::span<const ModelDelta> deltas(walk.deltas);
  EXPECT_EQ(messages.message_for(2, deltas.last(3)).base_version, 0U) << "a delta is missing";
  EXPECT_EQ(messages.message_for(3, deltas.last(3)).base_version, 3U);
  EXPECT_EQ(messages.message_for(6, deltas).base_version, 0U) << "it holds what it asks for";
  EXPECT_EQ(messages.message_for(7, deltas).base_version, 0U);
  EXPECT_EQ(messages.message_for(UINT64_MAX, deltas).base_version, 0U);
  EXPECT_EQ(messages.message_for(2, {}).base_version, 0U);
  EXPECT_EQ(messages.message_for(2, deltas.first(3)).base_version, 0U) << "they lead elsewhere";
}

TEST(ModelMessages, TheCacheIsBounded) {
  Walk walk(10);
  for (int round = 0; round < 20; ++round) walk.round({});
  ModelMessages messages(9, spec_of_thousand(), 2000);
  messages.set_model(walk.held);
  for (int turn = 0; turn < 3; ++turn) {
    for (uint64_t held = 1; held < walk.held.version; ++held) {
      messages.message_for(held, walk.deltas);
      EXPECT_LE(messages.cached_bytes(), 2000U);
    }
  }
}

}  // namespace
}  // namespace runnel::coordinator
