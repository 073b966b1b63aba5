// The parts of a plan that say when updates count and what becomes of them: [policy], [aggregation], [server], [pace].
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/config/fleet_plan.h"

namespace runnel::coordinator {
namespace {

using testing::HasSubstr;

TEST(RoundRules, ReadsEveryKeyAndWritesIt) {
  const Result<FleetPlan> plan = parse_fleet_plan(R"(quorum = 7
[policy]
mode = "buffered"
staleness_max = 17
staleness_exponent = 1.5
buffer = 12
offline_updates = 4
[aggregation]
method = "krum"
clip_norm = 2.5
trim = 0.25
byzantine = 2
krum_keep = 3
[server]
optimizer = "momentum"
learning_rate = 0.7
momentum = 0.8
nesterov = true
beta1 = 0.5
beta2 = 0.75
tau = 1e-4
[pace]
come_back = true
come_back_seconds = 45
ping_seconds = 60
)");
  ASSERT_TRUE(plan.ok()) << plan.failure().text();
  EXPECT_EQ(plan->policy.policy, plan::RoundPolicy::kBuffered);
  EXPECT_EQ(plan->policy.staleness_max, 17U);
  EXPECT_EQ(plan->policy.staleness_exponent, 1.5);
  EXPECT_EQ(plan->policy.buffer, 12U);
  EXPECT_EQ(plan->policy.offline_updates, 4U);
  EXPECT_EQ(plan->aggregation.method, AggregationMethod::kKrum);
  EXPECT_EQ(plan->aggregation.clip_norm, 2.5);
  EXPECT_EQ(plan->aggregation.trim, 0.25);
  EXPECT_EQ(plan->aggregation.byzantine, 2U);
  EXPECT_EQ(plan->aggregation.krum_keep, 3U);
  EXPECT_EQ(plan->server.optimizer, ServerOptimizer::kMomentum);
  EXPECT_EQ(plan->server.learning_rate, 0.7);
  EXPECT_EQ(plan->server.momentum, 0.8);
  EXPECT_TRUE(plan->server.nesterov);
  EXPECT_EQ(plan->server.beta1, 0.5);
  EXPECT_EQ(plan->server.beta2, 0.75);
  EXPECT_EQ(plan->server.tau, 1e-4);
  EXPECT_TRUE(plan->pace.come_back);
  EXPECT_EQ(plan->pace.come_back_seconds, 45.0);
  EXPECT_EQ(plan->pace.ping_seconds, 60U);
  const Result<FleetPlan> again = parse_fleet_plan(fleet_plan_toml(*plan));
  ASSERT_TRUE(again.ok()) << again.failure().text();
  EXPECT_EQ(fleet_plan_toml(*again), fleet_plan_toml(*plan));
  EXPECT_EQ(again->policy.policy, plan::RoundPolicy::kBuffered);
  EXPECT_EQ(again->server.learning_rate, 0.7);
}

TEST(RoundRules, AFileFromBeforeThemMeansWhatItMeant) {
  const Result<FleetPlan> plan = parse_fleet_plan("rounds = 3\n[training]\nlearning_rate = 0.1\n");
  ASSERT_TRUE(plan.ok()) << plan.failure().text();
  EXPECT_EQ(plan->policy.policy, plan::RoundPolicy::kSync);
  EXPECT_EQ(plan->policy.staleness_max, 0U);
  EXPECT_EQ(plan->policy.grace_seconds, 0.0);
  EXPECT_EQ(plan->aggregation.method, AggregationMethod::kMean);
  EXPECT_EQ(plan->aggregation.clip_norm, 0.0);
  EXPECT_EQ(plan->server.optimizer, ServerOptimizer::kAvg);
  EXPECT_EQ(plan->server.learning_rate, 1.0);
  EXPECT_FALSE(plan->pace.come_back);
}

TEST(RoundRules, DefaultsFollowWhatTheyDependOn) {
  EXPECT_EQ(parse_fleet_plan("[policy]\nmode = 'buffered'")->policy.staleness_max, 10U);
  EXPECT_EQ(parse_fleet_plan("[policy]\nmode = 'buffered'\nstaleness_max = 0")->policy.staleness_max, 0U);
  EXPECT_EQ(parse_fleet_plan("[server]\noptimizer = 'momentum'")->server.learning_rate, 1.0);
  for (const char* adaptive : {"adam", "yogi", "adagrad"}) {
    EXPECT_EQ(parse_fleet_plan("[server]\noptimizer = '" + std::string(adaptive) + "'")->server.learning_rate, 0.03);
  }
}

TEST(RoundRules, EveryNameReadsBack) {
  for (uint8_t k = 0; k < plan::kRoundPolicyCount; ++k) {
    const auto policy = static_cast<plan::RoundPolicy>(k);
    EXPECT_EQ(*round_policy_from_name(plan::round_policy_name(policy)), policy);
  }
  for (uint8_t k = 0; k < kAggregationMethodCount; ++k) {
    const auto method = static_cast<AggregationMethod>(k);
    EXPECT_EQ(*aggregation_method_from_name(aggregation_method_name(method)), method);
  }
  for (uint8_t k = 0; k < kServerOptimizerCount; ++k) {
    const auto optimizer = static_cast<ServerOptimizer>(k);
    EXPECT_EQ(*server_optimizer_from_name(server_optimizer_name(optimizer)), optimizer);
  }
  EXPECT_STREQ(aggregation_method_name(static_cast<AggregationMethod>(200)), "unknown");
  EXPECT_STREQ(server_optimizer_name(static_cast<ServerOptimizer>(200)), "unknown");
}

struct BadRule {
  const char* toml;
  Error error;
  const char* words;
};

class BadRuleTest : public testing::TestWithParam<BadRule> {};

TEST_P(BadRuleTest, IsRefusedWithLineOrKey) {
  const Result<FleetPlan> plan = parse_fleet_plan(GetParam().toml);
  ASSERT_FALSE(plan.ok()) << GetParam().toml;
  EXPECT_EQ(plan.error(), GetParam().error) << plan.failure().text();
  EXPECT_THAT(plan.failure().text(), HasSubstr(GetParam().words));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadRuleTest,
    testing::Values(
        BadRule{"[policy]\nmode = \"async\"", Error::kUnknownName,
                "line 2: policy.mode must be one of sync or buffered, not 'async'"},
        BadRule{"[policy]\nmode = 1", Error::kMalformed, "line 2: policy.mode must be a string"},
        BadRule{"[policy]\ngrace = 1", Error::kUnknownName, "line 2: unknown key policy.grace"},
        BadRule{"[policy]\ngrace_seconds = 86401", Error::kOutOfRange, "line 2: grace_seconds must be 0..86400"},
        BadRule{"[policy]\ngrace_seconds = nan", Error::kNotFinite, "line 2: grace_seconds"},
        BadRule{"[policy]\nmode = 'buffered'\ngrace_seconds = 1", Error::kInvalidArgument, "line 3: grace_seconds"},
        BadRule{"[policy]\nstaleness_max = 1001", Error::kOutOfRange, "line 2: staleness_max must be 0..1000"},
        BadRule{"[policy]\nstaleness_exponent = -0.5", Error::kOutOfRange, "line 2: staleness_exponent must be 0..10"},
        BadRule{"[policy]\nbuffer = 0", Error::kOutOfRange, "line 2: buffer must be 1..1000000"},
        BadRule{"[policy]\nmode = 'buffered'\noffline_updates = 17", Error::kOutOfRange, "line 3: offline_updates"},
        BadRule{"[policy]\noffline_updates = 1", Error::kInvalidArgument, "line 2: offline_updates is of buffered"},
        BadRule{"over_selection = 0.5\n[policy]\nmode = 'buffered'", Error::kInvalidArgument,
                "line 1: over_selection is of synchronous"},
        BadRule{"quorum = 11\n[policy]\nmode = 'buffered'", Error::kOutOfRange,
                "line 1: quorum must be at most policy.buffer, 10, not 11"},
        BadRule{"[aggregation]\nmethod = \"mode\"", Error::kUnknownName,
                "line 2: aggregation.method must be one of mean, median, trimmed_mean or krum, not 'mode'"},
        BadRule{"[aggregation]\nclip_norm = -1", Error::kOutOfRange, "line 2: clip_norm must be 0..1000000"},
        BadRule{"[aggregation]\nclip_norm = inf", Error::kNotFinite, "line 2: clip_norm"},
        BadRule{"[aggregation]\ntrim = 0.5", Error::kOutOfRange, "line 2: trim must be 0..0.499"},
        BadRule{"[aggregation]\nbyzantine = 1000001", Error::kOutOfRange, "line 2: byzantine must be"},
        BadRule{"[aggregation]\nkrum_keep = 0", Error::kOutOfRange, "line 2: krum_keep must be"},
        BadRule{"[aggregation]\nkrum = 1", Error::kUnknownName, "line 2: unknown key aggregation.krum"},
        BadRule{"[aggregation]\nmethod = 'krum'", Error::kOutOfRange,
                "quorum must be at least 2 byzantine + 3 = 5 with aggregation.method = krum, not 1"},
        BadRule{"cohort = 8\nquorum = 8\n[aggregation]\nmethod = 'krum'\nbyzantine = 3", Error::kOutOfRange,
                "line 1: cohort must be at least 2 byzantine + 3 = 9"},
        BadRule{"quorum = 5\n[policy]\nmode = 'buffered'\nbuffer = 8\n[aggregation]\nmethod = 'krum'\nbyzantine = 3",
                Error::kOutOfRange, "policy.buffer must be at least 2 byzantine + 3 = 9"},
        BadRule{"[server]\noptimizer = \"sgd\"", Error::kUnknownName,
                "line 2: server.optimizer must be one of avg, momentum, adam, yogi or adagrad, not 'sgd'"},
        BadRule{"[server]\nlearning_rate = 0", Error::kOutOfRange, "line 2: learning_rate must be"},
        BadRule{"[server]\nlearning_rate = 101.0", Error::kOutOfRange, "line 2: learning_rate must be"},
        BadRule{"[server]\nmomentum = 1", Error::kOutOfRange, "line 2: momentum must be at least 0 and below 1, not 1"},
        BadRule{"[server]\nbeta1 = 1.0", Error::kOutOfRange, "line 2: beta1 must be"},
        BadRule{"[server]\nbeta2 = nan", Error::kNotFinite, "line 2: beta2 must be"},
        BadRule{"[server]\ntau = 0", Error::kOutOfRange, "line 2: tau must be"},
        BadRule{"[server]\nnesterov = true", Error::kInvalidArgument,
                "line 2: nesterov is a kind of momentum: optimizer must be momentum, not avg"},
        BadRule{"[pace]\ncome_back_seconds = 0", Error::kOutOfRange, "line 2: come_back_seconds must be 1..86400"},
        BadRule{"[pace]\ncome_back = 1", Error::kMalformed, "line 2: pace.come_back must be true or false"},
        BadRule{"[pace]\nping_seconds = 86401", Error::kOutOfRange, "line 2: ping_seconds must be 0..86400"}));

TEST(RoundRules, WithoutAFileTheTableIsNamed) {
  FleetPlan plan;
  plan.server.learning_rate = 0.0;
  EXPECT_THAT(check(plan).text(), HasSubstr("server: learning_rate"));
  plan.server = {};
  plan.aggregation.method = static_cast<AggregationMethod>(77);
  EXPECT_EQ(check(plan).error(), Error::kUnknownName);
}

TEST(RoundRules, EnoughUpdatesForKrum) {
  EXPECT_TRUE(parse_fleet_plan("quorum = 5\n[aggregation]\nmethod = 'krum'").ok());
  EXPECT_TRUE(parse_fleet_plan("quorum = 3\n[aggregation]\nmethod = 'krum'\nbyzantine = 0").ok());
  // How many devices train at once says nothing about how many updates a buffer holds.
  EXPECT_TRUE(
      parse_fleet_plan("cohort = 2\nquorum = 5\n[policy]\nmode = 'buffered'\n[aggregation]\nmethod = 'krum'").ok());
}

}  // namespace
}  // namespace runnel::coordinator
