// The program's side of sd_notify(3), against a real datagram socket in the role of the manager.
#include "runtime/host/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace runnel::host {
namespace {

class Manager {
 public:
  // `name` as in $NOTIFY_SOCKET.
  explicit Manager(const std::string& name) : name_(name) {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Manager() {
    ::close(socket_);
    if (name_[0] != '@') std::filesystem::remove(name_);
    for (const char* variable : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(variable);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  std::vector<std::string> heard() {
    std::vector<std::string> messages;
    char buffer[512];
    for (ssize_t size = 0; (size = ::recv(socket_, buffer, sizeof buffer, 0)) > 0;)
      messages.emplace_back(buffer, static_cast<size_t>(size));
    return messages;
  }

 private:
  std::string name_;
  int socket_ = -1;
};

std::string socket_path() {
  const std::string path = ::testing::TempDir() + "runnel-notify-" + std::to_string(::getpid());
  std::filesystem::remove(path);
  return path;
}

using Heard = std::vector<std::string>;

TEST(ServiceManager, HearsThatTheProgramIsUpAndWhatItDoes) {
  Manager manager(socket_path());
  ServiceManager service;
  service.tell_ready();
  service.tell_status("round 3 of 10");
  service.tell_status("round 3 of 10");
  service.tell_status("finished");
  service.tell_stopping();
  EXPECT_EQ(manager.heard(), (Heard{"READY=1", "STATUS=round 3 of 10", "STATUS=finished", "STOPPING=1"}));
  EXPECT_EQ(service.next_timeout(), kNever) << "no watchdog was asked for";
}

TEST(ServiceManager, HearsASignOfLifeTwiceInItsTimeout) {
  Manager manager("@runnel-notify-" + std::to_string(::getpid()));
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  ServiceManager service;
  const Instant start{seconds(100)};
  service.handle_timeout(start);
  EXPECT_EQ(service.next_timeout(), start + seconds(15));
  service.handle_timeout(start + seconds(14));
  EXPECT_EQ(manager.heard(), (Heard{"WATCHDOG=1"}));
  service.handle_timeout(start + seconds(15));
  EXPECT_EQ(manager.heard(), (Heard{"WATCHDOG=1"}));
}

TEST(ServiceManager, AWatchdogOfAnotherProcessIsNotFed) {
  Manager manager(socket_path());
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  ServiceManager service;
  service.handle_timeout(Instant{seconds(100)});
  EXPECT_EQ(service.next_timeout(), kNever);
  EXPECT_EQ(manager.heard(), Heard{});
}

TEST(ServiceManager, WithoutAManagerNothingIsSent) {
  ServiceManager service;
  EXPECT_FALSE(service.present());
  service.tell_ready();
  service.tell_status("alone");
  EXPECT_EQ(service.next_timeout(), kNever);
}

TEST(ServiceManager, AWordThatIsNoSocketIsIgnored) {
  for (const std::string& word : {std::string("not-a-path"), "/" + std::string(200, 'x')}) {
    ::setenv("NOTIFY_SOCKET", word.c_str(), 1);
    ServiceManager service;
    EXPECT_FALSE(service.present()) << word;
    service.tell_ready();
  }
  ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace runnel::host
