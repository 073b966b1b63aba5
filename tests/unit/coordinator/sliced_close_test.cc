// A round whose aggregation takes long is closed in slices, between which devices are answered.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/coordinator/played_fleet.h"

namespace runnel::coordinator {
namespace {

class SlicedClose : public PlayedFleet {
 public:
  void begin_krum(uint64_t slice) {
    plan().min_devices = kDevices;
    plan().aggregation.method = AggregationMethod::kKrum;
    plan().aggregation.byzantine = 1;
    plan().aggregation.krum_keep = 2;
    plan().rounds = 2;
    options_.round.aggregate_slice = slice;
    begin();
    for (int i = 0; i < kDevices; ++i) come(name(i));
  }
  void send_all() {
    for (int i = 0; i < kDevices; ++i) send({.device = name(i), .by = i == 0 ? 100.0F : 0.5F});
  }
  FleetPlan& plan() { return options_.round.plan; }
  static std::string name(int device) { return "device-" + std::to_string(device); }

  static constexpr int kDevices = 7;
};

TEST_F(SlicedClose, DevicesAreAnsweredMeanwhile) {
  begin_krum(1);
  send_all();
  int slices = 0;
  for (; closed() == 0; ++slices) {
    ASSERT_LT(slices, 100);
    ASSERT_EQ(engine_->rounds().phase(), RoundEngine::Phase::kClosing);
    EXPECT_EQ(count_requests(kCloseRequest), 0U);
    ASSERT_LE(engine_->next_timeout(), now_) << "it goes on without waiting for anything";
    const ByteView ping = builder_.build(wire::Ping{77});
    engine_->handle_frame(now_, sessions_.at(name(3)), std::vector<uint8_t>(ping.begin(), ping.end()));
    const auto answer = engine_->poll_frame(now_);
    ASSERT_TRUE(answer.has_value());
    frame_.assign(answer->bytes.begin(), answer->bytes.end());
    EXPECT_TRUE(std::holds_alternative<wire::Pong>(wire::decode_frame(frame_).value()));
    engine_->handle_timeout(now_);
    turn();
  }
  EXPECT_GE(slices, kDevices - 2);
  EXPECT_EQ(parameter(), 0.5F);
  EXPECT_EQ(told_[name(3)].durable(), 1U);
  EXPECT_EQ(open_round(), 2U);
}

TEST_F(SlicedClose, WhatTakesLittleIsDoneAtOnce) {
  begin_krum(RoundOptions{}.aggregate_slice);
  send_all();
  EXPECT_EQ(closed(), 1U);
  EXPECT_EQ(parameter(), 0.5F);
}

TEST_F(SlicedClose, ARestartInBetweenBeginsItAnew) {
  begin_krum(1);
  send_all();
  ASSERT_EQ(closed(), 0U);
  start();
  for (int i = 0; i < kDevices; ++i) come(name(i));
  pass(milliseconds(1));
  EXPECT_EQ(closed(), 1U);
  EXPECT_EQ(parameter(), 0.5F);
}

}  // namespace
}  // namespace runnel::coordinator
