#include "fleet/fleet_member.h"

#include <poll.h>

#include <algorithm>
#include <csignal>

namespace runnel::fleet {
namespace {

constexpr int kPatienceMs = 3000;
constexpr int kStepMs = 10;

}  // namespace

void FleetMember::start() {
  process = ChildProcess::start(options);
  events = EventStream(process->take_events());
  kill_expected = false;
  restart_at.reset();
}

void FleetMember::kill_on_purpose() {
  process->sample_memory();
  process->send_signal(SIGKILL);
  kill_expected = true;
}

std::optional<ExitStatus> FleetMember::poll_exit() {
  if (!running()) return std::nullopt;
  const auto status = process->poll_exit();
  if (status) rss_bytes_max = std::max(rss_bytes_max, process->rss_bytes_max());
  return status;
}

void FleetMember::retire() {
  restart_at.reset();
  done = true;
}

void stop_members(const std::vector<FleetMember*>& members) {
  const auto signal_all = [&](int signal_number) {
    for (const FleetMember* each : members) {
      if (each->running()) each->process->send_signal(signal_number);
    }
  };
  const auto any_left = [&] {
    bool left = false;
    for (FleetMember* each : members) {
      each->poll_exit();
      left = left || each->running();
    }
    return left;
  };
  if (!any_left()) return;
  signal_all(SIGTERM);
  for (int waited_ms = 0; any_left() && waited_ms < kPatienceMs; waited_ms += kStepMs) ::poll(nullptr, 0, kStepMs);
  signal_all(SIGKILL);
  while (any_left()) ::poll(nullptr, 0, kStepMs);
}

}  // namespace runnel::fleet
