#include "fleet/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace runnel::fleet {
namespace {

using ::testing::HasSubstr;

std::variant<CommandLine, int> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "runnel-fleet");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

CommandLine good(const std::vector<const char*>& words) {
  auto result = parse(words);
  EXPECT_TRUE(std::holds_alternative<CommandLine>(result));
  return std::holds_alternative<CommandLine>(result) ? std::get<CommandLine>(result) : CommandLine{};
}

std::string complaint(const std::vector<const char*>& words) {
  ::testing::internal::CaptureStderr();
  const auto result = parse(words);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(std::holds_alternative<int>(result));
  EXPECT_NE(std::holds_alternative<int>(result) ? std::get<int>(result) : 0, 0);
  return text;
}

TEST(CommandLine, ReadsARun) {
  const CommandLine line = good({"run",
                                 "--devices",
                                 "5",
                                 "--data",
                                 "csv:x",
                                 "--partition",
                                 "iid",
                                 "--bits",
                                 "6",
                                 "--bucket",
                                 "64",
                                 "--rounds",
                                 "9",
                                 "--seed",
                                 "42",
                                 "--steps",
                                 "20",
                                 "--learning-rate",
                                 "0.125",
                                 "--profile",
                                 "thin",
                                 "--kill-device",
                                 "3@2:training",
                                 "--kill-device",
                                 "4@5:uploading",
                                 "--kill-coordinator",
                                 "7",
                                 "--compare",
                                 "fp32",
                                 "--start-order",
                                 "random",
                                 "--json",
                                 "o.json",
                                 "--scale",
                                 "1/255"});
  EXPECT_EQ(line.command, CommandLine::Command::kRun);
  EXPECT_EQ(line.config.devices, 5U);
  EXPECT_EQ(line.config.bits.value(), 6.0);
  EXPECT_EQ(line.config.bucket.value(), 64U);
  EXPECT_EQ(line.config.seed, 42U);
  EXPECT_EQ(line.config.steps.value(), 20U);
  EXPECT_FALSE(line.config.epochs.has_value());
  EXPECT_DOUBLE_EQ(line.config.learning_rate.value(), 0.125);
  EXPECT_EQ(line.config.start_order, StartOrder::kRandom);
  EXPECT_EQ(line.config.scale, "1/255");
  EXPECT_EQ(line.config.faults.device_texts(), (std::vector<std::string>{"3@2:training", "4@5:uploading"}));
  EXPECT_EQ(line.config.faults.coordinator_round().value(), 7U);
  EXPECT_EQ(line.compare_codec, "fp32");
  EXPECT_EQ(line.json_path, "o.json");
}

TEST(CommandLine, PassesRoundRulesOn) {
  const CommandLine line = good({"run", "--nesterov", "--policy", "buffered", "--buffer", "3", "--aggregation",
                                 "trimmed_mean", "--trim", "0.2", "--come-back"});
  EXPECT_THAT(line.config.plan_options,
              ::testing::UnorderedElementsAre(::testing::Pair("--nesterov", ""),
                                              ::testing::Pair("--policy", "buffered"), ::testing::Pair("--buffer", "3"),
                                              ::testing::Pair("--aggregation", "trimmed_mean"),
                                              ::testing::Pair("--trim", "0.2"), ::testing::Pair("--come-back", "")));
  EXPECT_TRUE(good({"run"}).config.plan_options.empty());
}

TEST(CommandLine, PassesTheDevicesOptimizerOn) {
  for (const char* command : {"run", "demo"}) {
    const CommandLine line =
        good({command, "--optimizer", "adamw", "--beta1", "0.8", "--beta2", "0.99", "--epsilon", "1e-6",
              "--clip-gradient", "1", "--accumulate", "4", "--warmup-rounds", "2", "--scaffold-share", "1"});
    EXPECT_THAT(line.config.plan_options,
                ::testing::UnorderedElementsAre(
                    ::testing::Pair("--optimizer", "adamw"), ::testing::Pair("--beta1", "0.8"),
                    ::testing::Pair("--beta2", "0.99"), ::testing::Pair("--epsilon", "1e-6"),
                    ::testing::Pair("--clip-gradient", "1"), ::testing::Pair("--accumulate", "4"),
                    ::testing::Pair("--warmup-rounds", "2"), ::testing::Pair("--scaffold-share", "1")));
  }
}

TEST(CommandLine, FineTuningTakesExamplesToJudgeItBy) {
  EXPECT_EQ(good({"run", "--holdout", "0.2", "--fine-tune", "50"}).config.fine_tune.value(), 50U);
  EXPECT_THAT(complaint({"run", "--fine-tune", "50"}), HasSubstr("--holdout"));
  EXPECT_THAT(complaint({"run", "--holdout", "0.2", "--fine-tune", "0"}), HasSubstr("--fine-tune"));
}

TEST(CommandLine, TheDemonstrationComparesAndReports) {
  const CommandLine line = good({"demo"});
  EXPECT_EQ(line.command, CommandLine::Command::kDemo);
  EXPECT_EQ(line.config.devices, 8U);
  EXPECT_EQ(line.config.model, "sensor-cnn");
  EXPECT_EQ(line.config.codec, "dithered");
  EXPECT_EQ(line.config.profile, "thin");
  EXPECT_EQ(line.compare_codec, "fp32");
  EXPECT_FALSE(line.report_path.empty());
}

TEST(CommandLine, ExplainsWhatIsWrong) {
  EXPECT_THAT(complaint({}), HasSubstr("subcommand is required"));
  EXPECT_THAT(complaint({"run", "--devices", "0"}), HasSubstr("--devices"));
  EXPECT_THAT(complaint({"run", "--bits", "0"}), HasSubstr("--bits"));
  EXPECT_THAT(complaint({"run", "--bits", "4", "--levels", "7"}), HasSubstr("excludes"));
  EXPECT_THAT(complaint({"run", "--codec", "zip"}), HasSubstr("zip"));
  EXPECT_THAT(complaint({"run", "--profile", "warp"}), HasSubstr("warp"));
  EXPECT_THAT(complaint({"run", "--trace", "/nowhere.csv"}), HasSubstr("/nowhere.csv"));
  EXPECT_THAT(complaint({"run", "--bind", "localhost"}), HasSubstr("localhost"));
  EXPECT_THAT(complaint({"run", "--kill-device", "1@2"}), HasSubstr("INDEX@ROUND"));
  EXPECT_THAT(complaint({"run", "--kill-device", "8@2:training"}), HasSubstr("devices 0 to 7"));
  EXPECT_THAT(complaint({"run", "--cohort", "9"}), HasSubstr("--cohort"));
  EXPECT_THAT(complaint({"run", "--codec", "fp32", "--compare", "fp32"}), HasSubstr("--compare"));
  EXPECT_THAT(complaint({"run", "--frob"}), HasSubstr("--frob"));
}

}  // namespace
}  // namespace runnel::fleet
