#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "runtime/wire/frame.h"
#include "tests/golden/wire/samples.h"
#include "tests/unit/wire/describe.h"
#include "tests/unit/wire/exact_bytes.h"

namespace runnel::wire {
namespace {

TEST(FrameBuilder, IsUsedAgainAndAgainAndAlwaysMakesTheSameBytes) {
  FrameBuilder builder;
  std::vector<std::vector<uint8_t>> first;
  for (int pass = 0; pass < 3; ++pass) {
    size_t i = 0;
    for (const auto& sample : samples::frames()) {
      const ByteView bytes = builder.build(sample.message);
      if (pass == 0) first.emplace_back(bytes.begin(), bytes.end());
      EXPECT_EQ(std::vector<uint8_t>(bytes.begin(), bytes.end()), first[i++]) << sample.file;
    }
  }
}

TEST(FrameBuilder, TheLargestMessageOfEachKindFits) {
  const std::string text(kTextBytesMax, 'x');
  const std::vector<uint8_t> payload(kChunkBytesMax, 0x5A);
  Hello hello = samples::hello();
  hello.device = text;
  hello.software = text;
  while (hello.codecs.push_back(9)) continue;
  Welcome welcome = samples::welcome();
  welcome.software = text;
  FrameBuilder builder;
  for (const Message& message :
       {Message(hello), Message(welcome), Message(Refusal{Reason::kLimit, text, ~0ULL, ~0U}),
        Message(ModelChunk{~0ULL, 0, kBlobBytesMax, payload}), Message(UpdateChunk{~0ULL, 1, payload})}) {
    EXPECT_LE(builder.build(message).size(), kFrameBytesMax) << message_name(message);
  }
}

TEST(FrameBuilderDeathTest, AChunkAboveTheLimitIsOurBug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::vector<uint8_t> payload(kChunkBytesMax + 1);
  FrameBuilder builder;
  EXPECT_DEATH((void)builder.build(UpdateChunk{1, 0, payload}), "broken invariant");
}

TEST(MessageName, IsTheSchemasName) {
  std::vector<std::string> names;
  for (const auto& sample : samples::frames()) names.emplace_back(message_name(sample.message));
  EXPECT_EQ(names,
            (std::vector<std::string>{"Hello", "Welcome", "RoundPlan", "ModelRequest", "ModelChunk", "UpdateOffer",
                                      "UpdateChunk", "UpdateAck", "Refusal", "Ping", "Pong", "Bye"}));
}

TEST(ReasonName, IsOneForEachAndUnspecifiedForOthers) {
  std::set<std::string> names;
  for (uint16_t reason = 0; reason <= 15; ++reason) names.insert(reason_name(static_cast<Reason>(reason)));
  EXPECT_EQ(names.size(), 16U);
  EXPECT_STREQ(reason_name(Reason::kRoundClosed), "round_closed");
  EXPECT_STREQ(reason_name(Reason::kCodec), "codec");
  EXPECT_STREQ(reason_name(static_cast<Reason>(16)), "unspecified");
  EXPECT_STREQ(reason_name(static_cast<Reason>(65535)), "unspecified");
}

TEST(BuildUpdate, MemoryThatIsTooSmallIsRefused) {
  const Update update = samples::update_qsgd();
  size_t needed = update_overhead_bytes_max(update.tensors.size());
  for (const auto& tensor : update.tensors) needed += tensor.payload.size();
  std::vector<uint8_t> memory(needed);
  EXPECT_EQ(build_update(update, MutableByteView(memory).first(needed - 1)).error(), Error::kNoMemory);
  EXPECT_EQ(build_update(update, {}).error(), Error::kNoMemory);
  const Result<ByteView> built = build_update(update, memory);
  ASSERT_TRUE(built.ok());
  EXPECT_GE(built->data(), memory.data());
  EXPECT_LE(built->data() + built->size(), memory.data() + memory.size());
}

TEST(BuildModel, MemoryThatIsTooSmallIsRefused) {
  const std::vector<float> parameters = samples::parameters();
  const Model model = samples::model(parameters);
  const size_t needed = model_bytes_max(model.spec, parameters.size());
  std::vector<uint8_t> memory(needed);
  EXPECT_EQ(build_model(model, MutableByteView(memory).first(needed - 1)).error(), Error::kNoMemory);
  EXPECT_TRUE(build_model(model, memory).ok());
}

// The statement of how much a tensor or a layer takes at most, at its worst: the longest names, the most of them, and
// no memory to spare.
TEST(BuildUpdate, TheStatedSizeIsEnoughAtItsWorst) {
  const std::string name(kNameBytesMax, 'n');
  for (size_t count : {size_t{0}, size_t{1}, size_t{plan::kTensorsMax}}) {
    for (size_t payload_bytes = 0; payload_bytes < 9; ++payload_bytes) {
      const std::vector<uint8_t> payload(payload_bytes, 1);
      Update update = samples::update_fp32();
      update.device = name;
      update.tensors.clear();
      update.tensor_names.clear();
      for (size_t i = 0; i < count; ++i) {
        samples::add_tensor(update, name, {plan::CodecId::kQsgd, 1, 2, 3, 4, 5.0F, payload});
      }
      std::vector<uint8_t> memory(update_overhead_bytes_max(count) + count * payload_bytes);
      EXPECT_TRUE(build_update(update, memory).ok()) << count << " " << payload_bytes;
    }
  }
}

}  // namespace
}  // namespace runnel::wire
