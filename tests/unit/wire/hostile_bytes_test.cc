// Truncated, flipped and foreign bytes: each gives a message or a failure, never a crash, and nothing outside the
// buffer is read (run it under the address sanitizer to see that).
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "runtime/wire/frame.h"
#include "tests/golden/wire/samples.h"
#include "tests/unit/wire/describe.h"
#include "tests/unit/wire/exact_bytes.h"

namespace runnel::wire {
namespace {

constexpr uint8_t kExtremes[] = {0x00, 0x01, 0x04, 0x7F, 0x80, 0xFE, 0xFF};

struct Bytes {
  std::string name;
  std::vector<uint8_t> bytes;
  std::function<Failure(ByteView)> decode;  // and reads every field of what came out
};

Failure try_frame(ByteView bytes) {
  const Result<Message> message = decode_frame(bytes);
  if (!message) return message.failure();
  EXPECT_FALSE(describe(*message).empty());
  return Error::kOk;
}

Failure try_update(ByteView bytes) {
  Update update;
  RUNNEL_TRY(decode_update(bytes, update));
  EXPECT_EQ(update.tensors.size(), update.tensor_names.size());
  EXPECT_FALSE(describe(update).empty());
  return Error::kOk;
}

Failure try_model(ByteView bytes) {
  Model model;
  RUNNEL_TRY(decode_model(bytes, model));
  EXPECT_FALSE(describe(model).empty());
  return Error::kOk;
}

std::vector<Bytes> all_samples() {
  std::vector<Bytes> all;
  FrameBuilder builder;
  for (const auto& sample : samples::frames()) {
    const ByteView built = builder.build(sample.message);
    all.push_back({sample.file, {built.begin(), built.end()}, try_frame});
  }
  std::vector<uint8_t> memory(8192);
  for (const Update& update : {samples::update_fp32(), samples::update_qsgd()}) {
    const Result<ByteView> built = build_update(update, memory);
    all.push_back({"update", {built->begin(), built->end()}, try_update});
  }
  const std::vector<float> parameters = samples::parameters();
  const Result<ByteView> built = build_model(samples::model(parameters), memory);
  all.push_back({"model", {built->begin(), built->end()}, try_model});
  return all;
}

TEST(HostileBytes, TheSamplesThemselvesDecode) {
  for (const Bytes& sample : all_samples()) {
    const ExactBytes exact(sample.bytes);
    const Failure bad = sample.decode(exact.view());
    EXPECT_TRUE(bad.ok()) << sample.name << ": " << bad.text();
  }
}

TEST(HostileBytes, ATruncatedOneIsRefusedInWordsOrStillWhole) {
  for (const Bytes& sample : all_samples()) {
    for (size_t size = 0; size < sample.bytes.size(); ++size) {
      const ExactBytes exact(ByteView(sample.bytes).first(size));
      const Failure bad = sample.decode(exact.view());
      // FlatBuffers are written back to front: what a short cut removes is the end of the first field written. Only
      // padding may be missing from what still decodes.
      if (bad.ok()) {
        EXPECT_LT(sample.bytes.size() - size, 8U) << sample.name;
        continue;
      }
      EXPECT_TRUE(bad.error() == Error::kTruncated || bad.error() == Error::kMalformed) << sample.name << " " << size;
      if (size < 12) {
        EXPECT_EQ(bad.error(), Error::kTruncated);
      }
      EXPECT_STRNE(bad.text(), "");
    }
  }
}

TEST(HostileBytes, EverySingleBitFlipGivesAMessageOrAFailure) {
  size_t decoded = 0;
  size_t refused = 0;
  for (const Bytes& sample : all_samples()) {
    ExactBytes exact(sample.bytes);
    for (size_t bit = 0; bit < exact.size() * 8; ++bit) {
      exact.flip(bit);
      const Failure bad = sample.decode(exact.view());
      ++(bad.ok() ? decoded : refused);
      if (!bad.ok()) {
        EXPECT_STRNE(bad.text(), "") << sample.name << " bit " << bit;
      }
      exact.flip(bit);
    }
  }
  EXPECT_GT(decoded, 1000U);  // values change, and that is for the engines to judge
  EXPECT_GT(refused, 1000U);
}

TEST(HostileBytes, EveryByteSetToItsExtremes) {
  for (const Bytes& sample : all_samples()) {
    ExactBytes exact(sample.bytes);
    for (size_t at = 0; at < exact.size(); ++at) {
      for (const uint8_t value : kExtremes) {
        exact[at] = value;
        (void)sample.decode(exact.view()).ok();
      }
      exact[at] = sample.bytes[at];
    }
  }
}

TEST(HostileBytes, GarbageBehindAMessageIsNotRead) {
  for (const Bytes& sample : all_samples()) {
    for (const size_t extra : {1U, 7U, 100U}) {
      std::vector<uint8_t> longer = sample.bytes;
      longer.resize(longer.size() + extra, 0xFF);
      const ExactBytes exact(longer);
      const Failure bad = sample.decode(exact.view());
      EXPECT_TRUE(bad.ok()) << sample.name << ": " << bad.text();
    }
  }
}

TEST(HostileBytes, OneKindIsNotAnother) {
  for (const Bytes& sample : all_samples()) {
    const ExactBytes exact(sample.bytes);
    int accepted = 0;
    for (const auto& decode : {try_frame, try_update, try_model}) {
      const Failure bad = decode(exact.view());
      if (bad.ok()) {
        ++accepted;
      } else {
        EXPECT_EQ(bad.error(), Error::kMalformed);
        EXPECT_NE(std::string(bad.text()).find("identifier"), std::string::npos) << bad.text();
      }
    }
    EXPECT_EQ(accepted, 1) << sample.name;
  }
}

TEST(HostileBytes, OfNoUseAtAll) {
  for (const size_t size : {0U, 1U, 11U, 12U, 13U, 64U, 15360U}) {
    for (const uint8_t fill : {uint8_t{0}, uint8_t{0x20}, uint8_t{0xFF}}) {
      const ExactBytes exact(std::vector<uint8_t>(size, fill));
      for (const auto& decode : {try_frame, try_update, try_model}) EXPECT_FALSE(decode(exact.view()).ok());
    }
  }
}

TEST(HostileBytes, AFrameAboveTheLimitIsNotLookedAt) {
  FrameBuilder builder;
  const ByteView ping = builder.build(Ping{1});
  std::vector<uint8_t> longer(ping.begin(), ping.end());
  longer.resize(kFrameBytesMax);
  EXPECT_TRUE(decode_frame(ExactBytes(longer).view()).ok());
  longer.resize(kFrameBytesMax + 1);
  EXPECT_EQ(decode_frame(ExactBytes(longer).view()).error(), Error::kLimit);
}

}  // namespace
}  // namespace runnel::wire
