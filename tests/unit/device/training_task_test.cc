// Error feedback: nothing that compression loses is lost, only late.
#include "device/training_task.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "runtime/codec/update_codec.h"
#include "runtime/train/initialize.h"
#include "runtime/wire/frame.h"
#include "tests/unit/device/small_task.h"

namespace runnel::device {
namespace {

TEST(ErrorFeedback, WhatWasSentAndWhatIsKeptAddUpToWhatWasTrained) {
  const SmallTask small;
  std::vector<double> trained(small.layout.parameter_count);
  std::vector<double> received(small.layout.parameter_count);
  Carried carried;
  for (uint32_t round = 1; round <= 5; ++round) {
    plan::RoundPlan exact = small.plan(round);
    exact.codec.codec = plan::CodecId::kFp32;
    const TrainedUpdate whole = small.train(exact, {});
    EXPECT_TRUE(whole.residual.empty());
    small.add_to(whole, trained);

    plan::RoundPlan coarse = small.plan(round);
    coarse.codec.codec = plan::CodecId::kDeadzone;
    coarse.codec.bits = 0.3F;
    coarse.codec.error_feedback = true;
    TrainedUpdate sent = small.train(coarse, carried);
    EXPECT_LT(sent.message.size(), whole.message.size());
    carried = {};
    if (round == 3) {
      // Refused: the next one makes up for it.
      ASSERT_TRUE(add_update(sent.message, small.layout, sent.residual).ok());
    } else {
      small.add_to(sent, received);
    }
    carried.residual = std::move(sent.residual);
  }
  double gap = 0.0;
  double size = 0.0;
  double left = 0.0;
  for (size_t i = 0; i < trained.size(); ++i) {
    gap += std::pow(trained[i] - received[i] - double{carried.residual[i]}, 2);
    left += std::pow(double{carried.residual[i]}, 2);
    size += trained[i] * trained[i];
  }
  EXPECT_LT(gap, 1e-10 * size);
  EXPECT_GT(left, 1e-3 * size);  // else there was nothing to keep, and nothing was tested
}

TEST(ErrorFeedback, AnUpdateForAnotherModelIsNotAdded) {
  const SmallTask small;
  const std::vector<uint8_t> garbage = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  std::vector<float> sums(small.layout.parameter_count, 3.0F);
  EXPECT_FALSE(add_update(garbage, small.layout, sums).ok());
  EXPECT_EQ(sums, std::vector<float>(small.layout.parameter_count, 3.0F));
}

TEST(FurtherUpdates, TrainingBeginsWhereTheWaitingOnesHaveLed) {
  const SmallTask small;
  plan::RoundPlan plan = small.plan(1);
  plan.codec.codec = plan::CodecId::kFp32;
  std::vector<float> first(small.layout.parameter_count);
  ASSERT_TRUE(add_update(small.train(plan, {}).message, small.layout, first).ok());
  // The model that includes the first update gives, from the same seed, what the model and the update ahead of it give.
  wire::Model model;
  ASSERT_TRUE(wire::decode_model(small.model, model).ok());
  std::vector<float> moved(model.parameters.begin(), model.parameters.end());
  for (size_t i = 0; i < moved.size(); ++i) moved[i] += first[i];
  SmallTask further;
  wire::replace_model(further.model, 1, moved);
  EXPECT_EQ(small.train(plan, {}, {}, false, first).message, further.train(plan, {}).message);
  TrainingTask task("d", *small.examples, 0);
  first.pop_back();
  EXPECT_EQ(task.start(plan, 1, small.model, {}, {}, false, first).error(), Error::kShape);
}

// What a device grants decides how the steps are arranged, or the refusal says what would do.
TEST(TrainingMemory, FitsWhatIsGrantedOrSaysWhatWould) {
  const SmallTask small;
  plan::RoundPlan plan = small.plan(1);
  plan.training.batch_size = 32;
  TrainingTask unlimited("d", *small.examples, 0);
  ASSERT_TRUE(unlimited.start(plan, 1, small.model).ok());
  const train::MemoryPlan all = unlimited.memory();
  EXPECT_EQ(all.slice_examples, 32U);
  // A line short: the block need not be aligned.
  TrainingTask limited("d", *small.examples, all.total_bytes + unlimited.memory_beside().total());
  ASSERT_TRUE(limited.start(plan, 1, small.model).ok());
  EXPECT_LT(limited.memory().slice_examples, 32U);
  EXPECT_LT(limited.memory().total_bytes, all.total_bytes);
  TrainingTask starved("d", *small.examples, 1000);
  const Failure refused = starved.start(plan, 1, small.model);
  EXPECT_EQ(refused.error(), Error::kNoMemory);
  const std::string text = refused.text();
  EXPECT_NE(text.find("model \"small\": training needs at least "), std::string::npos) << text;
  const size_t enough = std::strtoull(text.c_str() + text.find("least ") + 6, nullptr, 10);
  TrainingTask just("d", *small.examples, enough);
  EXPECT_TRUE(just.start(plan, 1, small.model).ok());
}

}  // namespace
}  // namespace runnel::device
