// The memory that a device prints is the memory that it takes, as the kernel counts it.
#include <gtest/gtest.h>

#include <cstdint>

#include "tests/integration/running_fleet.h"

namespace runnel::testing_programs {
namespace {

// The most that the process has had resident so far, in bytes.
uint64_t resident_bytes_max(pid_t process) {
  const std::string status = read_text("/proc/" + std::to_string(process) + "/status");
  const size_t at = status.find("VmHWM:");
  return at == std::string::npos ? 0 : std::stoull(status.substr(at + 6)) * 1024;
}

// The number before " bytes in all" in the last line that has one.
uint64_t printed_bytes(const std::string& log) {
  const size_t end = log.rfind(" bytes in all");
  if (end == std::string::npos) return 0;
  return std::stoull(log.substr(log.rfind(' ', end - 1) + 1));
}

// Six hundred thousand parameters: beside them it does not matter what a few more pages of code take.
constexpr char kModel[] = R"(
name = "wide"
input = [192]
classes = 6
layer = [{ kind = "dense", units = 3000 }, { kind = "relu" }, { kind = "dense", units = 6 }]
)";

TEST(ResidentMemory, TrainingTakesWhatIsPrintedAndNoMore) {
  const TempFolder folder;
  write_text(folder / "wide.toml", kModel);
  RunningFleet fleet(2, {"--rounds", "100000", "--model", folder / "wide.toml", "--deadline", "600"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  // Alone it has nobody to train with: what it takes now is the program itself, its data and its secure session.
  fleet.start_device(0);
  ASSERT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "a sign of life every"); }))
      << fleet.device(0).output();
  const uint64_t own = resident_bytes_max(fleet.device(0).id());
  ASSERT_GT(own, 0U);
  fleet.start_device(1);
  ASSERT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "round 4 of "); }))
      << fleet.device(0).output();
  const uint64_t most = resident_bytes_max(fleet.device(0).id());
  const uint64_t printed = printed_bytes(fleet.device(0).output());
  RecordProperty("own", std::to_string(own));
  RecordProperty("most", std::to_string(most));
  RecordProperty("printed", std::to_string(printed));
  ASSERT_GT(printed, 4U * 600'000U) << fleet.device(0).output();
  constexpr uint64_t kCodeBytes = 2U << 20;  // of the program and its libraries that only training runs
  EXPECT_LE(most, own + printed + kCodeBytes) << "own " << own << ", printed " << printed;
  // What is printed is no idle bound either.
  EXPECT_GE(most, own + printed / 2) << "own " << own << ", printed " << printed;
}

}  // namespace
}  // namespace runnel::testing_programs
