// Error feedback: nothing that compression loses is lost, only late.
#include "device/training_task.h"

#include <gtest/gtest.h>

#include <cmath>

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
      carried.returned = sent.message;
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

TEST(ErrorFeedback, AnUpdateForAnotherModelIsNotCarriedOver) {
  const SmallTask small;
  plan::RoundPlan plan = small.plan(1);
  plan.codec.error_feedback = true;
  Carried carried;
  carried.returned = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  TrainingTask task("d", *small.examples, 0);
  EXPECT_FALSE(task.start(plan, 1, small.model, carried).ok());
  EXPECT_FALSE(task.active());
}

}  // namespace
}  // namespace runnel::device
