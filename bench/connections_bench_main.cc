// connections_bench: what thousands of connected, authenticated devices cost one coordinator process.
// bench/README.md says how to run it.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <stdexcept>

#include "bench/load_device.h"
#include "bench/load_generator.h"
#include "bench/made_up_update.h"
#include "bench/measured_coordinator.h"
#include "coordinator/engine/coordinator_engine.h"
#include "fleet/enrolment.h"
#include "fleet/machine_line.h"
#include "fleet/work_folder.h"
#include "runtime/host/coordinator_channels.h"

namespace runnel::bench {
namespace {

struct Options {
  uint32_t devices = 10'000;
  uint32_t processes = 0;  // 0: one for each 2500 devices
  uint32_t idle_s = 10;
  uint32_t update_bytes = 100'000;
  std::string codec = "qsgd_inf";
  uint32_t bits = 8;
  bool upload = false;
  bool reconnect = true;
  std::string work;
  std::string bin;
  uint32_t timeout_s = 1800;
};

using Clock = std::chrono::steady_clock;

// Longer than a session stays awake without use.
constexpr unsigned kQuietSeconds = 12;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {}

  int run();

 private:
  double wait_for(const char* what, LoadGenerator& load, MeasuredCoordinator& coordinator,
                  const std::function<bool(const LoadSum&)>& reached);
  void print_memory(const char* what, const ProcessFigures& figures) const;
  void idle(LoadGenerator& load, MeasuredCoordinator& coordinator);
  void reconnect(LoadGenerator& load, MeasuredCoordinator& coordinator);
  void upload(LoadGenerator& load, MeasuredCoordinator& coordinator);
  uint64_t upload_bound(const ProcessFigures& idle) const;

  Options options_;
  ProcessFigures empty_;
};

double Bench::wait_for(const char* what, LoadGenerator& load, MeasuredCoordinator& coordinator,
                       const std::function<bool(const LoadSum&)>& reached) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    const LoadSum sum = load.sum();
    if (reached(sum)) return since(start);
    coordinator.require_running();
    if (since(start) > options_.timeout_s) {
      throw std::runtime_error(std::string(what) + ": not there after " + std::to_string(options_.timeout_s) +
                               " s: " + std::to_string(sum.welcomed) + " welcomed, " + std::to_string(sum.durable) +
                               " updates durable");
    }
    ::usleep(20'000);
  }
}

void Bench::print_memory(const char* what, const ProcessFigures& figures) const {
  const auto kb = [&](uint64_t bytes) { return static_cast<double>(bytes) / 1024.0; };
  const double each = kb(figures.private_bytes - std::min(figures.private_bytes, empty_.private_bytes)) /
                      static_cast<double>(options_.devices);
  std::printf("%-34s resident %9.0f KB  private %9.0f KB  Pss %9.0f KB  = %6.2f KB a connection\n", what,
              kb(figures.resident_bytes), kb(figures.private_bytes), kb(figures.shared_out_bytes), each);
  std::fflush(stdout);
}

void Bench::idle(LoadGenerator& load, MeasuredCoordinator& coordinator) {
  const double before_s = coordinator.figures().processor_s;
  load.command(LoadCommand::kConnect);
  const double took_s =
      wait_for("connecting", load, coordinator, [&](const LoadSum& sum) { return sum.welcomed == options_.devices; });
  const ProcessFigures figures = coordinator.figures();
  const LoadSum sum = load.sum();
  std::printf(
      "%llu handshakes, %llu of them abbreviated, and greetings in %.1f s; %.2f ms of the coordinator's "
      "processor time each\n",
      static_cast<unsigned long long>(sum.handshakes), static_cast<unsigned long long>(sum.handshakes_resumed), took_s,
      1e3 * (figures.processor_s - before_s) / options_.devices);
  ::sleep(options_.idle_s);
  const double quiet_s = coordinator.figures().processor_s;
  ::sleep(options_.idle_s);
  const ProcessFigures after = coordinator.figures();
  print_memory("idle", after);
  std::printf("%-34s %.1f ms of processor time a second\n", "idle",
              1e3 * (after.processor_s - quiet_s) / options_.idle_s);
}

void Bench::reconnect(LoadGenerator& load, MeasuredCoordinator& coordinator) {
  const uint64_t handshakes = load.sum().handshakes;
  load.command(LoadCommand::kDisconnect);
  wait_for("disconnecting", load, coordinator, [](const LoadSum& sum) { return sum.welcomed == 0; });
  ::sleep(2);
  const double before_s = coordinator.figures().processor_s;
  load.command(LoadCommand::kReconnect);
  const double took_s =
      wait_for("reconnecting", load, coordinator, [&](const LoadSum& sum) { return sum.welcomed == options_.devices; });
  const ProcessFigures figures = coordinator.figures();
  std::printf(
      "%u devices back on new connections in %.1f s with %llu new handshakes; %.3f ms of the coordinator's processor "
      "time each (TCP, ZeroMQ, session, greeting)\n",
      options_.devices, took_s, static_cast<unsigned long long>(load.sum().handshakes - handshakes),
      1e3 * (figures.processor_s - before_s) / options_.devices);
  ::sleep(2);
  print_memory("idle, after all reconnected", coordinator.figures());
}

// What the coordinator may take while all upload, from its own limits and what it took while all were idle.
uint64_t Bench::upload_bound(const ProcessFigures& idle) const {
  constexpr uint64_t kAwakeBytes = 46 * 1024;  // of a session, mbedTLS's record buffers above all
  constexpr uint64_t kMessageBytes = 4608;     // of a chunk on its way: its record, and ZeroMQ's and malloc's part
  constexpr uint64_t kPercentBetween = 10;     // of what is allocated and freed: pieces that malloc cannot join
  const coordinator::CoordinatorOptions engine;
  const host::CoordinatorChannels::Options channels;
  const uint64_t awake = std::min<uint64_t>(options_.devices, channels.awake_sessions_max);
  const uint64_t let_in = std::min<uint64_t>(options_.devices, engine.uploads_bytes_max / options_.update_bytes);
  const uint64_t updates = std::min<uint64_t>(engine.uploads_bytes_max, let_in * options_.update_bytes);
  const uint64_t windows = let_in * (engine.window_bytes / LoadDevice::kChunkBytes) * kMessageBytes;
  const uint64_t sessions = awake * kAwakeBytes;
  const uint64_t saving = coordinator::UploadTable::kSaveBytesMax;
  const uint64_t between = (updates + windows + sessions + saving) * kPercentBetween / 100;
  const auto mb = [](uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  const uint64_t bound = idle.resident_bytes + updates + windows + sessions + saving + between;
  std::printf(
      "%-34s idle %.0f + updates %.0f + windows of %llu uploads %.0f + %llu awake sessions %.0f + parts %.0f "
      "+ between them %.0f = %.0f MB\n",
      "bound, before they start", mb(idle.resident_bytes), mb(updates), static_cast<unsigned long long>(let_in),
      mb(windows), static_cast<unsigned long long>(awake), mb(sessions), mb(saving), mb(between), mb(bound));
  std::fflush(stdout);
  return bound;
}

void Bench::upload(LoadGenerator& load, MeasuredCoordinator& coordinator) {
  wait_for("the round's plan", load, coordinator, [&](const LoadSum& sum) { return sum.planned == options_.devices; });
  if (options_.reconnect) ::sleep(kQuietSeconds);
  const ProcessFigures before = coordinator.figures();
  print_memory("quiet, before they upload", before);
  const uint64_t bound = upload_bound(before);
  load.command(LoadCommand::kUpload);
  const double took_s =
      wait_for("uploading", load, coordinator, [&](const LoadSum& sum) { return sum.durable == options_.devices; });
  const ProcessFigures after = coordinator.figures();
  const double processor_s = after.processor_s - before.processor_s;
  std::printf(
      "%u updates of %u bytes at once: %.1f s, %.0f a second; %.3f ms of processor time each (%.0f a second "
      "and core); %llu were told to come again\n",
      options_.devices, options_.update_bytes, took_s, options_.devices / took_s, 1e3 * processor_s / options_.devices,
      options_.devices / processor_s, static_cast<unsigned long long>(load.sum().refusals));
  print_memory("after all updates", after);
  std::printf("%-34s resident %9.0f KB = %.0f MB, the updates themselves were %.0f MB; the bound of %.0f MB %s\n",
              "peak", static_cast<double>(after.resident_bytes_max) / 1024.0,
              static_cast<double>(after.resident_bytes_max) / 1e6,
              static_cast<double>(options_.devices) * options_.update_bytes / 1e6, static_cast<double>(bound) / 1e6,
              after.resident_bytes_max <= bound ? "held" : "DID NOT HOLD");
  std::fflush(stdout);
  ::sleep(kQuietSeconds);
  print_memory("after 12 s of quiet", coordinator.figures());
}

int Bench::run() {
  std::optional<fleet::WorkFolder> temporary;
  if (options_.work.empty()) temporary.emplace("", false);
  MeasuredOptions measured;
  measured.program = fleet::find_programs(options_.bin).coordinator;
  measured.folder = temporary ? temporary->path().string() : options_.work;
  measured.devices = options_.devices;
  measured.min_devices = options_.upload ? options_.devices : options_.devices + 1;
  // At 8 bits a parameter; the sizes of other codecs differ.
  measured.model_toml = dense_model_toml(options_.update_bytes * 8 / options_.bits);
  measured.plan = {"--codec", options_.codec, "--rounds", "1", "--deadline", "36000", "--downlink-bits", "0"};
  if (options_.codec != "fp32" && options_.codec != "fp16") {
    measured.plan.insert(measured.plan.end(), {"--bits", std::to_string(options_.bits), "--coder", "fixed"});
  }
  LoadOptions load_options;
  load_options.devices = options_.devices;
  load_options.processes = options_.processes != 0 ? options_.processes : (options_.devices + 2499) / 2500;
  load_options.model_toml = measured.model_toml;

  const Clock::time_point start = Clock::now();
  MeasuredCoordinator coordinator(measured);
  coordinator.start();
  std::printf("%s\n%u devices enrolled in %.1f s; %u generator processes\n", fleet::machine_line().c_str(),
              options_.devices, since(start), load_options.processes);
  load_options.bundles = coordinator.bundles();
  load_options.endpoint = coordinator.endpoint();
  ::sleep(1);
  empty_ = coordinator.figures();
  print_memory("without devices", empty_);
  {
    LoadGenerator load(load_options);
    idle(load, coordinator);
    if (options_.reconnect) reconnect(load, coordinator);
    if (options_.upload) upload(load, coordinator);
  }
  coordinator.stop();
  return 0;
}

}  // namespace
}  // namespace runnel::bench

int main(int argc, char** argv) {
  CLI::App app("What thousands of connected, authenticated devices cost one coordinator process.");
  runnel::bench::Options options;
  app.add_option("--devices", options.devices, "real DTLS sessions on loopback")
      ->capture_default_str()
      ->check(CLI::Range(1, 50'000));
  app.add_option("--processes", options.processes, "of the load generator (default: one for each 2500 devices)")
      ->check(CLI::Range(1, 64));
  app.add_option("--idle", options.idle_s, "seconds of silence before memory is read")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  app.add_flag("!--no-reconnect", options.reconnect, "leave out that all come back on new connections");
  app.add_flag("--upload", options.upload, "every device uploads an update at the same moment");
  app.add_option("--update-bytes", options.update_bytes, "of an update")
      ->capture_default_str()
      ->check(CLI::Range(1000, 10'000'000));
  app.add_option("--codec", options.codec, "of the updates")->capture_default_str();
  app.add_option("--bits", options.bits, "of a coordinate")->capture_default_str()->check(CLI::Range(1, 32));
  app.add_option("--work", options.work,
                 "folder for the fleet and the devices' tickets, to be used again (default: a temporary one)");
  app.add_option("--bin", options.bin, "folder of the programs (default: this one's)");
  app.add_option("--timeout", options.timeout_s, "seconds that a step may take")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    return runnel::bench::Bench(options).run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "connections_bench: %s\n", error.what());
    return 1;
  }
}
