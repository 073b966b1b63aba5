// Metrics in the store: of the model, and of what devices find.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "coordinator/store/sqlite_store.h"
#include "runtime/base/crc32c.h"
#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {
namespace {

std::unique_ptr<SqliteStore> open(const TempFolder& folder, bool create = false) {
  Result<std::unique_ptr<SqliteStore>> store = SqliteStore::open(folder.file("fleet.db"), create);
  EXPECT_TRUE(store.ok()) << store.failure().text();
  return store.ok() ? std::move(*store) : nullptr;
}

UpdateRecord update(const std::string& device, uint64_t sequence, double value) {
  UpdateRecord record;
  record.round = record.merged_into = 1;
  record.device = device;
  record.sequence = sequence;
  record.model_version = 1;
  record.sample_count = 10;
  record.blob = {1, 2, 3};
  record.checksum = crc32c(record.blob);
  record.evaluation = {1, device, sequence, 3, 20, 0.5, value, 0.25, value / 2, 40, 0.125, value / 4};
  return record;
}

TEST(StoreEvaluation, KeepsTheNewestOfEachDevice) {
  const TempFolder folder;
  {
    const std::unique_ptr<SqliteStore> store = open(folder, true);
    ASSERT_TRUE(store->create_run({7, "", ""}, {1, {1.0F}}).ok());
    ASSERT_TRUE(store->open_round({1, 1, {"a", "b"}, 5}).ok());
    UpdateRecord silent = update("c", 1, 0.0);
    silent.evaluation = {};
    ASSERT_TRUE(store->accept_updates(std::vector{update("b", 1, 0.5), update("a", 4, 0.9), silent}).ok());
    ASSERT_TRUE(store->accept_updates(std::vector{update("b", 2, 0.75)}).ok());
  }
  const Result<std::vector<DeviceEvaluation>> found = open(folder)->device_evaluations();
  ASSERT_TRUE(found.ok()) << found.failure().text();
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ((*found)[0].device, "a");
  EXPECT_EQ((*found)[1].device, "b");
  EXPECT_EQ((*found)[1].sequence, 2U);
  EXPECT_EQ((*found)[1].metric, 3);
  EXPECT_EQ((*found)[1].examples, 20U);
  EXPECT_EQ((*found)[1].value_before, 0.75);
  EXPECT_EQ((*found)[1].value_after, 0.375);
  EXPECT_EQ((*found)[1].tuned_steps, 40U);
  EXPECT_EQ((*found)[1].loss_tuned, 0.125);
  EXPECT_EQ((*found)[1].value_tuned, 0.1875);
}

TEST(StoreEvaluation, AnyMetricOfAModel) {
  const TempFolder folder;
  const std::unique_ptr<SqliteStore> store = open(folder, true);
  ASSERT_TRUE(store->create_run({7, "", ""}, {1, {1.0F}}).ok());
  ASSERT_TRUE(store->open_round({1, 1, {"a"}, 5}).ok());
  ASSERT_TRUE(store->accept_updates(std::vector{update("a", 1, 0.5)}).ok());
  RoundResult closed;
  closed.round = 1;
  closed.model = {2, {2.0F}};
  ASSERT_TRUE(store->close_round(closed).ok());
  Evaluation evaluation;
  evaluation.model_version = 2;
  evaluation.round = 1;
  evaluation.examples = 30;
  evaluation.accuracy = std::numeric_limits<double>::quiet_NaN();
  evaluation.loss = 0.5;
  evaluation.metric = 3;
  evaluation.value = 0.7;
  evaluation.details = "{\"rmse\":0.7}";
  ASSERT_TRUE(store->record_evaluation(evaluation).ok());
  const Result<std::vector<RoundHistory>> history = store->history();
  ASSERT_TRUE(history.ok()) << history.failure().text();
  ASSERT_EQ(history->size(), 1U);
  ASSERT_TRUE(history->front().evaluated);
  EXPECT_EQ(history->front().evaluation.metric, 3);
  EXPECT_EQ(history->front().evaluation.value, 0.7);
  EXPECT_EQ(history->front().evaluation.details, evaluation.details);
  EXPECT_TRUE(std::isnan(history->front().evaluation.accuracy));
}

}  // namespace
}  // namespace runnel::coordinator
