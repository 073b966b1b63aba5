// Many load devices in processes of their own, led over a page of shared memory.
//
// Several processes, because each device takes four descriptors and there is a limit to a process's. Each numbers its
// devices from `first` on. Threads: one a process (and ZeroMQ's own). Made before anything else in the parent has
// threads: the children are forks.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace runnel::bench {

enum class LoadCommand : uint32_t { kWait, kConnect, kDisconnect, kReconnect, kUpload, kEnd };

// What one process writes, for the parent to read.
struct LoadFigures {
  std::atomic<uint32_t> welcomed{0};
  std::atomic<uint32_t> planned{0};
  std::atomic<uint32_t> durable{0};
  std::atomic<uint64_t> refusals{0};
  std::atomic<uint64_t> handshakes{0};
  std::atomic<uint64_t> handshakes_resumed{0};
  std::atomic<bool> failed{false};
};

struct LoadSum {
  uint32_t welcomed = 0;
  uint32_t planned = 0;
  uint32_t durable = 0;
  uint64_t refusals = 0;
  uint64_t handshakes = 0;
  uint64_t handshakes_resumed = 0;
};

struct LoadOptions {
  uint32_t devices = 100;
  uint32_t processes = 1;
  std::string bundles;           // folder of NAME.toml, the names being load_device_name(i)
  std::string model_toml;        // the fleet's model, for the updates' shape
  std::string endpoint;          // tcp://...
  uint32_t connecting_max = 24;  // of a process at a time: a coordinator bounds its half-open handshakes
};

std::string load_device_name(uint32_t index);

class LoadGenerator {
 public:
  // Forks the processes; they wait. Throws std::runtime_error.
  explicit LoadGenerator(const LoadOptions& options);
  // Ends them.
  ~LoadGenerator();
  LoadGenerator(const LoadGenerator&) = delete;
  LoadGenerator& operator=(const LoadGenerator&) = delete;

  void command(LoadCommand command);
  // Throws std::runtime_error once a process has failed; its words are on standard error.
  LoadSum sum() const;

 private:
  struct Board;
  Board* board_ = nullptr;
  std::vector<pid_t> children_;
};

}  // namespace runnel::bench
