// Real training on a small task, round after round through the coordinator's engine and its store: what liars do to
// each aggregation rule, and that every server optimizer trains and goes on after a restart with the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "coordinator/engine/round_engine.h"
#include "device/training_task.h"
#include "fleet/simulator/memory_store.h"
#include "fleet/simulator/small_task.h"
#include "runtime/base/crc32c.h"
#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"
#include "runtime/train/evaluator.h"
#include "runtime/train/initialize.h"

namespace runnel::fleet {
namespace {

using coordinator::AggregationMethod;
using coordinator::FleetPlan;
using coordinator::RoundEngine;
using coordinator::ServerOptimizer;

constexpr size_t kDevices = 10;
constexpr size_t kStrangers = 40;  // whose points nobody trains on
constexpr uint64_t kRun = 5;

FleetPlan base_plan() {
  FleetPlan plan;
  plan.rounds = 12;
  plan.min_devices = kDevices;
  plan.training.batch_size = 8;
  plan.training.learning_rate = 0.05F;
  plan.codec.codec = plan::CodecId::kFp32;
  plan.downlink.bits = 0.0;
  return plan;
}

// The update as it is, multiplied; within what a coordinate may be.
std::vector<uint8_t> multiplied(const plan::ModelLayout& layout, const std::vector<uint8_t>& message, float factor) {
  wire::Update update;
  EXPECT_TRUE(wire::decode_update(message, update).ok());
  std::vector<float> values(layout.parameter_count);
  EXPECT_TRUE(codec::decode_update(layout, {update.tensors.begin(), update.tensors.size()}, values).ok());
  for (float& value : values) value = std::clamp(factor * value, -128.0F, 128.0F);
  plan::CodecSpec exact;
  exact.codec = plan::CodecId::kFp32;
  std::vector<uint8_t> payload(codec::encoded_update_bytes_max(exact, layout));
  EXPECT_TRUE(codec::encode_update(exact, layout, values, 1, payload, update.tensors).ok());
  std::vector<uint8_t> memory(payload.size() + wire::update_overhead_bytes_max(update.tensors.size()));
  const Result<ByteView> built = wire::build_update(update, memory);
  EXPECT_TRUE(built.ok());
  return {built->begin(), built->end()};
}

class Fleet {
 public:
  explicit Fleet(const FleetPlan& plan, size_t liars = 0)
      : liars_(liars), points_(clustered_points(kDevices + kStrangers)) {
    options_.run = kRun;
    options_.plan = plan;
    options_.layout = *plan::make_layout(tiny_mlp());
    std::vector<float> initial(options_.layout.parameter_count);
    train::initialize_parameters(options_.layout, plan.seed, initial);
    EXPECT_TRUE(store_.create_run({kRun, "", ""}, {1, initial}).ok());
    start();
  }

  // A coordinator that was killed, and is there again.
  void start() {
    Result<RoundEngine> engine = RoundEngine::create(options_, *store_.load(), *store_.ledger(), now_);
    ASSERT_TRUE(engine.ok()) << engine.failure().text();
    engine_.emplace(std::move(engine).value());
    for (size_t i = 0; i < kDevices; ++i) engine_->handle_device(now_, name(i), true);
    settle();
  }

  // One round; with a restart once half of its updates are in.
  void play_round(uint32_t round, bool restart) {
    for (size_t i = 0; i < kDevices; ++i) {
      if (restart && i == kDevices / 2) start();
      // Who comes first differs from round to round, and does not matter.
      train((i * 3 + round) % kDevices);
    }
    // Of a model that is ruined, updates are too large to be taken: the round ends at its deadline, or not at all.
    if (engine_->rounds_closed() < round) {
      now_ = engine_->next_timeout();
      engine_->handle_timeout(now_);
      settle();
    }
  }

  void play(bool restart = false) {
    for (uint32_t round = 1; round <= options_.plan.rounds; ++round) play_round(round, restart && round % 3 == 1);
    EXPECT_TRUE(liars_ > 0 || engine_->phase() == RoundEngine::Phase::kFinished);
    if (restart) start();
  }

  const std::vector<float>& model() const { return engine_->model().parameters; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  std::vector<double> losses() {
    std::vector<double> result;
    const Result<std::vector<coordinator::RoundHistory>> history = store_.history();
    for (const coordinator::RoundHistory& each : *history) result.push_back(each.result.mean_loss);
    return result;
  }

  double accuracy() const {
    const plan::ModelSpec spec = tiny_mlp();
    std::vector<uint8_t> block(train::evaluation_memory(spec, 24)->total_bytes + Arena::kAlignment);
    Arena arena(block);
    Result<train::Evaluator> evaluator = train::Evaluator::create(spec, 24, arena);
    uint64_t correct = 0;
    uint32_t examples = 0;
    for (size_t i = kDevices; i < points_.size(); ++i) {
      EXPECT_TRUE(evaluator->start(model(), *points_[i]).ok());
      while (*evaluator->step() == train::Progress::kRunning) {
      }
      correct += evaluator->metrics().correct;
      examples += evaluator->metrics().examples;
    }
    return static_cast<double>(correct) / static_cast<double>(examples);
  }

 private:
  static std::string name(size_t i) { return "device-" + std::to_string(i); }

  void settle() {
    while (coordinator::StoreRequest* request = engine_->poll_store(now_)) {
      const Failure stored = coordinator::carry_out(*request, store_, 0);
      engine_->handle_stored(now_, stored);
    }
    while (engine_->poll_accepted().has_value() || engine_->poll_closed().has_value()) {
    }
    while (std::optional<std::string> warning = engine_->poll_warning()) warnings_.push_back(*warning);
  }

  void train(size_t i) {
    const std::optional<plan::RoundPlan> plan = engine_->plan_for(name(i), now_);
    if (liars_ > 0 && !plan.has_value()) return;
    ASSERT_TRUE(plan.has_value()) << name(i);
    std::vector<uint8_t> memory(wire::model_bytes_max(tiny_mlp(), model().size()));
    const Result<ByteView> message = wire::build_model({kRun, engine_->model().version, tiny_mlp(), model()}, memory);
    device::TrainingTask task(name(i), *points_[i], 0);
    const std::vector<uint8_t> copy(message->begin(), message->end());
    ASSERT_TRUE(task.start(*plan, plan->round, copy).ok());
    for (bool done = false; !done;) {
      const Result<bool> step = task.step();
      if (!step) return;  // the same: a loss that is not a number
      done = *step;
    }
    std::vector<uint8_t> update = task.finish()->message;
    if (i < liars_) update = multiplied(options_.layout, update, -20.0F);
    const auto refused = engine_->handle_update(now_, name(i), plan->round, ByteBuffer(update), crc32c(update));
    ASSERT_TRUE(liars_ > 0 || !refused.has_value()) << refused->detail;
    settle();
  }

  size_t liars_;
  std::vector<std::unique_ptr<data::Dataset>> points_;
  coordinator::RoundOptions options_;
  MemoryStore store_;
  Instant now_{};
  std::optional<RoundEngine> engine_;
  std::vector<std::string> warnings_;
};

double accuracy_of(const FleetPlan& plan, size_t liars) {
  Fleet fleet(plan, liars);
  fleet.play();
  return fleet.accuracy();
}

TEST(Liars, ThreeOfTenRuinTheMeanButNotTheRulesThatExpectThem) {
  const double honest = accuracy_of(base_plan(), 0);
  EXPECT_GT(honest, 0.9);
  EXPECT_LT(accuracy_of(base_plan(), 3), 0.5) << "three of ten, sign flipped and twenty times as long";

  FleetPlan plan = base_plan();
  plan.aggregation.method = AggregationMethod::kMedian;
  EXPECT_GT(accuracy_of(plan, 3), honest - 0.05);
  plan.aggregation.method = AggregationMethod::kTrimmedMean;
  plan.aggregation.trim = 0.3;
  EXPECT_GT(accuracy_of(plan, 3), honest - 0.05);
  plan.aggregation.trim = 0.1;
  EXPECT_LT(accuracy_of(plan, 3), 0.5) << "one at each end is too few";
  plan = base_plan();
  plan.quorum = 9;
  plan.aggregation.method = AggregationMethod::kKrum;
  plan.aggregation.byzantine = 3;
  EXPECT_GT(accuracy_of(plan, 3), honest - 0.05);
  plan.aggregation.krum_keep = 5;
  EXPECT_GT(accuracy_of(plan, 3), honest - 0.05);
  plan = base_plan();
  plan.aggregation.clip_norm = 0.2;  // about what honest updates have halfway through; much larger would not do
  plan.rounds = 24;                  // of every ten steps, three go back
  EXPECT_GT(accuracy_of(plan, 3), honest - 0.05);
}

TEST(Liars, WithoutThemTheRulesCostLittle) {
  const double honest = accuracy_of(base_plan(), 0);
  FleetPlan plan = base_plan();
  plan.quorum = 9;
  plan.aggregation.byzantine = 3;
  for (const AggregationMethod method :
       {AggregationMethod::kMedian, AggregationMethod::kTrimmedMean, AggregationMethod::kKrum}) {
    plan.aggregation.method = method;
    EXPECT_GT(accuracy_of(plan, 0), honest - 0.05) << aggregation_method_name(method);
  }
}

struct Course {
  std::string name;
  FleetPlan plan;
};

std::vector<Course> courses() {
  std::vector<Course> all;
  const auto add = [&all](std::string name, const auto& change) {
    FleetPlan plan = base_plan();
    change(plan);
    all.push_back({std::move(name), plan});
  };
  const auto optimizer = [&](ServerOptimizer kind, double learning_rate) {
    add(server_optimizer_name(kind), [&](FleetPlan& plan) {
      plan.server.optimizer = kind;
      plan.server.learning_rate = learning_rate;
    });
  };
  optimizer(ServerOptimizer::kAvg, 1.0);
  optimizer(ServerOptimizer::kMomentum, 0.3);
  optimizer(ServerOptimizer::kAdam, 0.03);
  optimizer(ServerOptimizer::kYogi, 0.03);
  optimizer(ServerOptimizer::kAdagrad, 0.1);
  add("nesterov", [](FleetPlan& plan) {
    plan.server.optimizer = ServerOptimizer::kMomentum;
    plan.server.nesterov = true;
    plan.server.learning_rate = 0.3;
  });
  add("median_adam_and_quantized_both_ways", [](FleetPlan& plan) {
    plan.aggregation.method = AggregationMethod::kMedian;
    plan.server.optimizer = ServerOptimizer::kAdam;
    plan.server.learning_rate = 0.03;
    plan.downlink.bits = 2.0;
    plan.codec.codec = plan::CodecId::kQsgd;
  });
  add("clipped_krum", [](FleetPlan& plan) {
    plan.aggregation.method = AggregationMethod::kKrum;
    plan.aggregation.byzantine = 3;
    plan.aggregation.krum_keep = 4;
    plan.aggregation.clip_norm = 0.3;
  });
  add("trimmed_mean", [](FleetPlan& plan) { plan.aggregation.method = AggregationMethod::kTrimmedMean; });
  return all;
}

class EveryCourse : public testing::TestWithParam<Course> {};

TEST_P(EveryCourse, TrainsAndGoesOnAfterRestartsWithTheSameBits) {
  Fleet steady(GetParam().plan);
  steady.play();
  const std::vector<double> losses = steady.losses();
  EXPECT_LT(losses.back(), 0.6 * losses.front());
  EXPECT_GT(steady.accuracy(), 0.85);
  Fleet restarted(GetParam().plan);
  restarted.play(true);
  EXPECT_EQ(steady.model(), restarted.model());
}

INSTANTIATE_TEST_SUITE_P(All, EveryCourse, testing::ValuesIn(courses()),
                         [](const auto& tested) { return tested.param.name; });

TEST(ServerOptimizers, AnotherOneBeginsAnewAndSaysSo) {
  FleetPlan plan = base_plan();
  plan.server.optimizer = ServerOptimizer::kAdam;
  MemoryStore store;
  coordinator::RoundOptions options;
  options.run = kRun;
  options.plan = plan;
  options.layout = *plan::make_layout(tiny_mlp());
  coordinator::Snapshot snapshot;
  snapshot.model = {1, std::vector<float>(options.layout.parameter_count)};
  coordinator::OptimizerState state{ServerOptimizer::kYogi, snapshot.model.parameters, snapshot.model.parameters};
  snapshot.optimizer_state = encode_state(state);
  Result<RoundEngine> engine = RoundEngine::create(options, snapshot, {}, Instant{});
  ASSERT_TRUE(engine.ok());
  const std::optional<std::string> warning = engine->poll_warning();
  ASSERT_TRUE(warning.has_value());
  EXPECT_NE(warning->find("was yogi and is adam now"), std::string::npos) << *warning;
  options.plan.server.optimizer = ServerOptimizer::kYogi;
  Result<RoundEngine> same = RoundEngine::create(options, snapshot, {}, Instant{});
  EXPECT_FALSE(same->poll_warning().has_value());
  snapshot.optimizer_state.pop_back();
  EXPECT_EQ(RoundEngine::create(options, snapshot, {}, Instant{}).error(), Error::kCorrupt);
}

}  // namespace
}  // namespace runnel::fleet
