// What a device found on examples of its own, as it travels with its update.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "runtime/wire/frame.h"

namespace runnel::wire {
namespace {

std::vector<uint8_t> message_with(const plan::LocalEvaluation& evaluation) {
  Update update;
  update.run = 1;
  update.device = "d";
  update.sequence = 1;
  update.round = 1;
  update.model_version = 1;
  update.sample_count = 10;
  update.evaluation = evaluation;
  std::vector<uint8_t> memory(update_overhead_bytes_max(0));
  const Result<ByteView> built = build_update(update, memory);
  EXPECT_TRUE(built.ok());
  return {built->begin(), built->end()};
}

Failure decode(const plan::LocalEvaluation& evaluation, plan::LocalEvaluation& read) {
  const std::vector<uint8_t> message = message_with(evaluation);
  Update update;
  Failure decoded = decode_update(message, update);
  read = update.evaluation;
  return decoded;
}

TEST(Evaluation, TravelsWithAnUpdate) {
  const plan::LocalEvaluation sent{plan::Metric::kRmse, 12, 0.5F, 0.7F, 0.25F, 0.5F};
  plan::LocalEvaluation read;
  ASSERT_TRUE(decode(sent, read).ok());
  EXPECT_EQ(read, sent);
  const plan::LocalEvaluation tuned{plan::Metric::kRmse, 12, 0.5F, 0.7F, 0.25F, 0.5F, 50, 0.125F, 0.25F};
  ASSERT_TRUE(decode(tuned, read).ok());
  EXPECT_EQ(read, tuned);
  ASSERT_TRUE(decode({}, read).ok());
  EXPECT_EQ(read.examples, 0U);
}

TEST(Evaluation, IsRefusedWhenItCannotBe) {
  plan::LocalEvaluation read;
  EXPECT_EQ(decode({plan::Metric::kNone, 12, 0.5F, 0.7F, 0.25F, 0.5F}, read).error(), Error::kOutOfRange);
  EXPECT_EQ(decode({static_cast<plan::Metric>(99), 12, 0.5F, 0.7F, 0.25F, 0.5F}, read).error(), Error::kOutOfRange);
  EXPECT_EQ(decode({plan::Metric::kAuc, kSampleCountMax + 1, 0.5F, 0.7F, 0.25F, 0.5F}, read).error(),
            Error::kOutOfRange);
  EXPECT_EQ(decode({plan::Metric::kAuc, 1, 0.5F, std::numeric_limits<float>::quiet_NaN(), 0.25F, 0.5F}, read).error(),
            Error::kNotFinite);
  EXPECT_EQ(decode({plan::Metric::kAuc, 1, 0.5F, 0.5F, 0.25F, std::numeric_limits<float>::infinity()}, read).error(),
            Error::kNotFinite);
  EXPECT_EQ(
      decode({plan::Metric::kAuc, 1, 0.5F, 0.5F, 0.5F, 0.5F, 1, std::numeric_limits<float>::quiet_NaN(), 0.5F}, read)
          .error(),
      Error::kNotFinite);
  EXPECT_EQ(
      decode({plan::Metric::kAuc, 1, 0.5F, 0.5F, 0.5F, 0.5F, plan::kFineTuneStepsMax + 1, 0.5F, 0.5F}, read).error(),
      Error::kOutOfRange);
}

}  // namespace
}  // namespace runnel::wire
