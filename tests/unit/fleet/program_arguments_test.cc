#include "fleet/program_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/endpoint.h"
#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

TEST(ProgramArguments, NamesHaveTheSameLength) {
  EXPECT_EQ(device_name(0, 8), "d00");
  EXPECT_EQ(device_name(7, 8), "d07");
  EXPECT_EQ(device_name(99, 100), "d99");
  EXPECT_EQ(device_name(5, 101), "d005");
  EXPECT_EQ(device_name(1000, 1001), "d1000");
}

TEST(ProgramArguments, InitPassesOnOnlyWhatIsGiven) {
  RunConfig config;
  config.rounds = 5;
  config.steps = 20;
  config.learning_rate = 0.1;
  config.codec = "qsgd";
  config.levels = 7;
  config.bucket = 128;
  EXPECT_THAT(init_arguments(config, "/w/c"),
              ElementsAre("init", "--state", "/w/c", "--model", "sensor-cnn", "--rounds", "5", "--seed", "1", "--codec",
                          "qsgd", "--levels", "7", "--bucket", "128", "--steps", "20", "--learning-rate", "0.1"));
  config.codec = "fp32";
  EXPECT_THAT(init_arguments(config, "/w/c"), Not(Contains("--levels")));
}

TEST(ProgramArguments, InitGetsTheOptionsThatAreOnlyPassedOn) {
  RunConfig config;
  config.codec = "fp32";
  config.plan_options = {{"--aggregation", "median"}, {"--nesterov", ""}, {"--server-momentum", "0.8"}};
  const std::vector<std::string> arguments = init_arguments(config, "/w/c");
  EXPECT_THAT(std::vector<std::string>(arguments.end() - 5, arguments.end()),
              ElementsAre("--aggregation", "median", "--nesterov", "--server-momentum", "0.8"));
}

TEST(ProgramArguments, EnrollNamesAllDevices) {
  EXPECT_THAT(
      enroll_arguments({"d00", "d01"}, "/s", "tcp://127.0.0.1:9", "/b"),
      ElementsAre("enroll", "d00", "d01", "--state", "/s", "--coordinator", "tcp://127.0.0.1:9", "--out-dir", "/b"));
}

TEST(ProgramArguments, TheCoordinatorRuns) {
  RunConfig config;
  config.devices = 3;
  config.insecure_plaintext = true;
  EXPECT_THAT(coordinator_arguments(config, "/s", "/dev/fd/3", ""),
              ElementsAre("run", "--state", "/s", "--bind", "tcp://127.0.0.1:0", "--data", "generated", "--events",
                          "/dev/fd/3", "--insecure-plaintext", "--min-devices", "3", "--exit-when-finished"));
}

TEST(ProgramArguments, ADeviceRuns) {
  RunConfig config;
  config.devices = 3;
  config.partition = "dirichlet:0.5";
  config.scale = "1/255";
  EXPECT_THAT(device_arguments(config, {2, "/b/d02", "/s/d02", "tcp://127.0.0.1:7", "/dev/fd/3", "/dump/d02"}),
              ElementsAre("run", "--bundle", "/b/d02", "--state", "/s/d02", "--coordinator", "tcp://127.0.0.1:7",
                          "--data", "generated", "--scale", "1/255", "--partition", "dirichlet:0.5", "--part", "2",
                          "--parts", "3", "--seed", "1", "--events", "/dev/fd/3", "--dump-frames", "/dump/d02"));
}

TEST(Endpoint, IsReadAndChecked) {
  const Endpoint endpoint = parse_endpoint("tcp://127.0.0.1:40001");
  EXPECT_EQ(endpoint.address, "127.0.0.1");
  EXPECT_EQ(endpoint.port, 40001);
  for (const char* text : {"", "tcp://", "tcp://1.2.3.4", "tcp://1.2.3.4:", "tcp://1.2.3.4:0", "tcp://1.2.3.4:70000",
                           "udp://1.2.3.4:5", "tcp://:5", "tcp://1.2.3.4:5x"}) {
    EXPECT_THROW(parse_endpoint(text), FleetError) << text;
  }
  EXPECT_EQ(connect_address("0.0.0.0"), "127.0.0.1");
  EXPECT_EQ(connect_address("10.0.0.1"), "10.0.0.1");
}

}  // namespace
}  // namespace runnel::fleet
