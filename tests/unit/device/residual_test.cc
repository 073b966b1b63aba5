// What the device's engine does with an update that the coordinator does not take, when the plan asks for error
// feedback.
#include <gtest/gtest.h>

#include "tests/unit/device/played_device.h"

namespace runnel::device {
namespace {

TEST(Residual, ARefusedUpdateIsCarriedIntoTheNext) {
  Played device(true);
  const StartTraining first = device.plan_round(1);
  EXPECT_TRUE(first.carried.residual.empty());
  device.finish(first);
  ASSERT_TRUE(device.outbox().pending());
  device.refuse(first.sequence);
  EXPECT_FALSE(device.outbox().pending());

  const StartTraining second = device.plan_round(2);
  EXPECT_FALSE(second.carried.residual.empty());
  EXPECT_FALSE(second.carried.returned.empty());
  device.finish(second);
  EXPECT_EQ(device.outbox().front()->sequence, second.sequence);
  EXPECT_EQ(device.outbox().entries().size(), 1U);
}

TEST(Residual, AnAcknowledgedUpdateLeavesOnlyItsResidual) {
  Played device(true);
  const StartTraining first = device.plan_round(1);
  device.finish(first);
  device.say(wire::UpdateAck{first.sequence, wire::UpdateState::kDurable, 0});
  const StartTraining second = device.plan_round(2);
  EXPECT_FALSE(second.carried.residual.empty());
  EXPECT_TRUE(second.carried.returned.empty());
}

TEST(Residual, WhetherAnOvertakenUpdateCountedIsAskedBeforeTheNextMakesUpForIt) {
  Played device(true);
  const StartTraining first = device.plan_round(1);
  device.finish(first);
  ASSERT_TRUE(device.outbox().pending());
  device.say_plan(2);
  EXPECT_FALSE(device.take_training().has_value());
  EXPECT_EQ(device.offered(), (std::vector<uint64_t>{1, 1}));
  device.refuse(first.sequence);
  const auto second = device.take_training();
  ASSERT_TRUE(second.has_value());
  EXPECT_FALSE(device.outbox().pending());
  EXPECT_EQ(second->carried.returned, (std::vector<uint64_t>{1}));
}

// What nobody can use now would be no better in the next update, nor would what was left over of it.
TEST(Residual, AnUpdateThatCannotBeUsedIsNotCarried) {
  for (const wire::Reason reason : {wire::Reason::kLimit, wire::Reason::kNotFinite, wire::Reason::kShape}) {
    Played device(true);
    const StartTraining first = device.plan_round(1);
    device.finish(first);
    device.refuse(first.sequence, reason);
    EXPECT_FALSE(device.outbox().pending());
    const StartTraining second = device.plan_round(2);
    EXPECT_TRUE(second.carried.residual.empty());
    EXPECT_TRUE(second.carried.returned.empty());
    device.finish(second);
    EXPECT_EQ(device.outbox().front()->sequence, second.sequence);
  }
}

TEST(Residual, WithoutErrorFeedbackARefusedUpdateIsForgotten) {
  Played device(false);
  const StartTraining first = device.plan_round(1);
  device.finish(first);
  device.refuse(first.sequence);
  const StartTraining second = device.plan_round(2);
  EXPECT_TRUE(second.carried.residual.empty());
  EXPECT_TRUE(second.carried.returned.empty());
}

}  // namespace
}  // namespace runnel::device
