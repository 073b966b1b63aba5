// The example firmware on an emulated Cortex-M4, behind a real gateway, in the rounds of a real coordinator, beside an
// ordinary device. The firmware comes from `cmake --build --preset cortex-m4`, which scripts/test does first; without
// it, or without the emulator, this test says loudly that it was skipped.
#include <gtest/gtest.h>

#include <cstdio>
#include <regex>

#include "device/port/mps2/readings.h"
#include "tests/integration/running_fleet.h"

namespace runnel::testing_programs {
namespace {

constexpr int kRounds = 3;
constexpr const char* kEmulator = "/usr/bin/qemu-system-arm";

// 10,062 parameters: 40 KB as fp32.
constexpr const char* kModel = R"(name = "machine-state"
input = [64]
classes = 10
layer = [
  { kind = "dense", units = 100 }, { kind = "relu" },
  { kind = "dense", units = 32 }, { kind = "relu" },
  { kind = "dense", units = 10 },
]
)";

std::string firmware() {
  return std::string(RUNNEL_SOURCE_DIR) + "/build/cortex-m4/bin/runnel-board-mps2.elf";
}

// Examples of the kind that the firmware makes up, of another machine.
void write_readings(const std::string& path, uint64_t board, uint32_t count) {
  const port::Readings readings(board, count);
  std::vector<float> values(readings.input_count());
  std::vector<float> label(1);
  std::ostringstream text;
  for (uint32_t i = 0; i < count; ++i) {
    readings.read(i, values, label);
    for (const float value : values) text << value << ',';
    text << label[0] << '\n';
  }
  write_text(path, text.str());
}

double budget_of(const std::string& what) {
  const std::string text = read_text(std::string(RUNNEL_SOURCE_DIR) + "/tests/cortex_m/budget.txt");
  std::smatch found;
  const bool there = std::regex_search(text, found, std::regex("cortex-m4 " + what + " (\\d+)"));
  EXPECT_TRUE(there) << what;
  return there ? std::stod(found[1]) : 0.0;
}

// What the board said of its memory at the end: in the budget, in both directions, and in its 128 KB.
void expect_memory_as_planned(const std::string& log) {
  const size_t at = log.rfind("memory: ");
  ASSERT_NE(at, std::string::npos) << log;
  const std::string line = log.substr(at, log.find('\n', at) - at);
  std::smatch found;
  ASSERT_TRUE(std::regex_search(line, found,
                                std::regex("static (\\d+), heap (\\d+) \\(now \\d+, reach (\\d+)\\), stack (\\d+)")))
      << line;
  const double held[] = {std::stod(found[1]), std::stod(found[2]), std::stod(found[4])};
  const char* const names[] = {"static", "heap", "stack"};
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(held[i], budget_of(names[i]), 0.03 * budget_of(names[i])) << line;
  EXPECT_LE(std::stod(found[1]) + std::stod(found[3]) + std::stod(found[4]), 128 * 1024) << line;
}

TEST(Microcontroller, AnEmulatedBoardTakesPartInRoundsBesideAnOrdinaryDevice) {
  if (!std::filesystem::exists(firmware()) || !std::filesystem::exists(kEmulator)) {
    std::fprintf(stderr,
                 "\n*** NOT TESTED: %s or %s is not there; scripts/setup microcontroller && cmake --preset "
                 "cortex-m4 && cmake --build --preset cortex-m4 ***\n\n",
                 firmware().c_str(), kEmulator);
    GTEST_SKIP();
  }
  const TempFolder files;
  write_text(files / "model.toml", kModel);
  write_readings(files / "other.csv", 77, 320);  // of which the device takes its half
  write_readings(files / "test.csv", 78, 400);
  RunningFleet fleet(
      2, {"--model", files / "model.toml", "--rounds", std::to_string(kRounds), "--epochs", "2", "--batch", "2",
          "--momentum", "0", "--learning-rate", "0.02", "--codec", "sign_dithered", "--deadline", "600"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  fleet.use_data("csv:" + (files / "other.csv") + "," + (files / "test.csv"));
  ASSERT_TRUE(fleet.start_coordinator()) << fleet.coordinator().output();

  Background board({kEmulator, "-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial",
                    "unix:" + fleet.path("d0.sock") + ",server=on,wait=off", "-semihosting-config",
                    "enable=on,target=native,arg=board,arg=d0", "-kernel", firmware()},
                   fleet.device_log(0));
  Background gateway({program("runnel-gateway"), "--coordinator", fleet.endpoint(), "--state", fleet.path("gateway"),
                      "--board", fleet.bundle(0) + "=unix:" + fleet.path("d0.sock")},
                     fleet.path("gateway.log"));
  fleet.start_device(1);

  ASSERT_TRUE(eventually([&] { return !board.running(); })) << board.output() << gateway.output();
  const std::string log = board.output();
  EXPECT_EQ(board.wait(), 0) << log << gateway.output();
  EXPECT_EQ(fleet.device(1).wait(), 0) << fleet.device(1).output();
  EXPECT_EQ(fleet.coordinator().wait(), 0) << fleet.coordinator().output();
  gateway.stop(SIGTERM);
  EXPECT_EQ(gateway.wait(), 0) << gateway.output();

  // Each update was trained once and counted once, and what the fleet learnt went back to the board.
  EXPECT_EQ(count_of(log, "trained: loss"), size_t{kRounds}) << log;
  EXPECT_EQ(count_of(log, "is durable at the coordinator"), size_t{kRounds}) << log;
  const Outcome status = run({program("runnel-coordinator"), "status", "--state", fleet.state()});
  for (const char* device : {"d0", "d1"})
    EXPECT_TRUE(std::regex_search(status.output, std::regex(std::string(device) + " +3 +3 "))) << status.output;
  std::vector<double> losses;
  const std::regex loss("trained: loss ([0-9.]+)");
  for (std::sregex_iterator it(log.begin(), log.end(), loss), end; it != end; ++it)
    losses.push_back(std::stod((*it)[1]));
  ASSERT_EQ(losses.size(), size_t{kRounds}) << log;
  EXPECT_LT(losses.back(), 0.8 * losses.front()) << log;
  expect_memory_as_planned(log);
}

}  // namespace
}  // namespace runnel::testing_programs
