#include "bench/rate_run.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

namespace runnel::bench {
namespace {

coordinator::FleetPlan small_base() {
  coordinator::FleetPlan plan;
  plan.rounds = 3;
  plan.deadline_seconds = 300.0;
  plan.training.batch_size = 8;
  plan.training.local_steps = 1;
  return plan;
}

const RateSetting& setting_named(const std::string& name) {
  for (const RateSetting& setting : rate_settings()) {
    if (setting.name == name) return setting;
  }
  throw std::runtime_error(name);
}

TEST(RateSettings, AllAreValidPlansWithNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const RateSetting& setting : rate_settings()) {
    EXPECT_TRUE(names.insert(setting.name).second) << setting.name;
    const coordinator::FleetPlan plan = plan_of(setting, small_base(), 10'000);
    EXPECT_EQ(plan.rounds, 3U);
    EXPECT_EQ(plan.rate.deadline, setting.kind == SettingKind::kOurs) << setting.name;
  }
  for (const char* known : {"fp32", "qsgd-4", "feddq", "adaquantfl", "dadaquant", "kimad", "error-dithered"})
    EXPECT_TRUE(names.contains(known)) << known;
  EXPECT_EQ(rate_settings().front().kind, SettingKind::kExact);
}

TEST(RateSettings, ABudgetIsOfTheWholeRun) {
  const coordinator::FleetPlan plan = plan_of(setting_named("budget-dithered"), small_base(), 16'000);
  // 0.3 bits for each of 16,000 coordinates and a message's overhead, three times.
  EXPECT_EQ(plan.rate.budget_bytes, 3U * (600U + 250U));
}

TEST(RateTask, GeneratedNeedsNoFiles) {
  TaskOptions options;
  options.test_examples = 60;
  const auto task = make_task(options);
  EXPECT_EQ(task->parts.size(), 16U);
  EXPECT_EQ(task->links.size(), 16U);
  EXPECT_EQ(task->test->example_count(), 60U);
  EXPECT_EQ(task->test->input_count(), task->parts[0]->input_count());
  options.name = "cats";
  EXPECT_THROW(make_task(options), std::runtime_error);
}

TEST(RateTask, RowsOfReadsWhatItWasGiven) {
  data::Dataset all(data::ElementType::kU8, 1, 3, 1.0F);
  for (uint8_t i = 0; i < 5; ++i) ASSERT_TRUE(all.append(ByteView(&i, 1), i % 3U).ok());
  const data::RowsOf rows(std::make_shared<const data::Dataset>(std::move(all)), {4, 1});
  float value = 0.0F;
  EXPECT_EQ(rows.example_count(), 2U);
  EXPECT_EQ(rows.read_labelled(0, {&value, 1}), 1U);
  EXPECT_EQ(value, 4.0F);
  EXPECT_EQ(rows.read_labelled(1, {&value, 1}), 1U);
  EXPECT_EQ(value, 1.0F);
}

TEST(RateRun, OneSettingGivesAPointARoundAndTheSameOnesAgain) {
  TaskOptions task_options;
  task_options.test_examples = 60;
  const auto task = make_task(task_options);
  RunOptions options;
  options.base = small_base();
  const RateRun exact = run_setting(setting_named("fp32"), *task, 1, options);
  const RateRun coarse = run_setting(setting_named("deadzone-0.5"), *task, 1, options);
  const RateRun again = run_setting(setting_named("deadzone-0.5"), *task, 1, options);
  EXPECT_EQ(exact.failure, "");
  ASSERT_EQ(exact.points.size(), 3U);
  ASSERT_EQ(coarse.points.size(), 3U);
  double before = 0.0;
  for (const RatePoint& point : exact.points) {
    EXPECT_GT(point.seconds, before);
    EXPECT_GT(point.accuracy, 0.0);
    EXPECT_EQ(point.counted + point.missed + point.absent, 16U);
    before = point.seconds;
  }
  // 15 thousand parameters of 4 bytes each round, but for those of devices that were away.
  EXPECT_GT(exact.points[2].uplink_bytes, 2.0 * 4.0 * 15'310);
  EXPECT_LT(coarse.points[2].uplink_bytes, exact.points[2].uplink_bytes / 8.0);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(coarse.points[i].uplink_bytes, again.points[i].uplink_bytes);
    EXPECT_EQ(coarse.points[i].seconds, again.points[i].seconds);
    EXPECT_EQ(coarse.points[i].accuracy, again.points[i].accuracy);
  }
}

}  // namespace
}  // namespace runnel::bench
