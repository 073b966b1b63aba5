// Updates that are not complete yet: what is there of them outlives the coordinator, within bounds.
#include <gmock/gmock.h>

#include "tests/unit/coordinator/played_fleet.h"

namespace runnel::coordinator {
namespace {

using testing::IsEmpty;

class UploadDurability : public PlayedFleet {
 public:
  // An update is about 96 KiB. One device of two is enough for a round, which takes its time.
  void begin_large() {
    options_.round.plan.min_devices = 2;
    options_.round.plan.deadline_seconds = 3e7;
    options_.uploads_unsaved_bytes_max = 32 * 1024;
    begin(12'000);
  }
  void come_all() {
    come("pump");
    come("valve");
  }
  void offer(const MadeUpdate& made) { say(made.device, offer_of(made, message(made))); }
  uint64_t received(const std::string& device) { return told_[device].acks.back().received_bytes; }
  std::vector<UploadPart> stored() { return store_->load()->uploads; }
  size_t saves() const { return count_requests(kSaveRequest); }
  const MadeUpdate update_{.device = "pump"};
};

TEST_F(UploadDurability, AnUploadGoesOnWhereItStoppedAfterARestart) {
  begin_large();
  come_all();
  offer(update_);
  send_bytes(update_, 0, 12'288);
  EXPECT_EQ(saves(), 0U);
  pass(milliseconds(1'100));
  EXPECT_EQ(saves(), 1U);
  send_bytes(update_, 12'288, 16'384);
  pass(milliseconds(1'100));
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_EQ(stored()[0].bytes.size(), 16'384U);
  send_bytes(update_, 16'384, 20'480);  // not durable yet
  start();
  come_all();
  offer(update_);
  ASSERT_EQ(received("pump"), 16'384U);
  const uint64_t total = message(update_).size();
  send_bytes(update_, 16'384, total);
  EXPECT_EQ(told_["pump"].durable(), 1U);
  EXPECT_THAT(stored(), IsEmpty());
  EXPECT_EQ(store_->load()->accepted.at(0).blob, ByteBuffer(message(update_)));
}

TEST_F(UploadDurability, ManyBytesAreSavedAtOnceAndOnlyOnce) {
  begin_large();
  come_all();
  offer(update_);
  send_bytes(update_, 0, 32'768);
  EXPECT_EQ(saves(), 0U);
  send_bytes(update_, 32'768, 36'864);
  EXPECT_EQ(saves(), 1U);
  EXPECT_EQ(stored().at(0).bytes.size(), 36'864U);
  pass(seconds(5));
  EXPECT_EQ(saves(), 1U);
}

TEST_F(UploadDurability, WhoLeavesIsSavedAtOnce) {
  begin_large();
  come_all();
  offer(update_);
  send_bytes(update_, 0, 4096);
  leave("pump");
  EXPECT_EQ(stored().at(0).bytes.size(), 4096U);
}

TEST_F(UploadDurability, DevicesShareATransaction) {
  begin_large();
  come_all();
  const MadeUpdate other{.device = "valve"};
  offer(update_);
  offer(other);
  send_bytes(update_, 0, 4096);
  pass(milliseconds(400));
  send_bytes(other, 0, 8192);
  pass(seconds(2));
  EXPECT_EQ(saves(), 1U);
  EXPECT_EQ(stored().size(), 2U);
}

TEST_F(UploadDurability, WholeUpdatesInTheirOfferNeverGoThisWay) {
  options_.round.plan.min_devices = 2;
  options_.round.plan.deadline_seconds = 3e7;
  begin();
  come_all();
  send(update_);
  pass(seconds(5));
  EXPECT_EQ(told_["pump"].durable(), 1U);
  EXPECT_EQ(saves(), 0U);
}

TEST_F(UploadDurability, AFullDiskStopsNothingAndIsTriedAgain) {
  begin_large();
  come_all();
  offer(update_);
  disk_full_ = true;
  send_bytes(update_, 0, 40'960);
  EXPECT_EQ(saves(), 1U);
  EXPECT_EQ(received("pump"), 40'960U) << "the upload goes on";
  EXPECT_THAT(stored(), IsEmpty());
  pass(seconds(1));
  EXPECT_EQ(saves(), 1U);
  pass(seconds(2));
  EXPECT_EQ(saves(), 2U);
  disk_full_ = false;
  pass(seconds(3));
  EXPECT_EQ(stored().at(0).bytes.size(), 40'960U);
  send_bytes(update_, 40'960, message(update_).size());
  EXPECT_EQ(told_["pump"].durable(), 1U);
}

TEST_F(UploadDurability, AWholeUpdateOvertakesTheRetryOfItsParts) {
  begin_large();
  come_all();
  offer(update_);
  send_bytes(update_, 0, 4096);
  disk_full_ = true;
  pass(seconds(2));
  disk_full_ = false;
  send_bytes(update_, 4096, message(update_).size());
  EXPECT_EQ(told_["pump"].durable(), 1U);
  EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(UploadDurability, WhatCanNoLongerCountIsDroppedOnDiskToo) {
  options_.round.plan.rounds = 3;
  begin_large();
  come_all();
  options_.round.plan.deadline_seconds = 60.0;
  start();
  come_all();
  const MadeUpdate other{.device = "valve"};
  offer(other);
  send_bytes(other, 0, 8192);
  offer(update_);
  send_bytes(update_, 0, message(update_).size());
  pass(seconds(2));
  ASSERT_EQ(stored().size(), 1U);
  pass(seconds(60));
  ASSERT_EQ(closed(), 1U);
  EXPECT_EQ(told_["valve"].refusals.back().reason, wire::Reason::kRoundClosed);
  pass(seconds(2));
  EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(UploadDurability, PartsOfAnotherRunOrAClosedRoundAreDroppedAtTheStart) {
  begin_large();
  come_all();
  UploadPart part;
  part.run = 99;
  part.sequence = 1;
  part.round = 1;
  part.total_bytes = 100;
  part.bytes = {1, 2, 3};
  part.device = "pump";
  UploadPart closed_round = part;
  closed_round.device = "valve";
  closed_round.run = kPlayedRun;
  closed_round.round = 7;
  ASSERT_TRUE(store_->save_uploads(std::vector{part, closed_round}, {}).ok());
  start();
  EXPECT_EQ(engine_->upload_count(), 0U);
  pass(seconds(2));
  EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(UploadDurability, AnAbandonedUploadAgesOut) {
  begin_large();
  come_all();
  offer(update_);
  send_bytes(update_, 0, 8192);
  leave("pump");
  pass(seconds(6 * 86'400));
  ASSERT_EQ(stored().size(), 1U);
  start();  // silence before a restart counts
  EXPECT_EQ(engine_->upload_count(), 1U);
  pass(seconds(86'400 + 5));
  EXPECT_EQ(engine_->upload_count(), 0U);
  EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(UploadDurability, WhoIsSilentLongestGivesWayOnDiskToo) {
  options_.uploads_bytes_max = 100'000;
  begin_large();
  come_all();
  const MadeUpdate other{.device = "valve"};
  offer(update_);
  send_bytes(update_, 0, 8192);
  pass(seconds(2));
  offer(other);
  ASSERT_EQ(told_["valve"].refusals.size(), 1U);
  EXPECT_EQ(told_["valve"].refusals[0].reason, wire::Reason::kBusy);
  EXPECT_GT(told_["valve"].refusals[0].retry_after_ms, 0U);
  pass(seconds(31));
  offer(other);
  EXPECT_EQ(told_["valve"].refusals.size(), 1U);
  send_bytes(other, 0, 4096);
  pass(seconds(2));
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_EQ(stored()[0].device, "valve");
  EXPECT_LE(engine_->counters().held_bytes_max, 100'000U + UploadTable::kSaveBytesMax);
}

TEST_F(UploadDurability, ASmallerBoundAfterARestartKeepsTheNewest) {
  begin_large();
  come_all();
  const MadeUpdate other{.device = "valve"};
  offer(update_);
  send_bytes(update_, 0, 8192);
  pass(seconds(10));
  offer(other);
  send_bytes(other, 0, 8192);
  pass(seconds(10));
  ASSERT_EQ(stored().size(), 2U);
  options_.uploads_bytes_max = 100'000;
  start();
  pass(seconds(2));
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_EQ(stored()[0].device, "valve");
}

TEST_F(UploadDurability, AnotherUpdateOfTheDeviceReplacesTheFirstOnDisk) {
  options_.round.plan.policy.staleness_max = 2;
  begin_large();
  come_all();
  offer(update_);
  send_bytes(update_, 0, 8192);
  pass(seconds(2));
  MadeUpdate second = update_;
  second.sequence = 2;
  second.by = 3.0F;
  offer(second);
  send_bytes(second, 0, 4096);
  pass(seconds(2));
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_EQ(stored()[0].sequence, 2U);
  start();
  come_all();
  offer(second);
  EXPECT_EQ(received("pump"), 4096U);
  send_bytes(second, 4096, message(second).size());
  EXPECT_EQ(told_["pump"].durable(), 2U);
}

TEST_F(UploadDurability, ADamagedUploadBeginsAgainFromTheStart) {
  begin_large();
  come_all();
  wire::UpdateOffer wrong = offer_of(update_, message(update_));
  wrong.checksum ^= 1;
  say("pump", wrong);
  send_bytes(update_, 0, 40'960);
  ASSERT_EQ(stored().size(), 1U);
  send_bytes(update_, 40'960, message(update_).size());
  ASSERT_EQ(told_["pump"].refusals.size(), 1U);
  EXPECT_EQ(told_["pump"].refusals[0].reason, wire::Reason::kChecksum);
  pass(seconds(2));
  EXPECT_THAT(stored(), IsEmpty());
  offer(update_);
  EXPECT_EQ(received("pump"), 0U);
}

TEST_F(UploadDurability, RestartsCostLittleMoreThanTheBytesOfASecond) {
  begin_large();
  come_all();
  const uint64_t total = message(update_).size();
  uint64_t at = 0;
  uint64_t resent = 0;
  offer(update_);
  for (int step = 0; at < total && step < 200; ++step) {
    const uint64_t end = std::min<uint64_t>(total, at + 4096);
    send_bytes(update_, at, end);
    at = end;
    pass(milliseconds(150));
    if (step % 9 != 8 || at == total) continue;
    start();
    come_all();
    offer(update_);
    ASSERT_LE(received("pump"), at);
    resent += at - received("pump");
    at = received("pump");
  }
  EXPECT_EQ(told_["pump"].durable(), 1U);
  EXPECT_LE(resent, 3U * 32'768U);
}

}  // namespace
}  // namespace runnel::coordinator
