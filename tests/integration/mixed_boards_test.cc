// Rounds with devices of three architectures: what scripts/cross has built, run by qemu, beside the native program,
// against a native coordinator over real sockets.
//
// Without the cross-built programs there is nothing to test, and the test says so.
#include <gtest/gtest.h>

#include <unistd.h>

#include "runtime/base/instruction_set.h"
#include "tests/integration/running_fleet.h"

namespace runnel::testing_programs {
namespace {

// How a device is started: the native program, or one of another architecture by what runs it here.
using Words = std::vector<std::string>;

const std::string kEmulators = "/usr/bin/";

std::string board_program(const std::string& board) {
  return std::string(RUNNEL_SOURCE_DIR) + "/build/" + board + "/bin/runnel-device";
}

Words aarch64_device() {
  return {kEmulators + "qemu-aarch64", board_program("aarch64")};
}

// The oldest of the processors that the program is for: no fused multiplication.
Words armhf_device() {
  return {kEmulators + "qemu-arm", "-cpu", "cortex-a8", board_program("armhf")};
}

Words native_device() {
  return {program("runnel-device")};
}

std::string missing(const std::vector<std::string>& boards) {
  std::string text;
  for (const std::string& board : boards) {
    if (::access(board_program(board).c_str(), X_OK) != 0)
      text += "; build/" + board + " (scripts/cross " + board + ")";
  }
  for (const char* emulator : {"qemu-aarch64", "qemu-arm"}) {
    if (::access((kEmulators + emulator).c_str(), X_OK) != 0) text += std::string("; ") + emulator + " (qemu-user)";
  }
  return text.empty() ? "" : "NOT TESTED, for these are missing: " + text.substr(2);
}

// The bytes of the model that `devices` make in so many rounds.
std::string train_together(const std::vector<Words>& devices, int rounds) {
  RunningFleet fleet(devices.size(), {"--rounds", std::to_string(rounds), "--deadline", "300"});
  EXPECT_TRUE(fleet.made()) << fleet.why_not();
  EXPECT_TRUE(fleet.start_coordinator());
  std::vector<std::unique_ptr<Background>> running;
  for (size_t i = 0; i < devices.size(); ++i) {
    Words command = devices[i];
    for (const std::string& word :
         Words{"run", "--bundle", fleet.bundle(i), "--state", fleet.device_state(i), "--coordinator", fleet.endpoint(),
               "--data", "generated", "--part", std::to_string(i), "--parts", std::to_string(devices.size())}) {
      command.push_back(word);
    }
    running.push_back(std::make_unique<Background>(command, fleet.device_log(i)));
  }
  EXPECT_TRUE(eventually([&] { return !fleet.coordinator().running(); })) << fleet.coordinator().output();
  const Outcome status = run({program("runnel-coordinator"), "status", "--state", fleet.state()});
  const std::string closed = std::to_string(rounds) + " of " + std::to_string(rounds);
  EXPECT_TRUE(contains(status.output, "rounds closed: " + closed)) << status.output;
  for (const auto& device : running) {
    EXPECT_EQ(device->wait(), 0) << device->output();
    for (int round = 1; round <= rounds; ++round) {
      const std::string end = " of round " + std::to_string(round) + " is durable";
      EXPECT_EQ(count_of(device->output(), end), 1U) << device->output();
    }
  }
  const std::string file = fleet.path("model.onnx");
  EXPECT_EQ(fleet.export_model(file).status, 0);
  return read_text(file);
}

TEST(MixedBoards, DevicesOfThreeArchitecturesMakeAModelTogether) {
  if (const std::string what = missing({"aarch64", "armhf"}); !what.empty()) GTEST_SKIP() << what;
  EXPECT_FALSE(train_together({aarch64_device(), armhf_device(), native_device()}, 2).empty());
}

// NEON and every set of x86 that fuses a multiplication and an addition give the same bits.
TEST(MixedBoards, A64BitBoardInTheFleetChangesNoBitOfTheModel) {
  if (const std::string what = missing({"aarch64"}); !what.empty()) GTEST_SKIP() << what;
  if (const std::string_view set = instruction_set(); set != "avx2" && set != "avx512") {
    GTEST_SKIP() << "this machine's " << set << " rounds otherwise than NEON";
  }
  const std::string mixed = train_together({aarch64_device(), native_device()}, 2);
  ASSERT_FALSE(mixed.empty());
  EXPECT_TRUE(mixed == train_together({native_device(), native_device()}, 2)) << "another model than that of x86 alone";
}

}  // namespace
}  // namespace runnel::testing_programs
