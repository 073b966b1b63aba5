// The store, with the file closed and opened again after every step: what counts is what is on the disk.
#include "coordinator/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "coordinator/store/sqlite_store.h"
#include "runtime/base/crc32c.h"
#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ModelRecord model(uint64_t version, float value = 0.5F) {
  return {version, {value, -1.25F, static_cast<float>(version)}};
}

UpdateRecord update(uint32_t round, const std::string& device, uint64_t sequence) {
  UpdateRecord record;
  record.round = round;
  record.merged_into = round;
  record.device = device;
  record.sequence = sequence;
  record.model_version = round;
  record.sample_count = 100 + round;
  record.mean_loss = 0.75F;
  record.coordinates = 3;
  record.payload_bytes = 17;
  record.accepted_at = 1700000000 + round;
  record.blob = {static_cast<uint8_t>(sequence), 0, 255, 7};
  record.checksum = crc32c(record.blob);
  return record;
}

RoundResult result(uint32_t round, uint64_t version) {
  RoundResult closed;
  closed.round = round;
  closed.model = model(version);
  closed.participants = 2;
  closed.sample_count = 202;
  closed.mean_loss = 1.5;
  closed.bits_per_coordinate = 3.25;
  closed.update_energy = 0.625;
  closed.mean_energy = 0.1;
  closed.closed_at = 1700000100;
  closed.seconds = 12.5;
  return closed;
}

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    reopen(true);
    ASSERT_OK(store_->create_run({0xFEDCBA9876543210ULL, "rounds = 3\n", "name = \"m\"\n"}, model(1)));
    reopen();
  }

  void reopen(bool create = false) {
    store_.reset();
    Result<std::unique_ptr<SqliteStore>> opened = SqliteStore::open(path_, create);
    ASSERT_TRUE(opened.ok()) << opened.failure().text();
    store_ = std::move(*opened);
  }

  static void ASSERT_OK(const Failure& failure) {
    ASSERT_TRUE(failure.ok()) << error_name(failure.error()) << ": " << failure.text();
  }
  static void expect_error(const Failure& failure, Error error, const std::string& words) {
    EXPECT_EQ(failure.error(), error) << failure.text();
    EXPECT_THAT(failure.text(), HasSubstr(words));
  }

  Snapshot snapshot() {
    Result<Snapshot> loaded = store_->load();
    EXPECT_TRUE(loaded.ok()) << loaded.failure().text();
    return loaded.ok() ? std::move(*loaded) : Snapshot{};
  }

  void run_rounds(uint32_t first, uint32_t last) {
    for (uint32_t round = first; round <= last; ++round) {
      ASSERT_OK(store_->open_round({round, round, {"a"}, 5}));
      ASSERT_OK(store_->accept_updates(std::vector{update(round, "a", round)}));
      ASSERT_OK(store_->close_round(result(round, round + 1)));
    }
  }

  TempFolder folder_;
  std::string path_ = folder_.file("fleet.db");
  std::unique_ptr<SqliteStore> store_;
};

TEST_F(StoreTest, KeepsTheRunAndItsInitialModel) {
  const Snapshot loaded = snapshot();
  EXPECT_EQ(loaded.run.run, 0xFEDCBA9876543210ULL);
  EXPECT_EQ(loaded.run.plan_toml, "rounds = 3\n");
  EXPECT_EQ(loaded.run.model_toml, "name = \"m\"\n");
  EXPECT_EQ(loaded.model.version, 1U);
  EXPECT_EQ(loaded.model.parameters, model(1).parameters);
  EXPECT_FALSE(loaded.round_open);
  EXPECT_EQ(loaded.rounds_closed, 0U);
  EXPECT_THAT(loaded.accepted, IsEmpty());
  EXPECT_EQ(mode_of(path_), 0600U);
}

TEST_F(StoreTest, HoldsOneRunOnly) {
  expect_error(store_->create_run({5, "other", "other"}, model(1, 9.0F)), Error::kDuplicate, "holds a run already");
  reopen();
  EXPECT_EQ(snapshot().run.plan_toml, "rounds = 3\n");
  EXPECT_EQ(snapshot().model.parameters, model(1).parameters);
}

TEST_F(StoreTest, RefusesARunWithoutNumberOrModel) {
  TempFolder other;
  Result<std::unique_ptr<SqliteStore>> fresh = SqliteStore::open(other.file("fleet.db"), true);
  ASSERT_TRUE(fresh.ok());
  EXPECT_EQ((*fresh)->load().error(), Error::kNotFound);
  EXPECT_EQ((*fresh)->create_run({0, "", ""}, model(1)).error(), Error::kInvalidArgument);
  EXPECT_EQ((*fresh)->create_run({1, "", ""}, model(2)).error(), Error::kInvalidArgument);
  EXPECT_EQ((*fresh)->create_run({1, "", ""}, {1, {}}).error(), Error::kInvalidArgument);
  ASSERT_OK((*fresh)->create_run({1, "", ""}, model(1)));
}

TEST_F(StoreTest, ReopensIntoTheMiddleOfARound) {
  ASSERT_OK(store_->open_round({1, 1, {"b", "a", "b"}, 42}));
  reopen();
  ASSERT_OK(store_->extend_round(1, std::vector<std::string>{"d", "a"}));
  reopen();
  ASSERT_OK(store_->accept_updates(std::vector{update(1, "d", 0xFFFFFFFFFFFFFFFFULL), update(1, "a", 8)}));
  reopen();

  const Snapshot loaded = snapshot();
  EXPECT_TRUE(loaded.round_open);
  EXPECT_EQ(loaded.round.round, 1U);
  EXPECT_EQ(loaded.round.base_version, 1U);
  EXPECT_EQ(loaded.round.opened_at, 42);
  EXPECT_THAT(loaded.round.selected, ElementsAre("a", "b", "d"));
  ASSERT_EQ(loaded.accepted.size(), 2U);
  const UpdateRecord expected = update(1, "a", 8);
  const UpdateRecord& first = loaded.accepted[0];
  EXPECT_EQ(first.device, "a");
  EXPECT_EQ(first.round, 1U);
  EXPECT_EQ(first.sequence, 8U);
  EXPECT_EQ(first.model_version, 1U);
  EXPECT_EQ(first.sample_count, expected.sample_count);
  EXPECT_EQ(first.mean_loss, expected.mean_loss);
  EXPECT_EQ(first.coordinates, expected.coordinates);
  EXPECT_EQ(first.payload_bytes, expected.payload_bytes);
  EXPECT_EQ(first.accepted_at, expected.accepted_at);
  EXPECT_EQ(first.blob, expected.blob);
  EXPECT_EQ(loaded.accepted[1].device, "d");
  EXPECT_EQ(loaded.accepted[1].sequence, 0xFFFFFFFFFFFFFFFFULL);
}

TEST_F(StoreTest, KeepsWhatTheDownlinkGoesOnFrom) {
  const auto close = [&](uint32_t round, uint64_t oldest_delta, bool exact) {
    ASSERT_OK(store_->open_round({round, round, {"a"}, 5}));
    RoundResult closed = result(round, round + 1);
    if (exact) closed.exact = {0.1F, 0.2F, static_cast<float>(round)};
    closed.delta = {round + 1, 0x1p-9F, {static_cast<uint8_t>(round), 0, 1}};
    closed.oldest_delta = oldest_delta;
    ASSERT_OK(store_->close_round(closed));
  };
  close(1, 0, true);
  close(2, 0, true);
  close(3, 3, true);
  reopen();
  Snapshot loaded = snapshot();
  EXPECT_EQ(loaded.exact, (std::vector<float>{0.1F, 0.2F, 3.0F}));
  ASSERT_EQ(loaded.deltas.size(), 2U);
  EXPECT_EQ(loaded.deltas[0].version, 3U);
  EXPECT_EQ(loaded.deltas[1].version, 4U);
  EXPECT_EQ(loaded.deltas[1].step, 0x1p-9F);
  EXPECT_EQ(loaded.deltas[1].blob, (std::vector<uint8_t>{3, 0, 1}));
  close(4, UINT64_MAX, false);
  loaded = snapshot();
  EXPECT_THAT(loaded.exact, IsEmpty());
  EXPECT_THAT(loaded.deltas, IsEmpty());
}

TEST_F(StoreTest, ClosesARoundWithItsModelAndFigures) {
  run_rounds(1, 1);
  reopen();
  const Snapshot loaded = snapshot();
  EXPECT_FALSE(loaded.round_open);
  EXPECT_EQ(loaded.rounds_closed, 1U);
  EXPECT_EQ(loaded.model.version, 2U);
  EXPECT_EQ(loaded.model.parameters, model(2).parameters);

  Result<std::vector<RoundHistory>> history = store_->history();
  ASSERT_TRUE(history.ok());
  ASSERT_EQ(history->size(), 1U);
  const RoundResult& kept = (*history)[0].result;
  EXPECT_EQ(kept.round, 1U);
  EXPECT_EQ(kept.model.version, 2U);
  EXPECT_THAT(kept.model.parameters, IsEmpty());
  EXPECT_EQ(kept.participants, 2U);
  EXPECT_EQ(kept.sample_count, 202U);
  EXPECT_EQ(kept.mean_loss, 1.5);
  EXPECT_EQ(kept.bits_per_coordinate, 3.25);
  EXPECT_EQ(kept.update_energy, 0.625);
  EXPECT_EQ(kept.mean_energy, 0.1);
  ASSERT_EQ(loaded.history.size(), 1U);
  EXPECT_EQ(loaded.history[0].result.mean_energy, 0.1);
  EXPECT_EQ(kept.closed_at, 1700000100);
  EXPECT_EQ(kept.seconds, 12.5);
  EXPECT_FALSE((*history)[0].evaluated);
}

TEST_F(StoreTest, RemembersUpdatesOfClosedRoundsInTheLedger) {
  run_rounds(1, 2);
  reopen();
  Result<std::vector<LedgerEntry>> ledger = store_->ledger();
  ASSERT_TRUE(ledger.ok());
  ASSERT_EQ(ledger->size(), 2U);
  EXPECT_EQ((*ledger)[1].round, 2U);
  EXPECT_EQ((*ledger)[1].device, "a");
  EXPECT_EQ((*ledger)[1].sequence, 2U);
  EXPECT_EQ((*ledger)[1].sample_count, 102U);
  EXPECT_EQ((*ledger)[1].payload_bytes, 17U);
  EXPECT_TRUE(*store_->has_update("a", 1));
  EXPECT_FALSE(*store_->has_update("a", 3));
  EXPECT_FALSE(*store_->has_update("b", 1));
}

TEST_F(StoreTest, RefusesTheSameSequenceTwiceEvenInAnotherRound) {
  run_rounds(1, 1);
  ASSERT_OK(store_->open_round({2, 2, {"a", "b"}, 0}));
  expect_error(store_->accept_updates(std::vector{update(2, "b", 1), update(2, "a", 1)}), Error::kDuplicate,
               "update 1 of a");
  reopen();
  EXPECT_THAT(snapshot().accepted, IsEmpty());  // nor b's, which was good
  EXPECT_FALSE(*store_->has_update("b", 1));
  ASSERT_OK(store_->accept_updates(std::vector{update(2, "b", 1), update(2, "a", 2)}));
}

TEST_F(StoreTest, MergesSeveralUpdatesOfADeviceAndThoseOfEarlierRounds) {
  run_rounds(1, 1);
  ASSERT_OK(store_->open_round({2, 2, {"a"}, 0}));
  UpdateRecord late = update(1, "b", 1);
  late.merged_into = 2;
  ASSERT_OK(store_->accept_updates(std::vector{update(2, "a", 3), late, update(2, "a", 2)}));
  reopen();
  const Snapshot loaded = snapshot();
  ASSERT_EQ(loaded.accepted.size(), 3U);
  EXPECT_EQ(loaded.accepted[0].sequence, 2U);
  EXPECT_EQ(loaded.accepted[1].sequence, 3U);
  EXPECT_EQ(loaded.accepted[2].device, "b");
  EXPECT_EQ(loaded.accepted[2].round, 1U);
  EXPECT_EQ(loaded.accepted[2].merged_into, 2U);
  EXPECT_EQ(loaded.accepted[2].model_version, 1U);
  EXPECT_EQ(loaded.accepted[2].blob, late.blob);
  const std::vector<LedgerEntry> ledger = *store_->ledger();
  ASSERT_EQ(ledger.size(), 4U);
  EXPECT_EQ(ledger[3].device, "b");
  EXPECT_EQ(ledger[3].round, 1U);
  EXPECT_EQ(ledger[3].merged_into, 2U);
  EXPECT_EQ(ledger[3].model_version, 1U);
  ASSERT_OK(store_->close_round(result(2, 3)));
  ASSERT_OK(store_->open_round({3, 3, {"a"}, 0}));
  EXPECT_THAT(snapshot().accepted, IsEmpty());
}

TEST_F(StoreTest, KeepsTheOptimizersNewestStateOnly) {
  const auto close = [&](uint32_t round, const std::vector<uint8_t>& state) {
    ASSERT_OK(store_->open_round({round, round, {"a"}, 5}));
    RoundResult closed = result(round, round + 1);
    closed.optimizer_state = state;
    ASSERT_OK(store_->close_round(closed));
    reopen();
    EXPECT_EQ(snapshot().optimizer_state, state);
  };
  EXPECT_THAT(snapshot().optimizer_state, IsEmpty());
  close(1, {1, 2, 3});
  close(2, {0, 255});
  close(3, {});
}

TEST_F(StoreTest, RefusesWhatDoesNotBelongToTheOpenRound) {
  EXPECT_EQ(store_->accept_updates(std::vector{update(1, "a", 1)}).error(), Error::kInvalidArgument);
  EXPECT_EQ(store_->extend_round(1, std::vector<std::string>{"a"}).error(), Error::kInvalidArgument);
  EXPECT_EQ(store_->close_round(result(1, 2)).error(), Error::kInvalidArgument);
  expect_error(store_->open_round({1, 7, {"a"}, 0}), Error::kInvalidArgument, "version 7");
  ASSERT_OK(store_->open_round({1, 1, {"a"}, 0}));
  expect_error(store_->open_round({1, 1, {"a"}, 0}), Error::kDuplicate, "round 1");
  expect_error(store_->open_round({2, 1, {"a"}, 0}), Error::kInvalidArgument, "round 1 is still open");
  EXPECT_EQ(store_->accept_updates(std::vector{update(1, "a", 1), update(2, "b", 1)}).error(), Error::kInvalidArgument);
  EXPECT_EQ(store_->accept_updates(std::vector{update(2, "a", 1)}).error(), Error::kInvalidArgument);
  expect_error(store_->close_round(result(1, 1)), Error::kInvalidArgument, "does not follow");
  RoundResult short_model = result(1, 2);
  short_model.model.parameters.pop_back();
  expect_error(store_->close_round(short_model), Error::kShape, "has 2 parameters, version 1 has 3");
  reopen();
  const Snapshot loaded = snapshot();
  EXPECT_TRUE(loaded.round_open);
  EXPECT_THAT(loaded.accepted, IsEmpty());
  EXPECT_EQ(loaded.model.version, 1U);
  ASSERT_OK(store_->accept_updates({}));
}

TEST_F(StoreTest, PrunesOldModelsButTheFirst) {
  run_rounds(1, 12);
  reopen();
  Result<ModelRecord> pruned = store_->model(5);
  ASSERT_FALSE(pruned.ok());
  expect_error(pruned.failure(), Error::kNotFound, "no model version 5");
  for (const uint64_t version : {1U, 6U, 7U, 13U}) {
    Result<ModelRecord> kept = store_->model(version);
    ASSERT_TRUE(kept.ok()) << kept.failure().text();
    EXPECT_EQ(kept->parameters, model(version).parameters);
  }
  EXPECT_EQ(store_->model(0)->version, 13U);
}

TEST_F(StoreTest, DropsTheBlobsOfClosedRounds) {
  ASSERT_OK(store_->open_round({1, 1, {"a"}, 0}));
  UpdateRecord large = update(1, "a", 1);
  large.blob = ByteBuffer(std::vector<uint8_t>(4 << 20, 0x5A));
  large.checksum = crc32c(large.blob);
  ASSERT_OK(store_->accept_updates(std::vector{large}));
  reopen();
  EXPECT_EQ(snapshot().accepted.at(0).blob, large.blob);
  ASSERT_OK(store_->close_round(result(1, 2)));
  reopen();  // the last connection folds the log into the file
  const auto bytes_before = std::filesystem::file_size(path_);
  for (uint32_t round = 2; round < 5; ++round) {
    ASSERT_OK(store_->open_round({round, round, {"a"}, 0}));
    large.round = large.merged_into = round;
    large.sequence = round;
    ASSERT_OK(store_->accept_updates(std::vector{large}));
    ASSERT_OK(store_->close_round(result(round, round + 1)));
  }
  reopen();
  EXPECT_LT(std::filesystem::file_size(path_), bytes_before + (1U << 20)) << "the space of dropped blobs is used again";
}

TEST_F(StoreTest, KeepsEvaluationsAndNumbersThatAreNotFinite) {
  run_rounds(1, 1);
  ASSERT_OK(store_->record_evaluation({1, 0, 500, 0.125, 2.5, 1, 0.125, ""}));  // before any round
  ASSERT_OK(store_->record_evaluation({2, 1, 500, 0.5, 1.0, 1, 0.5, ""}));
  ASSERT_OK(store_->record_evaluation({2, 1, 600, 0.75, std::numeric_limits<double>::quiet_NaN(), 1, 0.75, ""}));
  reopen();
  Result<std::vector<RoundHistory>> history = store_->history();
  ASSERT_TRUE(history.ok());
  ASSERT_EQ(history->size(), 1U);
  ASSERT_TRUE((*history)[0].evaluated);
  const Evaluation& evaluation = (*history)[0].evaluation;
  EXPECT_EQ(evaluation.model_version, 2U);
  EXPECT_EQ(evaluation.round, 1U);
  EXPECT_EQ(evaluation.examples, 600U);
  EXPECT_EQ(evaluation.accuracy, 0.75);
  EXPECT_TRUE(std::isnan(evaluation.loss));
}

TEST_F(StoreTest, EnrollsReplacesAndRevokesDevices) {
  ASSERT_OK(store_->enroll({"pump-7", "AB01", 100, false}));
  ASSERT_OK(store_->enroll({"fan-1", "CD02", 101, false}));
  reopen();
  EXPECT_EQ(store_->device("pump-7")->serial, "AB01");
  EXPECT_EQ(store_->device("pump-7")->enrolled_at, 100);
  ASSERT_OK(store_->revoke("pump-7"));
  reopen();
  EXPECT_TRUE(store_->device("pump-7")->revoked);
  ASSERT_OK(store_->enroll({"pump-7", "EF03", 200, false}));
  reopen();
  Result<std::vector<DeviceRecord>> devices = store_->devices();
  ASSERT_TRUE(devices.ok());
  ASSERT_EQ(devices->size(), 2U);
  EXPECT_EQ((*devices)[0].name, "fan-1");
  EXPECT_EQ((*devices)[1].serial, "EF03");
  EXPECT_EQ((*devices)[1].enrolled_at, 200);
  EXPECT_FALSE((*devices)[1].revoked);
  expect_error(store_->device("nobody").failure(), Error::kUnknownDevice, "nobody");
  expect_error(store_->revoke("nobody"), Error::kUnknownDevice, "nobody");
}

}  // namespace
}  // namespace runnel::coordinator
