#include "coordinator/config/fleet_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace runnel::coordinator {
namespace {

using testing::HasSubstr;

TEST(FleetPlanTest, AnEmptyFileIsTheDefaultPlan) {
  Result<FleetPlan> plan = parse_fleet_plan("");
  ASSERT_TRUE(plan.ok()) << plan.failure().text();
  EXPECT_EQ(plan->rounds, 20U);
  EXPECT_EQ(plan->seed, 1U);
  EXPECT_EQ(plan->codec.codec, plan::CodecId::kDithered);
  EXPECT_EQ(plan->codec.bits, 1.0F);
  EXPECT_EQ(plan->codec.step, 0.0F);
}

TEST(FleetPlanTest, ReadsEveryKey) {
  Result<FleetPlan> plan = parse_fleet_plan(R"(
rounds = 7
seed = 9223372036854775807
min_devices = 3
cohort = 12
over_selection = 0.5
quorum = 4
deadline_seconds = 90
[training]
learning_rate = 0.125
momentum = 0
weight_decay = 1e-4
proximal_mu = 0.01
batch_size = 16
local_epochs = 2
local_steps = 5
warmup_rounds = 2
optimizer = "adamw"
beta1 = 0.75
beta2 = 0.5
epsilon = 1e-6
clip_norm = 3
accumulate = 4
[codec]
name = "fp32"
levels = 15
bucket = 64
exact_coordinates_max = 0
)");
  ASSERT_TRUE(plan.ok()) << plan.failure().text();
  EXPECT_EQ(plan->rounds, 7U);
  EXPECT_EQ(plan->seed, 9223372036854775807ULL);
  EXPECT_EQ(plan->min_devices, 3U);
  EXPECT_EQ(plan->cohort, 12U);
  EXPECT_EQ(plan->over_selection, 0.5);
  EXPECT_EQ(plan->quorum, 4U);
  EXPECT_EQ(plan->deadline_seconds, 90.0);
  EXPECT_EQ(plan->training.learning_rate, 0.125F);
  EXPECT_EQ(plan->training.momentum, 0.0F);
  EXPECT_EQ(plan->training.weight_decay, 1e-4F);
  EXPECT_EQ(plan->training.proximal_mu, 0.01F);
  EXPECT_EQ(plan->training.batch_size, 16U);
  EXPECT_EQ(plan->training.local_epochs, 2U);
  EXPECT_EQ(plan->training.local_steps, 5U);
  EXPECT_EQ(plan->training.warmup_rounds, 2U);
  EXPECT_EQ(plan->training.optimizer, plan::Optimizer::kAdamW);
  EXPECT_EQ(plan->training.beta1, 0.75F);
  EXPECT_EQ(plan->training.beta2, 0.5F);
  EXPECT_EQ(plan->training.epsilon, 1e-6F);
  EXPECT_EQ(plan->training.clip_norm, 3.0F);
  EXPECT_EQ(plan->training.accumulate, 4U);
  EXPECT_EQ(plan->codec.codec, plan::CodecId::kFp32);
  EXPECT_EQ(plan->codec.levels, 15U);
  EXPECT_EQ(plan->codec.bucket, 64U);
  EXPECT_EQ(plan->codec.exact_coordinates_max, 0U);
}

TEST(FleetPlanTest, BitsAreLevels) {
  EXPECT_EQ(parse_fleet_plan("[codec]\nname = 'qsgd'\nbits = 2")->codec.levels, 1U);
  EXPECT_EQ(parse_fleet_plan("[codec]\nname = 'qsgd'\nbits = 8")->codec.levels, 127U);
  EXPECT_EQ(parse_fleet_plan("[codec]\nname = 'qsgd_inf'\nbits = 16")->codec.levels, 32767U);
  EXPECT_EQ(parse_fleet_plan("[codec]\nname = 'nuqsgd'\nbits = 4")->codec.levels, 6U);
}

TEST(FleetPlanTest, ReadsWhatTheSchemesOfOneStepTake) {
  const Result<FleetPlan> plan = parse_fleet_plan(R"([codec]
name = "deadzone"
bits = 0.25
step = 0.5
rotate = true
error_feedback = true
keep = 0.125
coder = "model"
)");
  ASSERT_TRUE(plan.ok()) << plan.failure().text();
  EXPECT_EQ(plan->codec.codec, plan::CodecId::kDeadzone);
  EXPECT_EQ(plan->codec.bits, 0.25F);
  EXPECT_EQ(plan->codec.step, 0.5F);
  EXPECT_TRUE(plan->codec.rotate);
  EXPECT_TRUE(plan->codec.error_feedback);
  EXPECT_EQ(plan->codec.keep, 0.125F);
  EXPECT_EQ(plan->codec.coder, plan::Coder::kModel);
  const Result<FleetPlan> again = parse_fleet_plan(fleet_plan_toml(*plan));
  ASSERT_TRUE(again.ok()) << again.failure().text();
  EXPECT_EQ(fleet_plan_toml(*again), fleet_plan_toml(*plan));
}

TEST(FleetPlanTest, ReadsTheDownlink) {
  EXPECT_EQ(parse_fleet_plan("")->downlink.bits, 1.0);
  EXPECT_TRUE(parse_fleet_plan("")->downlink.quantized());
  EXPECT_FALSE(parse_fleet_plan("[downlink]\nbits = 0")->downlink.quantized());
  const Result<FleetPlan> plan = parse_fleet_plan("[downlink]\nbits = 0.5\nstep = 0.00390625\ndeltas = 5\n");
  ASSERT_TRUE(plan.ok()) << plan.failure().text();
  EXPECT_EQ(plan->downlink.bits, 0.5);
  EXPECT_EQ(plan->downlink.step, 0x1p-8F);
  EXPECT_EQ(plan->downlink.deltas, 5U);
  const Result<FleetPlan> again = parse_fleet_plan(fleet_plan_toml(*plan));
  ASSERT_TRUE(again.ok()) << again.failure().text();
  EXPECT_EQ(fleet_plan_toml(*again), fleet_plan_toml(*plan));
  for (const char* bad : {"bits = 0.001", "bits = 17", "bits = -1", "bits = nan", "step = 0.3", "step = 2",
                          "step = -0.5", "step = 1e-9", "deltas = 0", "deltas = 1001", "delta = 3"}) {
    const Result<FleetPlan> refused = parse_fleet_plan(std::string("[downlink]\n") + bad);
    ASSERT_FALSE(refused.ok()) << bad;
    const std::string key = std::string(bad).substr(0, std::string(bad).find(' '));
    EXPECT_THAT(refused.failure().text(), HasSubstr(key)) << bad;
  }
}

TEST(FleetPlanTest, ReadsTheRateRule) {
  const Result<FleetPlan> plan = parse_fleet_plan(R"(rounds = 50
[training]
schedule = "cosine"
learning_rate_end = 0.001
[rate]
mode = "budget"
horizon = 2.5
error_share = 0.25
budget_bytes = 123456
resolution = 0.01
deadline = false
late = "send"
step_ratio_max = 32
save_time = true
per_layer = true
)");
  ASSERT_TRUE(plan.ok()) << plan.failure().text();
  EXPECT_EQ(plan->training.schedule, plan::Schedule::kCosine);
  EXPECT_EQ(plan->training.learning_rate_end, 0.001F);
  EXPECT_EQ(plan->rate.mode, plan::RateMode::kBudget);
  EXPECT_EQ(plan->rate.error_share, 0.25F);
  EXPECT_EQ(plan->rate.budget_bytes, 123456U);
  EXPECT_EQ(plan->rate.resolution, 0.01F);
  EXPECT_FALSE(plan->rate.deadline);
  EXPECT_EQ(plan->rate.late, plan::LatePolicy::kSend);
  EXPECT_EQ(plan->rate.step_ratio_max, 32.0F);
  EXPECT_TRUE(plan->rate.save_time);
  EXPECT_TRUE(plan->rate.per_layer);
  // a^(T/2) = e^-horizon.
  EXPECT_NEAR(std::pow(contraction_of(*plan), 25.0), std::exp(-2.5), 1e-6);
  const Result<FleetPlan> again = parse_fleet_plan(fleet_plan_toml(*plan));
  ASSERT_TRUE(again.ok()) << again.failure().text();
  EXPECT_EQ(fleet_plan_toml(*again), fleet_plan_toml(*plan));
}

struct BadPlan {
  const char* toml;
  Error error;
  const char* words;
};

class BadPlanTest : public testing::TestWithParam<BadPlan> {};

TEST_P(BadPlanTest, IsRefusedWithLineAndKey) {
  Result<FleetPlan> plan = parse_fleet_plan(GetParam().toml);
  ASSERT_FALSE(plan.ok()) << GetParam().toml;
  EXPECT_EQ(plan.error(), GetParam().error) << plan.failure().text();
  EXPECT_THAT(plan.failure().text(), HasSubstr(GetParam().words));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadPlanTest,
    testing::Values(
        BadPlan{"rounds = 3\nseed = = 4\n", Error::kMalformed, "line 2: "},
        BadPlan{"rounds = 3\nrounds = 4\n", Error::kMalformed, "line 2: "},
        BadPlan{"seed = 1\n\nround = 3\n", Error::kUnknownName, "line 3: unknown key round"},
        BadPlan{"[training]\nlearningrate = 1\n", Error::kUnknownName, "line 2: unknown key training.learningrate"},
        BadPlan{"[codec]\nlevel = 1\n", Error::kUnknownName, "line 2: unknown key codec.level"},
        BadPlan{"\nrounds = \"3\"\n", Error::kMalformed, "line 2: rounds must be a whole number, not a string"},
        BadPlan{"rounds = 3.5", Error::kMalformed, "rounds must be a whole number, not a number with a fraction"},
        BadPlan{"rounds = -3", Error::kOutOfRange, "line 1: rounds must not be negative"},
        BadPlan{"rounds = 4294967296", Error::kOutOfRange, "line 1: rounds must be at most 4294967295"},
        BadPlan{"seed = 1\nrounds = 0", Error::kOutOfRange, "line 2: rounds must be 1..1000000, not 0"},
        BadPlan{"rounds = 1000001", Error::kOutOfRange, "rounds must be 1..1000000"},
        BadPlan{"min_devices = 0", Error::kOutOfRange, "line 1: min_devices must be"},
        BadPlan{"cohort = 1000001", Error::kOutOfRange, "line 1: cohort must be"},
        BadPlan{"over_selection = 4.5", Error::kOutOfRange, "line 1: over_selection must be 0..4, not 4.5"},
        BadPlan{"over_selection = nan", Error::kNotFinite, "line 1: over_selection"},
        BadPlan{"over_selection = true", Error::kMalformed, "over_selection must be a number, not true or false"},
        BadPlan{"quorum = 0", Error::kOutOfRange, "line 1: quorum must be"},
        BadPlan{"cohort = 4\nquorum = 5", Error::kOutOfRange, "line 2: quorum must be at most the cohort, 4, not 5"},
        BadPlan{"deadline_seconds = 0", Error::kOutOfRange, "line 1: deadline_seconds must be 0.1..31536000, not 0"},
        BadPlan{"deadline_seconds = inf", Error::kNotFinite, "deadline_seconds"},
        BadPlan{"training = 3", Error::kMalformed, "line 1: training must be a table, not a whole number"},
        BadPlan{"[training]\n\nlearning_rate = 0", Error::kOutOfRange, "line 3: learning_rate must be"},
        BadPlan{"[training]\nmomentum = 1.0", Error::kOutOfRange, "line 2: momentum must be"},
        BadPlan{"[training]\nweight_decay = -1", Error::kOutOfRange, "line 2: weight_decay must be"},
        BadPlan{"[training]\nproximal_mu = 101", Error::kOutOfRange, "line 2: proximal_mu must be"},
        BadPlan{"[training]\nbatch_size = 0", Error::kOutOfRange, "line 2: batch_size must be"},
        BadPlan{"[training]\nbatch_size = [1]", Error::kMalformed,
                "line 2: training.batch_size must be a whole number"},
        BadPlan{"[training]\nlocal_epochs = 0", Error::kOutOfRange, "line 2: local_epochs must be"},
        BadPlan{"[training]\nlocal_steps = 1000001", Error::kOutOfRange, "line 2: local_steps must be"},
        BadPlan{"[codec]\nname = \"gzip\"", Error::kUnknownName,
                "line 2: codec.name must be one of fp32, qsgd, qsgd_inf"},
        BadPlan{"[codec]\nname = 1", Error::kMalformed, "line 2: codec.name must be a string, not a whole number"},
        BadPlan{"[codec]\nlevels = 0", Error::kOutOfRange, "line 2: levels must be"},
        BadPlan{"[codec]\nname = \"qsgd\"\nbits = 1", Error::kOutOfRange,
                "line 3: codec.bits must be a whole number of 2..16 for qsgd, not 1"},
        BadPlan{"[codec]\nbits = 17", Error::kOutOfRange, "line 2: codec.bits must be 0.01..16 for dithered, not 17"},
        BadPlan{"[codec]\nname = \"sign\"\nbits = 1", Error::kInvalidArgument,
                "line 3: codec.bits cannot be chosen for sign"},
        BadPlan{"[codec]\ncoder = \"zip\"", Error::kUnknownName, "line 2: codec.coder must be one of auto"},
        BadPlan{"[codec]\nkeep = 0.0", Error::kOutOfRange, "keep must be 0.0001..1"},
        BadPlan{"[codec]\nbits = 4\nlevels = 7", Error::kMalformed, "line 2: codec.bits stands next to levels"},
        BadPlan{"[training]\nschedule = \"steps\"", Error::kUnknownName,
                "line 2: training.schedule must be one of constant, linear, cosine or exponential, not 'steps'"},
        BadPlan{"[training]\noptimizer = \"lamb\"", Error::kUnknownName,
                "line 2: training.optimizer must be one of sgd, nesterov, adam or adamw, not 'lamb'"},
        BadPlan{"[training]\naccumulate = 0", Error::kOutOfRange, "line 2: accumulate must be"},
        BadPlan{"[training]\nbeta2 = 1.0", Error::kOutOfRange, "line 2: beta2 must be"},
        BadPlan{"[training]\nscaffold_share = 1.0", Error::kInvalidArgument,
                "line 2: scaffold_share needs local_steps: as many steps on every device"},
        BadPlan{"[training]\nscaffold_share = 1.0\nlocal_steps = 9\n[server]\noptimizer = \"adam\"",
                Error::kInvalidArgument, "training.scaffold_share needs server.optimizer avg"},
        BadPlan{"[training]\nscaffold_share = 1.0\nlocal_steps = 9\n[policy]\nmode = \"buffered\"",
                Error::kInvalidArgument, "training.scaffold_share is of synchronous rounds"},
        BadPlan{"[training]\nclip_norm = -1.0", Error::kOutOfRange, "line 2: clip_norm must be"},
        BadPlan{"[rate]\nmode = \"fast\"", Error::kUnknownName, "line 2: rate.mode must be one of fixed, error"},
        BadPlan{"[rate]\nmode = \"budget\"", Error::kOutOfRange, "budget_bytes must be 1..281474976710656, not 0"},
        BadPlan{"[rate]\nlate = \"drop\"", Error::kUnknownName, "line 2: rate.late must be keep or send, not 'drop'"},
        BadPlan{"[rate]\nerror_share = 1.0", Error::kOutOfRange, "line 2: error_share must be"},
        BadPlan{"[rate]\nhorizon = -1.0", Error::kOutOfRange, "horizon must be 0..20, not -1"},
        BadPlan{"[rate]\nstep_ratio_max = 0.5", Error::kOutOfRange, "line 2: step_ratio_max must be"},
        BadPlan{"[rate]\nspeed = 1", Error::kUnknownName, "line 2: unknown key rate.speed"},
        BadPlan{"[codec]\nbucket = 7", Error::kOutOfRange, "line 2: bucket must be"},
        BadPlan{"[codec]\nexact_coordinates_max = 65537", Error::kOutOfRange, "line 2: exact_coordinates_max"}));

TEST(FleetPlanTest, WritesWhatItReads) {
  FleetPlan plan;
  plan.rounds = 123;
  plan.seed = 42;
  plan.min_devices = 9;
  plan.cohort = 50;
  plan.over_selection = 0.1;
  plan.quorum = 40;
  plan.deadline_seconds = 1234.5;
  plan.training.learning_rate = 1.0F / 3.0F;
  plan.training.momentum = 0.0F;
  plan.training.weight_decay = 1e-7F;
  plan.training.proximal_mu = 100.0F;
  plan.training.batch_size = 1;
  plan.training.local_epochs = 3;
  plan.training.local_steps = 17;
  plan.training.optimizer = plan::Optimizer::kNesterov;
  plan.training.beta1 = 0.8F;
  plan.training.beta2 = 0.95F;
  plan.training.epsilon = 1e-5F;
  plan.training.clip_norm = 0.3F;
  plan.training.accumulate = 6;
  plan.training.warmup_rounds = 9;
  plan.codec.levels = 3;
  plan.codec.bucket = 512;
  plan.codec.exact_coordinates_max = 0;
  plan.rate.resolution = 0.125F;
  const std::string text = fleet_plan_toml(plan);
  Result<FleetPlan> read = parse_fleet_plan(text);
  ASSERT_TRUE(read.ok()) << read.failure().text() << "\n" << text;
  EXPECT_EQ(fleet_plan_toml(*read), text);
  EXPECT_EQ(read->seed, 42U);
  EXPECT_EQ(read->over_selection, 0.1);
  EXPECT_EQ(read->training.learning_rate, 1.0F / 3.0F);
  EXPECT_EQ(read->training.weight_decay, 1e-7F);
  EXPECT_EQ(read->training.optimizer, plan::Optimizer::kNesterov);
  EXPECT_EQ(read->training.beta1, 0.8F);
  EXPECT_EQ(read->training.beta2, 0.95F);
  EXPECT_EQ(read->training.epsilon, 1e-5F);
  EXPECT_EQ(read->training.clip_norm, 0.3F);
  EXPECT_EQ(read->training.accumulate, 6U);
  EXPECT_EQ(read->training.warmup_rounds, 9U);
  EXPECT_EQ(read->codec.bucket, 512U);
  EXPECT_EQ(read->codec.exact_coordinates_max, 0U);
}

TEST(FleetPlanTest, WritesControlVariatesAsItReadsThem) {
  FleetPlan plan;
  plan.training.local_steps = 20;
  plan.training.scaffold_share = 0.1F;
  Result<FleetPlan> read = parse_fleet_plan(fleet_plan_toml(plan));
  ASSERT_TRUE(read.ok()) << read.failure().text();
  EXPECT_EQ(read->training.scaffold_share, 0.1F);
}

TEST(FleetPlanTest, ASeedMustFitTheFile) {
  FleetPlan plan;
  plan.seed = 1ULL << 63;
  EXPECT_EQ(check(plan).error(), Error::kOutOfRange);
}

}  // namespace
}  // namespace runnel::coordinator
