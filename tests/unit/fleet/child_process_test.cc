#include "fleet/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>
#include <csignal>
#include <fstream>

#include "fleet/event_stream.h"
#include "fleet/fleet_error.h"
#include "fleet/work_folder.h"

namespace runnel::fleet {
namespace {

using ::testing::HasSubstr;

class ChildProcessTest : public ::testing::Test {
 protected:
  ChildProcess shell(const std::string& script) { return ChildProcess::start({"/bin/sh", {"-c", script}, log()}); }
  std::string log() const { return (work_.path() / "child.log").string(); }
  WorkFolder work_{"", false};
};

TEST_F(ChildProcessTest, ReportsTheExitCodeAndKeepsTheOutput) {
  ChildProcess child = shell("echo out; echo err >&2; exit 3");
  const ExitStatus status = child.wait();
  EXPECT_EQ(status.code, 3);
  EXPECT_EQ(status.signal, 0);
  EXPECT_FALSE(status.clean());
  EXPECT_EQ(status.text(), "exited with code 3");
  EXPECT_EQ(log_tail(log()), "out\nerr\n");
  EXPECT_FALSE(child.running());
  EXPECT_FALSE(child.poll_exit().has_value());
}

TEST_F(ChildProcessTest, TheEventPipeIsThere) {
  ChildProcess child = shell("echo '{\"event\":\"memory\",\"arena_bytes\":5}' > /dev/fd/3");
  EventStream events(child.take_events());
  EXPECT_TRUE(child.wait().clean());
  const std::vector<Event> all = events.read_available();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<MemoryEvent>(all[0]));
}

TEST_F(ChildProcessTest, AKilledChildIsReaped) {
  ChildProcess child = shell("exec sleep 1000");
  const pid_t pid = child.pid();
  EXPECT_FALSE(child.poll_exit().has_value());
  child.send_signal(SIGKILL);
  const ExitStatus status = child.wait();
  EXPECT_EQ(status.signal, SIGKILL);
  EXPECT_THAT(status.text(), HasSubstr("was killed by signal 9"));
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(ChildProcessTest, NoChildOutlivesItsOwner) {
  pid_t pid = 0;
  {
    ChildProcess child = shell("exec sleep 1000");
    const ChildProcess moved = std::move(child);
    pid = moved.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(ChildProcessTest, MeasuresTheProgramsOwnMemory) {
  ChildProcess child = shell("exec sleep 1000");
  // Wait for exec: the shell's replacement is named in its status.
  for (int i = 0; i < 30000; ++i) {
    std::string name;
    std::ifstream("/proc/" + std::to_string(child.pid()) + "/comm") >> name;
    if (name == "sleep") break;
    ::poll(nullptr, 0, 2);
  }
  // The name changes before the first page of the new program is there.
  for (int i = 0; i < 30000 && child.rss_bytes_max() <= 100'000U; ++i) {
    child.sample_memory();
    ::poll(nullptr, 0, 2);
  }
  EXPECT_GT(child.rss_bytes_max(), 100'000U);
  EXPECT_LT(child.rss_bytes_max(), 100'000'000U);
}

TEST_F(ChildProcessTest, SaysWhyAProgramCannotStart) {
  try {
    ChildProcess::start({"/nowhere/program", {}, log()});
    FAIL();
  } catch (const FleetError& error) {
    EXPECT_STREQ(error.what(), "cannot start /nowhere/program: No such file or directory");
  }
  EXPECT_THROW(ChildProcess::start({"/bin/sh", {}, "/nowhere/child.log"}), FleetError);
}

TEST_F(ChildProcessTest, TheTailOfALogBeginsAtALine) {
  std::ofstream(log()) << "first line\nsecond line\nthird\n";
  EXPECT_EQ(log_tail(log(), 12), "third\n");
  EXPECT_EQ(log_tail("/nowhere/log"), "");
}

}  // namespace
}  // namespace runnel::fleet
