// The same seed gives the same model, whatever the order of starting and whoever is killed on the way: real processes,
// real sockets, real TLS, `kill -9`.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/integration/programs.h"

namespace runnel::testing_programs {
namespace {

using Json = nlohmann::json;

const std::vector<std::string> kFourBits = {"--codec", "qsgd", "--bits", "4"};
const std::vector<std::string> kResidual = {"--codec", "deadzone", "--bits", "0.5", "--error-feedback"};
const std::vector<std::string> kControls = {"--codec", "dithered", "--bits",           "2",
                                            "--steps", "8",        "--scaffold-share", "1"};

Json fleet_run(std::vector<std::string> more, const std::string& seed = "11",
               const std::vector<std::string>& codec = kFourBits) {
  const TempFolder folder;
  std::vector<std::string> command{
      program("runnel-fleet"), "run", "--devices", "5", "--rounds", "4", "--deadline", "300", "--seed", seed, "--json",
      folder / "out.json"};
  command.insert(command.end(), codec.begin(), codec.end());
  command.insert(command.end(), more.begin(), more.end());
  const Outcome outcome = run(command);
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  return outcome.status == 0 ? Json::parse(read_text(folder / "out.json")) : Json{};
}

std::string model_of(const Json& result) {
  return result.at("final").at("model_sha256").get<std::string>();
}

class Reproducible : public testing::Test {
 protected:
  static void SetUpTestSuite() { reference_ = model_of(fleet_run({})); }
  static std::string reference_;
};
std::string Reproducible::reference_;

TEST_F(Reproducible, TheSameSeedTwice) {
  EXPECT_EQ(model_of(fleet_run({})), reference_);
}

TEST_F(Reproducible, AnotherSeedGivesAnotherModel) {
  EXPECT_NE(model_of(fleet_run({}, "12")), reference_);
}

TEST_F(Reproducible, DevicesStartedInAnotherOrder) {
  EXPECT_EQ(model_of(fleet_run({"--start-order", "reverse"})), reference_);
}

TEST_F(Reproducible, ADeviceKilledDuringItsUpload) {
  // The links are slow, so that an upload lasts long enough to be hit.
  const Json result = fleet_run({"--start-order", "random", "--profile", "lte-m", "--kill-device", "2@2:uploading"});
  EXPECT_EQ(model_of(result), reference_);
  EXPECT_GE(result.at("devices").at(2).at("connections").get<int>(), 2) << "the device was not restarted";
}

TEST_F(Reproducible, ADeviceKilledInTraining) {
  EXPECT_EQ(model_of(fleet_run({"--kill-device", "1@3:training"})), reference_);
}

TEST_F(Reproducible, TheCoordinatorKilledInTheMiddleOfARound) {
  const Json result = fleet_run({"--profile", "lte-m", "--kill-coordinator", "2"});
  EXPECT_EQ(model_of(result), reference_);
  EXPECT_EQ(result.at("rounds").size(), 4U);
}

TEST_F(Reproducible, WithoutTheSecureChannel) {
  EXPECT_EQ(model_of(fleet_run({"--insecure-plaintext"})), reference_);
}

// What an update lost is on the device's disk: a device killed with it goes on with the very same numbers.
TEST(ReproducibleResidual, DevicesAndCoordinatorKilledWithErrorFeedback) {
  const Json undisturbed = fleet_run({}, "11", kResidual);
  const Json killed = fleet_run(
      {"--kill-device", "1@3:training", "--kill-device", "2@2:training", "--kill-coordinator", "3"}, "11", kResidual);
  EXPECT_EQ(model_of(killed), model_of(undisturbed));
  EXPECT_GE(killed.at("devices").at(1).at("connections").get<int>(), 2) << "the device was not restarted";
  EXPECT_NE(model_of(fleet_run({}, "11", {"--codec", "deadzone", "--bits", "0.5"})), model_of(undisturbed));
}

// So are its control variates, from before and after its newest update.
TEST(ReproducibleControls, DevicesAndCoordinatorKilledWithScaffold) {
  const Json undisturbed = fleet_run({}, "11", kControls);
  const Json killed = fleet_run(
      {"--kill-device", "1@3:training", "--kill-device", "2@3:uploading", "--kill-coordinator", "3"}, "11", kControls);
  EXPECT_EQ(model_of(killed), model_of(undisturbed));
  EXPECT_GE(killed.at("devices").at(1).at("connections").get<int>(), 2) << "the device was not restarted";
}

}  // namespace
}  // namespace runnel::testing_programs
