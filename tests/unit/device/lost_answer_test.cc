// An update that counts, and of which the device was never told so: the coordinator died between its disk and the
// answer, or the link did.
#include <gtest/gtest.h>

#include "tests/unit/device/played_device.h"

namespace runnel::device {
namespace {

// With error feedback an update that did not count is part of the next one; without, it is replaced by it.
class LostAnswer : public ::testing::TestWithParam<bool> {
 protected:
  LostAnswer() : device_(GetParam()) {
    const StartTraining first = device_.plan_round(1);
    device_.finish(first);
    EXPECT_EQ(device_.offered(), (std::vector<uint64_t>{1}));
    device_.notices(Notice::Kind::kUpdateDurable);
    device_.link_down();
  }
  void come_back(uint64_t last_sequence) {
    device_.advance(seconds(5));
    device_.engine().handle_timeout(device_.now());
    device_.sent_.clear();
    device_.link_up(last_sequence);
  }
  void expect_said_once() {
    EXPECT_EQ(device_.notices(Notice::Kind::kUpdateDurable).size(), 1U);
    EXPECT_EQ(device_.engine().updates_acknowledged(), 1U);
    EXPECT_EQ(device_.engine().last_acknowledged(), 1U);
  }
  // The next round does not make up for an update that counts.
  static void expect_next_round_is_its_own(const StartTraining& second) {
    EXPECT_TRUE(second.carried.returned.empty());
  }

  Played device_;
};

TEST_P(LostAnswer, TheGreetingSaysItAndTheNextPlanComesBeforeAnyAnswer) {
  come_back(1);
  EXPECT_TRUE(device_.offered().empty()) << "there is nothing to ask";
  EXPECT_FALSE(device_.outbox().pending());
  const StartTraining second = device_.plan_round(2);
  device_.acknowledge(1);  // as a coordinator may that had the answer ready
  expect_next_round_is_its_own(second);
  device_.finish(second);
  expect_said_once();
  EXPECT_EQ(device_.outbox().front()->sequence, 2U);
}

TEST_P(LostAnswer, AndTheDiskDoesNotTakeNoteOfIt) {
  device_.flash().fail_writes(0, UINT64_MAX, Error::kStorageFull);
  come_back(1);
  EXPECT_TRUE(device_.outbox().pending());
  const StartTraining second = device_.plan_round(2);
  EXPECT_TRUE(device_.outbox().pending()) << "still";
  expect_next_round_is_its_own(second);
  device_.acknowledge(1);
  device_.flash().stop_faults();
  device_.finish(second);
  expect_said_once();
  ASSERT_TRUE(device_.outbox().pending());
  EXPECT_EQ(device_.outbox().entries().size(), 1U);
  EXPECT_EQ(device_.outbox().front()->sequence, 2U);
}

TEST_P(LostAnswer, OfWhichTheDiskTakesNoteAfterTheNextPlan) {
  device_.flash().fail_writes(0, UINT64_MAX, Error::kStorageFull);
  come_back(1);
  device_.flash().stop_faults();
  EXPECT_EQ(device_.offered(), (std::vector<uint64_t>{1})) << "it is asked about, for what there is on the disk";
  EXPECT_TRUE(std::get<wire::UpdateOffer>(device_.sent_.back()).payload.empty());
  const StartTraining second = device_.plan_round(2);
  expect_next_round_is_its_own(second);
  device_.acknowledge(1);
  device_.finish(second);
  expect_said_once();
  EXPECT_EQ(device_.outbox().entries().size(), 1U);
}

TEST_P(LostAnswer, TheLinkIsLostAgainBeforeTheNextUpdateIsMade) {
  device_.flash().fail_writes(0, UINT64_MAX, Error::kStorageFull);
  come_back(1);
  const StartTraining second = device_.plan_round(2);
  device_.flash().stop_faults();
  device_.link_down();
  expect_next_round_is_its_own(second);
  device_.finish(second);
  EXPECT_TRUE(device_.notices(Notice::Kind::kQueue).empty()) << "what counts is not dropped";
  EXPECT_EQ(device_.engine().updates_acknowledged(), 1U);
  EXPECT_EQ(device_.outbox().entries().size(), 1U);
}

TEST_P(LostAnswer, AfterARestartItIsSaidToo) {
  device_.boot();
  come_back(1);
  EXPECT_FALSE(device_.outbox().pending());
  expect_said_once();
}

TEST_P(LostAnswer, AnUpdateOfAnotherRunIsNotMeant) {
  device_.run_ = 2;
  come_back(1);
  EXPECT_EQ(device_.offered(), (std::vector<uint64_t>{1}));
  EXPECT_EQ(device_.engine().updates_acknowledged(), 0U);
}

TEST_P(LostAnswer, WhatTheGreetingDoesNotNameIsOfferedAgain) {
  come_back(0);
  EXPECT_EQ(device_.offered(), (std::vector<uint64_t>{1}));
  EXPECT_TRUE(device_.outbox().pending());
  EXPECT_EQ(device_.engine().updates_acknowledged(), 0U);
}

INSTANTIATE_TEST_SUITE_P(, LostAnswer, ::testing::Values(false, true), [](const auto& tested) {
  return tested.param ? std::string("WithErrorFeedback") : std::string("Without");
});

}  // namespace
}  // namespace runnel::device
