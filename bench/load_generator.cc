#include "bench/load_generator.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <new>
#include <stdexcept>

#include "bench/load_device.h"
#include "coordinator/config/model_file.h"
#include "runtime/host/monotonic_clock.h"

namespace runnel::bench {

namespace {
constexpr uint32_t kProcessesMax = 64;
constexpr useconds_t kPauseUs = 1000;
}  // namespace

struct LoadGenerator::Board {
  std::atomic<LoadCommand> command{LoadCommand::kWait};
  LoadFigures figures[kProcessesMax];
};

std::string load_device_name(uint32_t index) {
  return "load-" + std::to_string(index);
}

namespace {

// One process's devices.
class LoadProcess {
 public:
  LoadProcess(const LoadOptions& options, uint32_t first, uint32_t count, const std::atomic<LoadCommand>& command,
              LoadFigures& figures)
      : options_(options), command_(command), figures_(figures) {
    host::raise_file_limit(size_t{count} * 5 + 256);
    auto context = host::ZmqContext::create(static_cast<int>(count) * 8 + 64);
    auto entropy = host::Entropy::create();
    if (!context || !entropy) throw std::runtime_error("no ZeroMQ context or no entropy");
    context_ = std::move(*context);
    entropy_ = std::move(*entropy);
    for (uint32_t i = first; i < first + count; ++i) {
      const auto bundle = host::load_device_bundle(options.bundles + "/" + load_device_name(i) + ".toml");
      if (!bundle) throw std::runtime_error(bundle.failure().text());
      devices_.push_back(std::make_unique<LoadDevice>(*context_, *entropy_, *bundle,
                                                      options.bundles + "/" + load_device_name(i) + ".session"));
    }
  }

  void run() {
    for (LoadCommand last = LoadCommand::kWait;;) {
      const LoadCommand now_wanted = command_.load();
      if (now_wanted == LoadCommand::kEnd) return;
      if (now_wanted != last) begin(now_wanted);
      last = now_wanted;
      const Instant now = clock_.now();
      serve(now);
      start_some();
      count();
      if (::getppid() == 1) return;
      ::usleep(kPauseUs);
    }
  }

 private:
  // Who has something under way each time, the others now and then.
  void serve(Instant now) {
    constexpr size_t kTurns = 32;
    turn_ = (turn_ + 1) % kTurns;
    for (size_t i = 0; i < devices_.size(); ++i) {
      if (i % kTurns == turn_ || devices_[i]->busy()) devices_[i]->service(now);
    }
  }

  void begin(LoadCommand command) {
    if (command == LoadCommand::kConnect || command == LoadCommand::kReconnect) {
      next_ = 0;
    } else if (command == LoadCommand::kDisconnect) {
      for (auto& device : devices_) device->disconnect();
    } else if (command == LoadCommand::kUpload) {
      upload();
    }
  }

  void upload() {
    const auto spec = coordinator::parse_model_file(options_.model_toml);
    if (!spec) throw std::runtime_error(spec.failure().text());
    const auto layout = plan::make_layout(*spec);
    if (!layout) throw std::runtime_error(layout.failure().text());
    const MadeUpUpdate update(devices_.front()->plan().value().codec, *layout, 7);
    for (auto& device : devices_) device->upload(update, clock_.now());
  }

  // A few connections at a time, as long as handshakes are due; all at once when sessions stand.
  void start_some() {
    size_t connecting = 0;
    for (size_t i = 0; i < next_ && i < devices_.size(); ++i) {
      connecting += devices_[i]->state() == LoadDevice::State::kConnecting ? 1U : 0U;
    }
    const size_t limit = command_.load() == LoadCommand::kReconnect ? 256 : options_.connecting_max;
    for (; next_ < devices_.size() && connecting < limit; ++connecting) devices_[next_++]->connect(options_.endpoint);
  }

  void count() {
    LoadSum sum;
    for (const auto& device : devices_) {
      sum.welcomed += device->state() == LoadDevice::State::kWelcomed ? 1U : 0U;
      sum.planned += device->plan().has_value() ? 1U : 0U;
      sum.durable += static_cast<uint32_t>(device->updates_durable());
      sum.refusals += device->refusals();
      sum.handshakes += device->counters().handshakes_completed;
      sum.handshakes_resumed += device->counters().handshakes_resumed;
    }
    figures_.welcomed = sum.welcomed;
    figures_.planned = sum.planned;
    figures_.durable = sum.durable;
    figures_.refusals = sum.refusals;
    figures_.handshakes = sum.handshakes;
    figures_.handshakes_resumed = sum.handshakes_resumed;
  }

  const LoadOptions& options_;
  const std::atomic<LoadCommand>& command_;
  LoadFigures& figures_;
  host::MonotonicClock clock_;
  std::unique_ptr<host::ZmqContext> context_;
  std::unique_ptr<host::Entropy> entropy_;
  std::vector<std::unique_ptr<LoadDevice>> devices_;
  size_t next_ = SIZE_MAX;
  size_t turn_ = 0;
};

}  // namespace

LoadGenerator::LoadGenerator(const LoadOptions& options) {
  if (options.processes < 1 || options.processes > kProcessesMax) throw std::runtime_error("1 to 64 processes");
  void* memory = ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no shared memory");
  board_ = new (memory) Board;
  uint32_t first = 0;
  for (uint32_t i = 0; i < options.processes; ++i) {
    const uint32_t count = (options.devices - first) / (options.processes - i);
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      int code = 0;
      try {
        LoadProcess(options, first, count, board_->command, board_->figures[i]).run();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "load generator: %s\n", error.what());
        board_->figures[i].failed = true;
        code = 1;
      }
      ::_exit(code);
    }
    children_.push_back(child);
    first += count;
  }
}

LoadGenerator::~LoadGenerator() {
  board_->command = LoadCommand::kEnd;
  for (const pid_t child : children_) ::waitpid(child, nullptr, 0);
  ::munmap(board_, sizeof(Board));
}

void LoadGenerator::command(LoadCommand command) {
  board_->command = command;
}

LoadSum LoadGenerator::sum() const {
  LoadSum sum;
  for (size_t i = 0; i < children_.size(); ++i) {
    const LoadFigures& figures = board_->figures[i];
    if (figures.failed) throw std::runtime_error("a load generator has failed");
    sum.welcomed += figures.welcomed;
    sum.planned += figures.planned;
    sum.durable += figures.durable;
    sum.refusals += figures.refusals;
    sum.handshakes += figures.handshakes;
    sum.handshakes_resumed += figures.handshakes_resumed;
  }
  return sum;
}

}  // namespace runnel::bench
