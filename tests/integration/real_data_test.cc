// Whole fleets on public data sets, where RUNNEL_TEST_DATA names a folder that holds them (docs/experiments.md).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/integration/programs.h"

namespace runnel::testing_programs {
namespace {

using Json = nlohmann::json;

std::string data_folder() {
  const char* folder = std::getenv("RUNNEL_TEST_DATA");
  return folder == nullptr ? "" : folder;
}

Json fleet_run(const std::vector<std::string>& words) {
  const TempFolder folder;
  std::vector<std::string> command{program("runnel-fleet"), "run", "--json", folder / "out.json", "--seed", "1"};
  command.insert(command.end(), words.begin(), words.end());
  const Outcome outcome = run(command);
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  return outcome.status == 0 ? Json::parse(read_text(folder / "out.json")) : Json{};
}

Json fashion_run(const std::vector<std::string>& codec) {
  const std::string folder = data_folder() + "/fashion-mnist/";
  std::vector<std::string> words{"--devices",
                                 "20",
                                 "--data",
                                 "idx:" + folder + "train-images-idx3-ubyte.gz," + folder +
                                     "train-labels-idx1-ubyte.gz," + folder + "t10k-images-idx3-ubyte.gz," + folder +
                                     "t10k-labels-idx1-ubyte.gz",
                                 "--partition",
                                 "dirichlet:0.3",
                                 "--model",
                                 "fashion-cnn",
                                 "--rounds",
                                 "8"};
  words.insert(words.end(), codec.begin(), codec.end());
  return fleet_run(words);
}

TEST(RealData, FashionMnistOnTwentyDevicesWithFourBits) {
  if (!std::filesystem::exists(data_folder() + "/fashion-mnist"))
    GTEST_SKIP() << "RUNNEL_TEST_DATA names no folder with fashion-mnist";
  const Json four_bits = fashion_run({"--codec", "qsgd", "--bits", "4"}).at("final");
  const Json fp32 = fashion_run({"--codec", "fp32"}).at("final");
  const double accuracy = four_bits.at("accuracy").get<double>();
  const double accuracy_fp32 = fp32.at("accuracy").get<double>();
  const double uplink = four_bits.at("uplink_bytes_per_device").get<double>();
  const double uplink_fp32 = fp32.at("uplink_bytes_per_device").get<double>();
  const double rss_mb = four_bits.at("device_rss_bytes_max").get<double>() / 1e6;
  std::printf(
      "accuracy %.4f against %.4f with fp32; %.0f against %.0f bytes up, %.1f times fewer; a device's peak %.1f MB\n",
      accuracy, accuracy_fp32, uplink, uplink_fp32, uplink_fp32 / uplink, rss_mb);
  EXPECT_GE(four_bits.at("parameters").get<int>(), 50'000);
  EXPECT_LE(four_bits.at("parameters").get<int>(), 120'000);
  EXPECT_GE(accuracy, 0.84);
  EXPECT_GE(accuracy, accuracy_fp32 - 0.01);
  EXPECT_GE(uplink_fp32 / uplink, 6.5);
  EXPECT_LT(four_bits.at("device_rss_bytes_max").get<uint64_t>(), 16U << 20);
}

TEST(RealData, HumanActivityOnTwentyOnePeopleTestedOnNineOthers) {
  const std::string folder = data_folder() + "/har/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "RUNNEL_TEST_DATA names no folder with har";
  const Json result =
      fleet_run({"--devices",       "21",
                 "--data",          "idx:" + folder + "har-signals.idx3-i16.gz," + folder + "har-labels.idx1-u8.gz",
                 "--split",         folder + "har-split.idx1-u8.gz",
                 "--partition",     "key:" + folder + "har-subjects.idx1-u8.gz",
                 "--scale",         "1/1024",
                 "--model",         "har-cnn",
                 "--codec",         "qsgd",
                 "--bits",          "4",
                 "--rounds",        "40",
                 "--epochs",        "2",
                 "--batch",         "16",
                 "--learning-rate", "0.02",
                 "--weight-decay",  "0.001"});
  const double accuracy = result.at("final").at("accuracy").get<double>();
  std::printf("accuracy on nine unseen people: %.4f\n", accuracy);
  EXPECT_GE(accuracy, 0.88);
}

}  // namespace
}  // namespace runnel::testing_programs
