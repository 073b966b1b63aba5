#include "coordinator/engine/server_optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "coordinator/engine/aggregate.h"
#include "runtime/base/rng.h"

namespace runnel::coordinator {
namespace {

using testing::HasSubstr;

// x after aggregates of one coordinate, from 0.
std::vector<double> walk(const ServerSpec& server, const std::vector<double>& aggregates) {
  std::vector<double> path;
  std::array<float, 1> model = {0.0F};
  OptimizerState state;
  for (const double aggregate : aggregates) {
    server_step(server, std::array{aggregate}, model, state);
    path.push_back(static_cast<double>(model[0]));
  }
  return path;
}

ServerSpec spec_of(ServerOptimizer optimizer) {
  ServerSpec server;
  server.optimizer = optimizer;
  server.learning_rate = 1.0;
  server.momentum = 0.5;
  server.beta1 = 0.5;
  server.beta2 = 0.75;
  server.tau = 1.0;
  return server;
}

TEST(ServerOptimizer, AveragingMovesByTheAggregate) {
  ServerSpec server = spec_of(ServerOptimizer::kAvg);
  EXPECT_EQ(walk(server, {1.0, -3.0}), (std::vector<double>{1.0, -2.0}));
  server.learning_rate = 0.5;
  EXPECT_EQ(walk(server, {1.0, -3.0}), (std::vector<double>{0.5, -1.0}));
}

TEST(ServerOptimizer, MomentumByHand) {
  // m = 1, then 1/2 + 1.
  EXPECT_EQ(walk(spec_of(ServerOptimizer::kMomentum), {1.0, 1.0}), (std::vector<double>{1.0, 2.5}));
}

TEST(ServerOptimizer, MomentumFollowsTheDevicesLearningRate) {
  // Devices' steps on a constant slope shrink with their rate, and so must what momentum adds to them: the model moves
  // by the rate times the same multiple of the slope.
  const ServerSpec server = spec_of(ServerOptimizer::kMomentum);
  const std::vector<double> rates = {1.0, 1.0, 0.5, 0.125, 0.001};
  std::array<float, 1> model = {0.0F};
  OptimizerState state;
  double gradients = 0.0;  // momentum of the gradients, as in SGD
  for (size_t t = 0; t < rates.size(); ++t) {
    const double before = static_cast<double>(model[0]);
    server_step(server, std::array{rates[t]}, model, state, t > 0 ? rates[t] / rates[t - 1] : 1.0);
    gradients = 0.5 * gradients + 1.0;
    EXPECT_NEAR(static_cast<double>(model[0]) - before, rates[t] * gradients, 1e-6) << t;
  }
}

TEST(ServerOptimizer, NesterovByHand) {
  ServerSpec server = spec_of(ServerOptimizer::kMomentum);
  server.nesterov = true;
  // 1 + 1/2 * 1, then 1 + 1/2 * 3/2.
  EXPECT_EQ(walk(server, {1.0, 1.0}), (std::vector<double>{1.5, 3.25}));
}

TEST(ServerOptimizer, AdamByHand) {
  // v = 3/4 + 1/4 = 1: 1/2 / (1 + 1). Then v = 3/4 + 13/4 = 4 and m = 1/4 + sqrt(13)/2, over 2 + 1.
  const std::vector<double> path = walk(spec_of(ServerOptimizer::kAdam), {1.0, std::sqrt(13.0)});
  EXPECT_EQ(path[0], 0.25);
  EXPECT_NEAR(path[1], 0.25 + (0.25 + std::sqrt(13.0) / 2.0) / 3.0, 1e-7);
}

TEST(ServerOptimizer, YogiByHand) {
  // v - D^2 = 0: v stays 1. Then v = 1 + 1/4 * 12 = 4. Then D = 0: v stays, m = m / 2.
  const std::vector<double> path = walk(spec_of(ServerOptimizer::kYogi), {1.0, std::sqrt(12.0), 0.0});
  EXPECT_EQ(path[0], 0.25);
  const double moment = 0.25 + std::sqrt(12.0) / 2.0;
  EXPECT_NEAR(path[1], 0.25 + moment / 3.0, 1e-7);
  EXPECT_NEAR(path[2] - path[1], moment / 2.0 / 3.0, 1e-7);
  // Unlike Adam's, v comes down by no more than the square itself.
  const std::vector<double> down = walk(spec_of(ServerOptimizer::kYogi), {0.5});
  EXPECT_NEAR(down[0], 0.25 / (std::sqrt(1.0 - 0.25 * 0.25) + 1.0), 1e-7);
}

TEST(ServerOptimizer, AdagradByHand) {
  // v = 1 + 3 = 4, then 4 + 5 = 9.
  const std::vector<double> path = walk(spec_of(ServerOptimizer::kAdagrad), {std::sqrt(3.0), std::sqrt(5.0)});
  EXPECT_NEAR(path[0], std::sqrt(3.0) / 2.0 / 3.0, 1e-7);
  EXPECT_NEAR(path[1] - path[0], (std::sqrt(3.0) / 4.0 + std::sqrt(5.0) / 2.0) / 4.0, 1e-7);
}

// The formulas of Reddi et al. once more, written down without rounding anything to fp32.
double reference_walk(const ServerSpec& server, const std::vector<double>& aggregates) {
  double x = 0.0;
  double m = 0.0;
  double v = server.tau * server.tau;
  for (const double d : aggregates) {
    m = server.beta1 * m + (1 - server.beta1) * d;
    const double difference = v - d * d;
    const double sign = difference > 0 ? 1 : difference < 0 ? -1 : 0;
    if (server.optimizer == ServerOptimizer::kAdagrad) v += d * d;
    if (server.optimizer == ServerOptimizer::kYogi) v -= (1 - server.beta2) * d * d * sign;
    if (server.optimizer == ServerOptimizer::kAdam) v = server.beta2 * v + (1 - server.beta2) * d * d;
    x += server.learning_rate * m / (std::sqrt(v) + server.tau);
  }
  return x;
}

TEST(ServerOptimizer, AdaptiveOnesFollowTheirFormulasOverManySteps) {
  Rng rng(11);
  for (const ServerOptimizer optimizer : {ServerOptimizer::kAdam, ServerOptimizer::kYogi, ServerOptimizer::kAdagrad}) {
    for (int trial = 0; trial < 20; ++trial) {
      ServerSpec server = spec_of(optimizer);
      server.learning_rate = 0.01 + rng.uniform();
      server.beta1 = 0.95 * rng.uniform();
      server.beta2 = 0.99 * rng.uniform();
      server.tau = 1e-3 + 0.1 * rng.uniform();
      std::vector<double> aggregates(100);
      for (double& each : aggregates) each = rng.uniform() - 0.4;
      const double expected = reference_walk(server, aggregates);
      EXPECT_NEAR(walk(server, aggregates).back(), expected, 1e-5 * (1.0 + std::abs(expected)))
          << server_optimizer_name(optimizer) << " " << trial;
    }
  }
}

TEST(ServerOptimizer, ARateOfOneKeepsTheBitsOfPlainAveraging) {
  Rng rng(3);
  constexpr size_t kCount = 1000;
  Aggregate sums(kCount);
  for (uint32_t update = 0; update < 5; ++update) {
    std::vector<float> values(kCount);
    for (float& value : values) value = static_cast<float>(rng.uniform() - 0.5) * 0.1F;
    ASSERT_TRUE(sums.add(values, 1 + update * 7).ok());
  }
  std::vector<float> plain(kCount);
  for (float& value : plain) value = static_cast<float>(rng.uniform() - 0.5);
  std::vector<float> stepped = plain;
  sums.apply(plain);
  std::vector<double> mean(kCount);
  sums.mean(mean);
  OptimizerState state;
  server_step(ServerSpec{}, mean, stepped, state);
  EXPECT_EQ(plain, stepped);
  EXPECT_TRUE(encode_state(state).empty());
}

class EveryOptimizer : public testing::TestWithParam<ServerOptimizer> {};

TEST_P(EveryOptimizer, GoesOnFromItsStoredStateWithTheSameBits) {
  ServerSpec server;
  server.optimizer = GetParam();
  server.learning_rate = 0.1;
  Rng rng(5);
  constexpr size_t kCount = 37;
  std::vector<float> model(kCount, 0.5F);
  std::vector<float> restarted = model;
  OptimizerState state;
  std::vector<uint8_t> stored;
  for (int step = 0; step < 10; ++step) {
    std::vector<double> aggregate(kCount);
    for (double& value : aggregate) value = (rng.uniform() - 0.5) * 1e-2;
    server_step(server, aggregate, model, state);
    Result<OptimizerState> read = decode_state(stored, kCount);
    ASSERT_TRUE(read.ok()) << read.failure().text();
    server_step(server, aggregate, restarted, *read);
    stored = encode_state(*read);
    ASSERT_EQ(model, restarted) << "step " << step;
    ASSERT_EQ(stored, encode_state(state));
  }
  EXPECT_EQ(stored.empty(), GetParam() == ServerOptimizer::kAvg);
}

// f(x) = |x - 1|^2 / 2 with aggregates that are steps of gradient descent: all of them get there.
TEST_P(EveryOptimizer, GoesDownhill) {
  ServerSpec server;
  server.optimizer = GetParam();
  server.learning_rate = default_learning_rate(GetParam()) * (GetParam() == ServerOptimizer::kAdagrad ? 10.0 : 1.0);
  std::vector<float> model = {0.0F, 3.0F, -2.0F};
  OptimizerState state;
  for (int step = 0; step < 2000; ++step) {
    std::vector<double> aggregate;
    for (const float x : model) aggregate.push_back(0.05 * (1.0 - static_cast<double>(x)));
    server_step(server, aggregate, model, state);
  }
  for (const float x : model) EXPECT_NEAR(x, 1.0F, 0.05F);
}

TEST_P(EveryOptimizer, AnothersStateIsNotUsed) {
  ServerSpec server;
  server.optimizer = GetParam();
  std::vector<float> fresh = {1.0F};
  std::vector<float> changed = {1.0F};
  OptimizerState none;
  OptimizerState others;
  others.optimizer = GetParam() == ServerOptimizer::kAdam ? ServerOptimizer::kYogi : ServerOptimizer::kAdam;
  others.first = {9.0F};
  others.second = {9.0F};
  server_step(server, std::array{0.5}, fresh, none);
  server_step(server, std::array{0.5}, changed, others);
  EXPECT_EQ(fresh, changed);
  EXPECT_EQ(others.optimizer, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, EveryOptimizer,
                         testing::Values(ServerOptimizer::kAvg, ServerOptimizer::kMomentum, ServerOptimizer::kAdam,
                                         ServerOptimizer::kYogi, ServerOptimizer::kAdagrad),
                         [](const auto& tested) { return std::string(server_optimizer_name(tested.param)); });

TEST(OptimizerStateBlob, RefusesWhatItDidNotWrite) {
  OptimizerState state{ServerOptimizer::kAdam, {1.0F, 2.0F}, {3.0F, 4.0F}};
  const std::vector<uint8_t> good = encode_state(state);
  ASSERT_TRUE(decode_state(good, 2).ok());
  EXPECT_EQ(decode_state(good, 2)->second, state.second);
  EXPECT_EQ(decode_state(good, 3).error(), Error::kCorrupt);
  for (size_t cut = 1; cut < good.size(); ++cut) {
    EXPECT_EQ(decode_state(ByteView(good).first(cut), 2).error(), Error::kCorrupt) << cut;
  }
  const auto changed = [&](size_t at, uint8_t value) {
    std::vector<uint8_t> bad = good;
    bad[at] = value;
    return decode_state(bad, 2).failure();
  };
  EXPECT_EQ(changed(0, 2).error(), Error::kVersion);
  EXPECT_EQ(changed(1, 0).error(), Error::kCorrupt) << "averaging keeps nothing";
  EXPECT_EQ(changed(1, 5).error(), Error::kCorrupt);
  EXPECT_EQ(changed(1, 1).error(), Error::kCorrupt) << "momentum has one vector";
  EXPECT_EQ(changed(2, 1).error(), Error::kCorrupt);
  EXPECT_EQ(changed(3, 1).error(), Error::kCorrupt);
  state.first[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(decode_state(encode_state(state), 2).failure().text(), HasSubstr("not a number"));
  state = {ServerOptimizer::kAdam, {1.0F, 2.0F}, {3.0F, -4.0F}};
  EXPECT_EQ(decode_state(encode_state(state), 2).error(), Error::kCorrupt) << "a square is not negative";
}

}  // namespace
}  // namespace runnel::coordinator
