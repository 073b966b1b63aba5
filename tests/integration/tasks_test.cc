// Whole fleets on made-up data of every kind: numbers to predict, text, what is unusual; layers that a device keeps for
// itself, and layers that nobody trains.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/integration/programs.h"

namespace runnel::testing_programs {
namespace {

using Json = nlohmann::json;

class Fleet {
 public:
  Json run_with(const std::vector<std::string>& words) {
    std::vector<std::string> command{program("runnel-fleet"),
                                     "run",
                                     "--json",
                                     folder_ / "out.json",
                                     "--report",
                                     report(),
                                     "--work",
                                     work(),
                                     "--seed",
                                     "1",
                                     "--codec",
                                     "fp32"};
    command.insert(command.end(), words.begin(), words.end());
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    return outcome.status == 0 ? Json::parse(read_text(folder_ / "out.json")) : Json{};
  }
  std::string model(const std::string& toml) const {
    write_text(folder_ / "made.toml", toml);
    return folder_ / "made.toml";
  }
  std::string work() const { return folder_ / "work"; }
  std::string report() const { return folder_ / "report.html"; }
  // Every file of that name under the work folder.
  std::vector<std::string> files(const std::string& name) const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(work())) {
      if (entry.path().filename() == name) found.push_back(entry.path().string());
    }
    return found;
  }

 private:
  TempFolder folder_;
};

TEST(Tasks, NumbersToPredict) {
  Fleet fleet;
  const Json result = fleet.run_with(
      {"--devices", "4", "--data", "generated:task=readings", "--partition", "iid", "--rounds", "5", "--epochs", "3",
       "--batch", "16", "--learning-rate", "0.05", "--holdout", "0.2", "--model",
       fleet.model(
           "name = \"calibrate\"\ninput = [6, 1, 1]\noutputs = 2\nloss = { kind = \"mse\" }\nlayer = [\n"
           "  { kind = \"dense\", units = 24 },\n  { kind = \"tanh\" },\n  { kind = \"dense\", units = 2 },\n]\n")});
  ASSERT_TRUE(result.contains("final"));
  EXPECT_EQ(result.at("final").at("metric"), "rmse");
  EXPECT_TRUE(result.at("final").at("accuracy").is_null());
  EXPECT_LT(result.at("final").at("value").get<double>(), 0.6) << "1 is what knowing nothing comes to";
  for (const Json& device : result.at("devices")) {
    ASSERT_FALSE(device.at("evaluated").is_null());
    EXPECT_EQ(device.at("evaluated").at("metric"), "rmse");
  }
  EXPECT_TRUE(contains(read_text(fleet.report()), "On the devices' own examples"));
}

TEST(Tasks, TheNextCharacter) {
  Fleet fleet;
  const Json result =
      fleet.run_with({"--devices", "3", "--data", "generated:task=text,examples=120,test_examples=60", "--partition",
                      "iid", "--rounds", "4", "--epochs", "2", "--batch", "8", "--learning-rate", "1.0", "--model",
                      fleet.model("name = \"char\"\ninput = [1, 1, 64]\nclasses = 96\nlayer = [\n"
                                  "  { kind = \"embedding\", vocabulary = 96, units = 16 },\n"
                                  "  { kind = \"gru\", units = 32, every_step = true },\n"
                                  "  { kind = \"conv1d\", units = 96, kernel = 1 },\n]\n")});
  ASSERT_TRUE(result.contains("final"));
  EXPECT_EQ(result.at("final").at("metric"), "perplexity");
  EXPECT_LT(result.at("final").at("value").get<double>(), 25.0) << "96 is what knowing nothing comes to";
}

TEST(Tasks, WhatIsUnusual) {
  Fleet fleet;
  const Json result = fleet.run_with({"--devices", "3", "--data", "generated:test_examples=300;normal=0+1",
                                      "--partition", "iid", "--rounds", "4", "--epochs", "2", "--batch", "16",
                                      "--learning-rate", "0.05", "--model", "ae-sensor"});
  ASSERT_TRUE(result.contains("final"));
  EXPECT_EQ(result.at("final").at("metric"), "auc");
  EXPECT_GT(result.at("final").at("value").get<double>(), 0.6) << "0.5 is a guess";
}

constexpr char kSmall[] =
    "name = \"small\"\ninput = [3, 1, 64]\nclasses = 6\nlayer = [\n"
    "  { kind = \"conv1d\", units = 8, kernel = 5 },\n  { kind = \"relu\" },\n  { kind = \"max_pool1d\", kernel = 4 "
    "},\n"
    "  { kind = \"flatten\" },\n  { kind = \"dense\", units = 32%s },\n  { kind = \"relu\" },\n"
    "  { kind = \"dense\", units = 6%s },\n]\n";

std::string small(const char* middle, const char* last) {
  char text[1024];
  std::snprintf(text, sizeof text, kSmall, middle, last);
  return text;
}

TEST(Tasks, LayersThatDevicesKeepSurviveBeingKilled) {
  const auto run_personal = [](Fleet& fleet, const std::vector<std::string>& more) {
    std::vector<std::string> words{"--devices",   "3",    "--rounds", "4",
                                   "--holdout",   "0.25", "--batch",  "16",
                                   "--fine-tune", "20",   "--model",  fleet.model(small("", ", sharing = \"local\""))};
    words.insert(words.end(), more.begin(), more.end());
    return fleet.run_with(words);
  };
  Fleet calm;
  const Json result = run_personal(calm, {});
  ASSERT_TRUE(result.contains("final"));
  EXPECT_EQ(result.at("final").at("parameters"), 3 * 5 * 8 + 8 + 120 * 32 + 32 + 32 * 6 + 6);
  const std::vector<std::string> kept = calm.files("local-layers");
  ASSERT_EQ(kept.size(), 3U);
  for (const std::string& file : kept)
    EXPECT_EQ(std::filesystem::file_size(file), 44U + 2U * 4U * (32U * 6U + 6U)) << "two states of the last layer";
  double gained = 0.0;
  double gained_by_tuning = 0.0;
  for (const Json& device : result.at("devices")) {
    const Json& found = device.at("evaluated");
    ASSERT_FALSE(found.is_null());
    gained += found.at("loss_before").get<double>() - found.at("loss_after").get<double>();
    EXPECT_EQ(found.at("tuned_steps"), 20);
    gained_by_tuning += found.at("loss_before").get<double>() - found.at("loss_tuned").get<double>();
  }
  EXPECT_GT(gained, 0.0) << "training helps on the device's own examples";
  EXPECT_GT(gained_by_tuning, 0.0) << "and so does fine-tuning";

  Fleet killed;
  const Json again = run_personal(killed, {"--kill-device", "0@2:training", "--kill-device", "1@3:uploading"});
  ASSERT_TRUE(again.contains("final"));
  EXPECT_EQ(again.at("final").at("model_sha256"), result.at("final").at("model_sha256"))
      << "a device that was killed goes on with the layers that it kept";
}

TEST(Tasks, FrozenLayersStayAsTheyAre) {
  Fleet fleet;
  const Json result = fleet.run_with({"--devices", "3", "--rounds", "3", "--batch", "16", "--model",
                                      fleet.model(small(", sharing = \"frozen\"", ""))});
  ASSERT_TRUE(result.contains("final"));
  // An update is 4 bytes of each shared parameter, and what is around them: the frozen 15 KB do not travel up.
  const double shared_bytes = 4.0 * (3 * 5 * 8 + 8 + 32 * 6 + 6);
  for (const Json& device : result.at("devices")) {
    EXPECT_LT(device.at("uplink_bytes").get<double>(), 3 * shared_bytes + 15'000);
  }
  EXPECT_TRUE(contains(read_text(fleet.report()), "What was taken for what"));
}

}  // namespace
}  // namespace runnel::testing_programs
