// session_bench: how many devices a second a coordinator's secure channels can take back, on one core and in one run:
// with a session that has outlived its connection, with a ticket, and with a full handshake. bench/README.md.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <stdexcept>

#include "bench/channel_fleet.h"
#include "fleet/machine_line.h"

namespace runnel::bench {
namespace {

struct Options {
  size_t devices = 200;
  size_t rounds = 50;
};

constexpr size_t kFrameBytes = 100;  // a Hello, and a Welcome in answer

void print(const char* what, size_t count, double seconds) {
  std::printf("%-68s %9.2f us  %9.0f a second\n", what, 1e6 * seconds / static_cast<double>(count),
              static_cast<double>(count) / seconds);
  std::fflush(stdout);
}

// Every device comes back on a new connection and says a frame; the coordinator finds the session, checks the record,
// and answers to the new address with a frame.
double come_back(ChannelFleet& fleet, size_t rounds) {
  const std::vector<uint8_t> frame(kFrameBytes, 0x5A);
  std::vector<uint8_t> heard;
  double answering = 0.0;
  const double before = fleet.coordinator_seconds();
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < fleet.size(); ++i) {
      fleet.move(i);
      if (!fleet.device(i).send(frame).ok()) throw std::runtime_error("a device cannot send");
      fleet.carry_up(i);
      host::SessionId from = 0;
      const double begin = thread_seconds();
      const bool came = fleet.coordinator().poll_plaintext(from, heard) && from == fleet.session(i) && heard == frame;
      const bool answered = came && fleet.coordinator().send(from, frame).ok();
      answering += thread_seconds() - begin;
      if (!answered) throw std::runtime_error("a device was not taken back");
      fleet.carry_down();
    }
  }
  return fleet.coordinator_seconds() - before + answering;
}

int run(const Options& options) {
  std::printf("%s\n%zu devices, one core, the coordinator's side only\n", fleet::machine_line().c_str(),
              options.devices);
  {
    ChannelFleet fleet({options.devices, options.devices, 4096});
    print("session outlives its connection, in use before: record in, frame out", options.devices * options.rounds,
          come_back(fleet, options.rounds));
  }
  {
    ChannelFleet fleet({options.devices, 1, 4096});
    print("session outlives its connection, asleep before: record in, frame out", options.devices * options.rounds,
          come_back(fleet, options.rounds));
    const double before = fleet.coordinator_seconds();
    size_t resumed = 0;
    for (size_t i = 0; i < fleet.size(); ++i) resumed += fleet.resume(i) ? 1U : 0U;
    if (resumed != fleet.size()) throw std::runtime_error("a ticket was not taken");
    print("restarted device, abbreviated handshake with its ticket", resumed, fleet.coordinator_seconds() - before);
  }
  return 0;
}

}  // namespace
}  // namespace runnel::bench

int main(int argc, char** argv) {
  CLI::App app("How many devices a second a coordinator's secure channels can take back.");
  runnel::bench::Options options;
  app.add_option("--devices", options.devices, "sessions")->capture_default_str()->check(CLI::Range(2, 100'000));
  app.add_option("--rounds", options.rounds, "times that each comes back")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  CLI11_PARSE(app, argc, argv);
  try {
    return runnel::bench::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "session_bench: %s\n", error.what());
    return 1;
  }
}
