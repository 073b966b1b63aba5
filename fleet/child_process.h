// A program run as a child: its output goes to a log file, an extra pipe carries its events, and it dies with its
// parent.
//
// The child sees the pipe's writing end as /dev/fd/3 (kEventsPath). It runs in a process group of its own, so that a
// Ctrl-C at the terminal reaches the parent alone, which then stops its children in order.
//
// Threads: one (it forks). Trust: arguments are passed as they are; no shell is involved.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fleet/unique_fd.h"

namespace runnel::fleet {

struct ChildOptions {
  std::string program;                 // a path
  std::vector<std::string> arguments;  // without the program's name
  std::string log_path;                // standard output and error are appended
};

struct ExitStatus {
  int code = 0;    // of exit()
  int signal = 0;  // or the signal that ended it; 0 if none did
  bool clean() const { return code == 0 && signal == 0; }
  std::string text() const;  // "exited with code 3", "was killed by signal 9 (Killed)"
};

class ChildProcess {
 public:
  static constexpr const char* kEventsPath = "/dev/fd/3";

  // Throws FleetError when the program cannot be started or the log cannot be opened.
  static ChildProcess start(const ChildOptions& options);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  // Kills and reaps a child that is still there.
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }

  // The reading end of the event pipe, non-blocking; may be taken once.
  UniqueFd take_events() { return std::move(events_); }

  // Reaps the child if it has ended; its status, once, or nothing while it runs.
  std::optional<ExitStatus> poll_exit();
  ExitStatus wait();

  // To the child and to whatever it has started.
  void send_signal(int signal_number) const;

  // Reads the child's peak resident memory while it lives; cheap enough to call often.
  void sample_memory();

  // The largest peak seen: what sample_memory() read, and what the kernel reported at the end.
  uint64_t rss_bytes_max() const { return rss_bytes_max_; }

 private:
  ChildProcess() = default;
  std::optional<ExitStatus> reap(int flags);

  pid_t pid_ = -1;
  UniqueFd events_;
  uint64_t rss_bytes_max_ = 0;
  uint64_t parent_rss_bytes_max_ = 0;
};

// The last lines of a log, at most `bytes_max`, for a message; empty when the file cannot be read.
std::string log_tail(const std::string& path, size_t bytes_max = 2000);

}  // namespace runnel::fleet
