// A device with nothing to do sleeps: battery is what it has least of.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <sstream>
#include <thread>

#include "tests/integration/running_fleet.h"

namespace runnel::testing_programs {
namespace {

// Processor time of the process so far, in seconds: fields 14 and 15 of /proc/PID/stat, behind the name in brackets.
double processor_seconds(pid_t process) {
  const std::string stat = read_text("/proc/" + std::to_string(process) + "/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  uint64_t user = 0;
  uint64_t system = 0;
  fields >> user >> system;
  return static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// What share of a core the process takes while three seconds pass, on a machine that may be busy otherwise.
double share_of_a_core(pid_t process) {
  const auto begin = std::chrono::steady_clock::now();
  const double before = processor_seconds(process);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const double spent = processor_seconds(process) - before;
  return spent / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

TEST(IdleDevice, SleepsWhileItWaitsForOthers) {
  RunningFleet fleet(2, {"--rounds", "3"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  fleet.start_device(0);
  ASSERT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "a sign of life every"); }))
      << fleet.device(0).output();
  EXPECT_LT(share_of_a_core(fleet.device(0).id()), 0.05);
  EXPECT_LT(share_of_a_core(fleet.coordinator().id()), 0.05);
}

TEST(IdleDevice, SleepsWhileItMayNotTrain) {
  RunningFleet fleet(1, {"--rounds", "3"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  const std::string battery = fleet.path("root/sys/class/power_supply/BAT0");
  std::filesystem::create_directories(battery);
  write_text(battery + "/type", "Battery\n");
  write_text(battery + "/status", "Discharging\n");
  fleet.start_device(0, {"--system-root", fleet.path("root"), "--train-external-power", "--look-every", "1"});
  ASSERT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "training: not now"); }))
      << fleet.device(0).output();
  EXPECT_LT(share_of_a_core(fleet.device(0).id()), 0.05) << fleet.device(0).output();
}

// The numbers run away within a round: no update comes of it, or none that counts.
TEST(IdleDevice, SleepsAfterATrainingThatCameToNothing) {
  RunningFleet fleet(1, {"--rounds", "3", "--learning-rate", "100", "--momentum", "0.99", "--steps", "200"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  fleet.start_device(0);
  ASSERT_TRUE(eventually([&] {
    const std::string log = fleet.device(0).output();
    return contains(log, "cannot be trained here") || contains(log, " was refused: ");
  })) << fleet.device(0).output();
  EXPECT_LT(share_of_a_core(fleet.device(0).id()), 0.05) << fleet.device(0).output();
}

}  // namespace
}  // namespace runnel::testing_programs
