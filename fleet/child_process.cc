#include "fleet/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

constexpr int kEventsFd = 3;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe open_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("pipe");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// VmHWM of a process: the peak of the program itself, unlike rusage, whose peak a child inherits from the parent's
// image.
uint64_t peak_rss_bytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return 0;
}

// After fork: only async-signal-safe calls until exec. Returns only on failure, with errno set.
void become(const char* program, char* const* arguments, int log, int events, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // the parent died before the line above
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || ::dup2(null, STDIN_FILENO) < 0) return;
  if (::dup2(log, STDOUT_FILENO) < 0 || ::dup2(log, STDERR_FILENO) < 0) return;
  if (events == kEventsFd ? ::fcntl(events, F_SETFD, 0) < 0 : ::dup2(events, kEventsFd) < 0) return;
  ::execv(program, arguments);
}

}  // namespace

std::string ExitStatus::text() const {
  if (signal != 0) return "was killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
  return "exited with code " + std::to_string(code);
}

ChildProcess ChildProcess::start(const ChildOptions& options) {
  const UniqueFd log(::open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log.open()) throw system_error(options.log_path);
  Pipe events = open_pipe();
  Pipe failure = open_pipe();  // closes itself when exec succeeds
  // dup2 onto kEventsFd would close the pipe that reports failures, were it there.
  if (failure.write.get() == kEventsFd) {
    UniqueFd moved(::fcntl(kEventsFd, F_DUPFD_CLOEXEC, kEventsFd + 1));
    failure.write = std::move(moved);
  }
  std::vector<char*> arguments;
  arguments.push_back(const_cast<char*>(options.program.c_str()));
  for (const std::string& each : options.arguments) arguments.push_back(const_cast<char*>(each.c_str()));
  arguments.push_back(nullptr);

  ChildProcess child;
  child.parent_rss_bytes_max_ = peak_rss_bytes(::getpid());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw system_error("fork");
  if (pid == 0) {
    become(options.program.c_str(), arguments.data(), log.get(), events.write.get(), parent);
    const int error = errno;
    [[maybe_unused]] const ssize_t written = ::write(failure.write.get(), &error, sizeof error);
    ::_exit(127);
  }
  child.pid_ = pid;
  failure.write.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(failure.read.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof error)) {
    child.wait();
    throw FleetError("cannot start " + options.program + ": " + std::strerror(error));
  }
  ::fcntl(events.read.get(), F_SETFL, O_NONBLOCK);
  child.events_ = std::move(events.read);
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      events_(std::move(other.events_)),
      rss_bytes_max_(other.rss_bytes_max_),
      parent_rss_bytes_max_(other.parent_rss_bytes_max_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(events_, other.events_);
  std::swap(rss_bytes_max_, other.rss_bytes_max_);
  std::swap(parent_rss_bytes_max_, other.parent_rss_bytes_max_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (!running()) return;
  send_signal(SIGKILL);
  reap(0);
}

std::optional<ExitStatus> ChildProcess::reap(int flags) {
  if (!running()) return std::nullopt;
  int status = 0;
  rusage usage{};
  pid_t got = 0;
  do {
    got = ::wait4(pid_, &status, flags, &usage);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return std::nullopt;
  pid_ = -1;
  if (got < 0) return ExitStatus{127, 0};
  const auto reported = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  // The kernel's figure also covers the moment before exec, when the child was a copy of this process; it counts only
  // where it must come from the program itself, or where there is no other.
  if (reported > parent_rss_bytes_max_ || rss_bytes_max_ == 0) rss_bytes_max_ = std::max(rss_bytes_max_, reported);
  return WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)} : ExitStatus{WEXITSTATUS(status), 0};
}

std::optional<ExitStatus> ChildProcess::poll_exit() {
  return reap(WNOHANG);
}

ExitStatus ChildProcess::wait() {
  return reap(0).value_or(ExitStatus{});
}

void ChildProcess::send_signal(int signal_number) const {
  if (running()) ::kill(-pid_, signal_number);
}

void ChildProcess::sample_memory() {
  if (running()) rss_bytes_max_ = std::max(rss_bytes_max_, peak_rss_bytes(pid_));
}

std::string log_tail(const std::string& path, size_t bytes_max) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const auto size = static_cast<size_t>(std::max<std::streamoff>(file.tellg(), 0));
  const size_t start = size > bytes_max ? size - bytes_max : 0;
  file.seekg(static_cast<std::streamoff>(start));
  std::string text(size - start, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  const size_t newline = text.find('\n');
  if (start > 0 && newline != std::string::npos) text.erase(0, newline + 1);
  return text;
}

}  // namespace runnel::fleet
