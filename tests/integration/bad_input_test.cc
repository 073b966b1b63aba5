// What people and peers get wrong: every case ends with words that name what and where, and with nothing lost.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "runtime/base/rng.h"
#include "tests/integration/running_fleet.h"

namespace runnel::testing_programs {
namespace {

// Expects the command to fail and its output to hold every part.
void expect_refused(const std::vector<std::string>& command, const std::vector<std::string>& parts) {
  const Outcome outcome = run(command);
  EXPECT_NE(outcome.status, 0) << outcome.output;
  for (const std::string& part : parts)
    EXPECT_TRUE(contains(outcome.output, part)) << "missing \"" << part << "\" in: " << outcome.output;
}

TEST(BadInput, FilesThatDoNotParseAreNamedWithTheLine) {
  const TempFolder folder;
  write_text(folder / "bad-model.toml",
             "name = \"x\"\ninput = [1, 8, 8]\nclasses = 3\n[[layer]]\nkind = \"denze\"\nunits = 3\n");
  expect_refused({program("runnel-coordinator"), "init", "--state", folder / "a", "--model", folder / "bad-model.toml"},
                 {"bad-model.toml", "denze", "line 5"});
  write_text(folder / "shape.toml",
             "name = \"x\"\ninput = [1, 8, 8]\nclasses = 3\n[[layer]]\nkind = \"dense\"\nunits = 3\n");
  expect_refused({program("runnel-coordinator"), "init", "--state", folder / "a", "--model", folder / "shape.toml"},
                 {"shape.toml", "layer 0 (dense)", "flatten"});
  write_text(folder / "bad-plan.toml", "rounds = 5\ncohrot = 3\n");
  expect_refused({program("runnel-coordinator"), "init", "--state", folder / "a", "--plan", folder / "bad-plan.toml"},
                 {"bad-plan.toml", "cohrot", "line 2"});
  write_text(folder / "range.toml", "rounds = 0\n");
  expect_refused({program("runnel-coordinator"), "init", "--state", folder / "a", "--plan", folder / "range.toml"},
                 {"range.toml", "rounds"});
  expect_refused({program("runnel-coordinator"), "run", "--state", folder / "nothing"}, {"nothing", "init"});
  EXPECT_FALSE(std::filesystem::exists(folder / "a")) << "a failed init left something behind";
}

TEST(BadInput, DataFilesThatDoNotParseAreNamedWithTheRow) {
  RunningFleet fleet(1, {"--model", "digits-mlp"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  const auto device = [&](const std::string& data) {
    return std::vector<std::string>{program("runnel-device"), "run",    "--bundle", fleet.bundle(0), "--state",
                                    fleet.device_state(0),    "--data", data};
  };
  expect_refused(device("csv:" + fleet.path("absent.csv")), {"absent.csv"});
  write_text(fleet.path("bad.csv"), "1,2,3,0\n1,2,oops,1\n");
  expect_refused(device("csv:" + fleet.path("bad.csv")), {"bad.csv", "line 2", "oops"});
  write_text(fleet.path("label.csv"), "1,2,3,0\n1,2,3,99999\n");
  expect_refused(device("csv:" + fleet.path("label.csv")), {"label.csv", "line 2", "99999"});
  write_text(fleet.path("bad.idx"), "this is not an IDX file");
  expect_refused(device("idx:" + fleet.path("bad.idx") + "," + fleet.path("bad.idx")), {"bad.idx"});
  expect_refused(device("parquet:x"), {"parquet"});
}

TEST(BadInput, AModelThatDoesNotFitTheDataLeavesTheRoundToOthersAndSaysSo) {
  RunningFleet fleet(1, {"--model", "digits-mlp", "--rounds", "1"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  Background coordinator(
      {program("runnel-coordinator"), "run", "--state", fleet.state(), "--bind", "tcp://127.0.0.1:0"},
      fleet.path("c.log"));
  ASSERT_TRUE(eventually([&] { return contains(coordinator.output(), "listening on "); }));
  const std::string log = coordinator.output();
  const size_t at = log.find("tcp://");
  const std::string endpoint = log.substr(at, log.find('\n', at) - at);
  Background device({program("runnel-device"), "run", "--bundle", fleet.bundle(0), "--state", fleet.device_state(0),
                     "--coordinator", endpoint, "--data", "generated"},
                    fleet.path("d.log"));
  EXPECT_TRUE(eventually([&] { return contains(device.output(), "round 1 cannot be trained here"); }))
      << device.output();
  EXPECT_TRUE(contains(device.output(), "192")) << device.output();
  EXPECT_TRUE(device.running());
}

TEST(BadInput, CredentialsThatAreNotGood) {
  RunningFleet ours(2, {"--rounds", "1"});
  RunningFleet theirs(1, {"--rounds", "1"});
  ASSERT_TRUE(ours.made() && theirs.made());
  ASSERT_TRUE(ours.start_coordinator());
  const auto run_with = [&](const std::string& bundle, const std::string& log) {
    return std::make_unique<Background>(
        std::vector<std::string>{program("runnel-device"), "run", "--bundle", bundle, "--state",
                                 ours.path(log + "-state"), "--coordinator", ours.endpoint(), "--data", "generated"},
        ours.path(log));
  };
  // A certificate of another fleet.
  auto foreign = run_with(theirs.bundle(0), "foreign.log");
  EXPECT_TRUE(eventually([&] { return contains(foreign->output(), "no secure session"); })) << foreign->output();
  // A device that was thrown out.
  ASSERT_EQ(run({program("runnel-coordinator"), "revoke", "d1", "--state", ours.state()}).status, 0);
  auto revoked = run_with(ours.bundle(1), "revoked.log");
  EXPECT_TRUE(eventually([&] { return contains(ours.coordinator().output(), "d1 is revoked"); }))
      << ours.coordinator().output();
  EXPECT_TRUE(eventually([&] { return contains(revoked->output(), "no secure session"); })) << revoked->output();
  // A damaged bundle.
  write_text(ours.path("damaged.toml"), "name = \"d9\"\ncoordinator = \"tcp://127.0.0.1:1\"\nca = \"no\"\n");
  expect_refused({program("runnel-device"), "run", "--bundle", ours.path("damaged.toml")}, {"damaged.toml"});
}

TEST(BadInput, APortInUse) {
  RunningFleet first(1, {}), second(1, {});
  ASSERT_TRUE(first.made() && second.made());
  ASSERT_TRUE(first.start_coordinator());
  expect_refused({program("runnel-coordinator"), "run", "--state", second.state(), "--bind", first.endpoint()},
                 {first.endpoint(), "in use"});
}

// A socket, or -1.
int connect_to(const std::string& endpoint) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  ::close(socket);
  return -1;
}

// Connects to the coordinator and sends `bytes`, as nothing that speaks the protocol would.
void send_raw(const std::string& endpoint, const std::string& bytes) {
  const int socket = connect_to(endpoint);
  if (socket < 0) return;
  static_cast<void>(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  ::close(socket);
}

// Until the coordinator has accepted every connection that was there before, which it does in order.
void wait_for_its_turn(const std::string& endpoint) {
  const int socket = connect_to(endpoint);
  ASSERT_GE(socket, 0);
  ::shutdown(socket, SHUT_WR);
  char byte = 0;
  while (::recv(socket, &byte, 1, 0) > 0) {
  }
  ::close(socket);
}

size_t open_files(pid_t process) {
  std::error_code gone;
  const std::filesystem::directory_iterator files("/proc/" + std::to_string(process) + "/fd", gone);
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

size_t resident_kb(pid_t process) {
  const std::string status = read_text("/proc/" + std::to_string(process) + "/status");
  const size_t at = status.find("VmRSS:");
  return at == std::string::npos ? 0 : std::stoul(status.substr(at + 6));
}

TEST(BadInput, GarbageOnThePortCostsTheCoordinatorNothingLasting) {
  RunningFleet fleet(2, {"--rounds", "3"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  ASSERT_TRUE(fleet.start_coordinator());
  fleet.start_device(0);
  ASSERT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "secure session with"); }));
  const size_t files = open_files(fleet.coordinator().id());
  Rng rng(5);
  // What is left once all of it has been looked at, and every connection is closed again.
  const auto resident_kb_after = [&](int connections) {
    for (int i = 0; i < connections; ++i) {
      // Half of them begin like ZeroMQ and go wrong later.
      std::string bytes =
          i % 2 == 0 ? std::string("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16) + std::string(48, '\0') : std::string();
      for (int j = 0; j < 400; ++j) bytes += static_cast<char>(rng.below(256));
      send_raw(fleet.endpoint(), bytes);
    }
    wait_for_its_turn(fleet.endpoint());
    EXPECT_TRUE(eventually([&] { return open_files(fleet.coordinator().id()) <= files; }));
    return resident_kb(fleet.coordinator().id());
  };
  const size_t before_kb = resident_kb_after(200);
  const size_t after_kb = resident_kb_after(1500);
  EXPECT_LT(after_kb, before_kb + 4096) << "garbage left " << after_kb - before_kb << " KB behind";
  fleet.start_device(1);
  EXPECT_EQ(fleet.device(0).wait(), 0) << fleet.device(0).output();
  EXPECT_EQ(fleet.device(1).wait(), 0) << fleet.device(1).output();
  EXPECT_EQ(fleet.coordinator().wait(), 0) << fleet.coordinator().output();
}

// A file system of its own that is small enough to be filled.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path) : path_(path) {
    std::filesystem::create_directories(path);
    mounted_ = ::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=24m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  // Leaves not one byte.
  void fill() const {
    const int file = ::open((path_ + "/ballast").c_str(), O_WRONLY | O_CREAT, 0600);
    const std::string block(4096, 'x');
    while (::write(file, block.data(), block.size()) > 0) {
    }
    ::close(file);
  }
  void free() const { std::filesystem::remove(path_ + "/ballast"); }

 private:
  std::string path_;
  bool mounted_ = false;
};

TEST(FullDisk, TheDeviceKeepsItsUpdateAndGoesOnWhenThereIsRoom) {
  RunningFleet fleet(1, {"--rounds", "3"});
  ASSERT_TRUE(fleet.made()) << fleet.why_not();
  const SmallDisk disk(fleet.device_state(0));
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs is not permitted here";
  ASSERT_TRUE(fleet.start_coordinator());
  disk.fill();
  fleet.start_device(0, {"--outbox", "1M"});
  ASSERT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "full") || !fleet.device(0).running(); }));
  disk.free();
  if (!fleet.device(0).running()) {
    // It said at once that it cannot keep an outbox there; with room it starts.
    EXPECT_TRUE(contains(fleet.device(0).output(), "outbox.journal")) << fleet.device(0).output();
    fleet.start_device(0, {"--outbox", "1M"});
  }
  EXPECT_EQ(fleet.device(0).wait(), 0) << fleet.device(0).output();
  EXPECT_EQ(fleet.coordinator().wait(), 0) << fleet.coordinator().output();
}

// A run of so many rounds, in the middle of which the coordinator's disk is full for a while. False if the run was over
// before the disk was full: this machine looked away for too long.
bool runs_into_a_full_disk(const std::string& rounds) {
  RunningFleet fleet(1, {"--rounds", rounds});
  EXPECT_TRUE(fleet.made()) << fleet.why_not();
  const std::string saved = fleet.path("saved");
  std::filesystem::rename(fleet.state(), saved);
  const SmallDisk disk(fleet.state());
  std::filesystem::copy(saved, fleet.state(), std::filesystem::copy_options::recursive);
  EXPECT_TRUE(fleet.start_coordinator());
  fleet.start_device(0);
  EXPECT_TRUE(eventually([&] { return contains(fleet.device(0).output(), "round 3 of " + rounds); }))
      << fleet.device(0).output();
  disk.fill();
  EXPECT_TRUE(eventually([&] {
    return contains(fleet.coordinator().output(), "not stored (storage_full)") ||
           contains(fleet.coordinator().output(), "the run is finished");
  })) << fleet.coordinator().output();
  const bool in_time = contains(fleet.coordinator().output(), "not stored (storage_full)");
  EXPECT_TRUE(!in_time || fleet.coordinator().running());
  disk.free();
  EXPECT_EQ(fleet.device(0).wait(), 0) << fleet.device(0).output();
  EXPECT_EQ(fleet.coordinator().wait(), 0) << fleet.coordinator().output();
  const Outcome status = run({program("runnel-coordinator"), "status", "--state", fleet.state()});
  EXPECT_TRUE(contains(status.output, "rounds closed: " + rounds + " of " + rounds)) << status.output;
  return in_time;
}

TEST(FullDisk, TheCoordinatorAcknowledgesNothingUntilThereIsRoom) {
  const TempFolder folder;
  if (!SmallDisk(folder / "probe").mounted()) GTEST_SKIP() << "mounting a tmpfs is not permitted here";
  for (const char* rounds : {"40", "400", "4000"}) {
    if (runs_into_a_full_disk(rounds) || HasFailure()) return;
  }
  ADD_FAILURE() << "every run was over before its disk was full";
}

}  // namespace
}  // namespace runnel::testing_programs
