// Devices and coordinator killed at random moments while links are cut every few seconds: the run ends, and its books
// balance. RUNNEL_SOAK_ROUNDS=200 makes it a long one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <regex>
#include <set>

#include "tests/integration/programs.h"

namespace runnel::testing_programs {
namespace {

constexpr int kDevices = 4;

int rounds_wanted() {
  const char* wanted = std::getenv("RUNNEL_SOAK_ROUNDS");
  return wanted == nullptr ? 20 : std::max(1, std::atoi(wanted));
}

// All first groups of a pattern.
std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> all;
  for (std::sregex_iterator it(text.begin(), text.end(), expression), end; it != end; ++it) all.push_back((*it)[1]);
  return all;
}

// Kills at random times meet every moment of a round, but how many of them a run sees is up to the machine's speed.
// Those of a plan come every third round whatever the machine does, and one of them is the coordinator's.
std::vector<std::string> planned_kills(int rounds) {
  std::vector<std::string> words = {"--kill-coordinator", std::to_string((rounds + 1) / 2)};
  for (int round = 1, i = 0; round <= rounds; round += 3, ++i) {
    words.emplace_back("--kill-device");
    words.push_back(std::to_string(i % kDevices) + "@" + std::to_string(round) +
                    (i % 2 == 0 ? ":training" : ":uploading"));
  }
  return words;
}

TEST(Soak, TheBooksBalanceAfterManyKillsAndCuts) {
  const int rounds = rounds_wanted();
  const TempFolder folder;
  const std::string work = folder / "work";
  std::vector<std::string> words = {program("runnel-fleet"),
                                    "run",
                                    "--devices",
                                    std::to_string(kDevices),
                                    "--rounds",
                                    std::to_string(rounds),
                                    "--epochs",
                                    "4",
                                    "--seed",
                                    "11",
                                    "--deadline",
                                    "600",
                                    "--work",
                                    work,
                                    "--kill-every",
                                    "1.5",
                                    "--cut-every",
                                    "2.5",
                                    "--timeout",
                                    std::to_string(60 + 20 * rounds)};
  for (std::string& word : planned_kills(rounds)) words.push_back(std::move(word));
  const Outcome outcome = run(words);
  ASSERT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_GE(count_of(outcome.output, " is killed "), static_cast<size_t>(rounds) / 4) << outcome.output;
  EXPECT_GE(count_of(outcome.output, "coordinator is killed "), 1U) << outcome.output;

  // The ledger, as the status command prints it: what each device has contributed, and to how many each round went.
  const Outcome status = run({program("runnel-coordinator"), "status", "--state", work + "/coordinator"});
  ASSERT_EQ(status.status, 0) << status.output;
  EXPECT_TRUE(contains(status.output, "rounds closed: " + std::to_string(rounds) + " of " + std::to_string(rounds)))
      << status.output;
  uint64_t participants = 0;
  for (const std::string& number : matches(status.output, "\n +[0-9]+ +[0-9]+ +([0-9]+) +[-0-9]"))
    participants += std::stoull(number);

  uint64_t ledger = 0;
  for (int i = 0; i < kDevices; ++i) {
    const std::string name = "d0" + std::to_string(i);
    const std::vector<std::string> counted = matches(status.output, "\n +" + name + " +([0-9]+) ");
    ASSERT_EQ(counted.size(), 1U) << status.output;
    const size_t accepted = std::stoull(counted[0]);
    ledger += accepted;
    // Every acknowledgement is in the ledger, each once. A kill may come between an acknowledgement and its line.
    const std::string log = read_text(work + "/logs/" + name + ".log");
    const std::vector<std::string> durable = matches(log, "update ([0-9]+) of round [0-9]+ is durable");
    const std::set<std::string> distinct(durable.begin(), durable.end());
    EXPECT_EQ(distinct.size(), durable.size()) << name << " was acknowledged twice:\n" << log;
    const size_t kills = count_of(outcome.output, name + " is killed ");
    EXPECT_LE(durable.size(), accepted) << name << "\n" << status.output;
    EXPECT_GE(durable.size() + kills, accepted) << name << "\n" << log;
  }
  EXPECT_EQ(participants, ledger) << status.output;
  EXPECT_GE(ledger, static_cast<uint64_t>(rounds));
}

}  // namespace
}  // namespace runnel::testing_programs
