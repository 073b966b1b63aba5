#include "fleet/fleet_run.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "fleet/endpoint.h"
#include "fleet/enrolment.h"
#include "fleet/event_stream.h"
#include "fleet/fleet_links.h"
#include "fleet/fleet_setup.h"
#include "fleet/link_proxy.h"
#include "fleet/random_faults.h"
#include "fleet/run_recorder.h"
#include "fleet/text_format.h"
#include "fleet/work_folder.h"

namespace runnel::fleet {
namespace {

constexpr Duration kTick = milliseconds(100);
constexpr Duration kRestartAfter = seconds(1);
constexpr Duration kListeningWithin = seconds(60);
constexpr Duration kFarewell = seconds(10);          // for the devices, once the coordinator has gone
constexpr Duration kFinishedFarewell = seconds(60);  // for all, once the run is finished

Instant steady_now() {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

class FleetRun {
 public:
  FleetRun(const RunConfig& config, RunObserver& observer, StopSignals& signals)
      : config_(config),
        observer_(observer),
        signals_(signals),
        programs_(find_programs(config.bin_folder)),
        work_(config.work_folder, config.keep),
        began_at_(steady_now()),
        proxy_(config.bind, steady_now),
        random_faults_({config.kill_every_s, config.cut_every_s, config.devices, config.seed}),
        recorder_(config, codec_label(config)) {}

  ~FleetRun() { stop_members(members_.all()); }
  FleetRun(const FleetRun&) = delete;
  FleetRun& operator=(const FleetRun&) = delete;

  RunRecord run();

 private:
  void prepare();
  void start_coordinator_and_wait();
  void kill_for_restart(FleetMember& member, const std::string& why);

  void wait_and_service();
  void read_events();
  void reap();
  void restart_due();
  void strike_at_random();
  void tick();
  void check_deadlines();
  bool over() const;

  void handle_coordinator_exit(const ExitStatus& status);
  void handle_device_exit(FleetMember& member, const ExitStatus& status);
  void coordinator_event(const Event& event);
  void device_event(uint32_t index, const Event& event);
  void device_state(uint32_t index, const StateEvent& event);
  void common_event(const FleetMember& member, const Event& event);
  void notice(const std::string& text) { observer_.on_notice(recorder_.record(), text); }
  void update_links();

  double seconds_since_start(Instant at) const { return static_cast<double>((at - began_at_).count()) / 1e6; }
  double now_s() const { return seconds_since_start(steady_now()); }

  RunConfig config_;
  RunObserver& observer_;
  StopSignals& signals_;
  Programs programs_;
  WorkFolder work_;
  Instant began_at_;
  LinkProxy proxy_;
  RandomFaults random_faults_;
  RunRecorder recorder_;
  FleetMembers members_;
  bool listening_ = false;
  std::optional<Instant> finished_at_;
  std::optional<Instant> coordinator_left_at_;
  std::optional<Instant> devices_left_at_;
  Instant next_tick_{};
  uint32_t ticks_ = 0;
};

void FleetRun::prepare() {
  add_links(proxy_, config_);
  const std::string endpoint = "tcp://" + connect_address(config_.bind) + ":" + std::to_string(proxy_.port(0));
  const Enrolment enrolment = enroll_fleet(programs_, config_, work_, endpoint, signals_);
  members_ = prepare_members(programs_, config_, work_, enrolment, proxy_);
}

void FleetRun::start_coordinator_and_wait() {
  FleetMember& coordinator = members_.coordinator;
  coordinator.start();
  const Instant until = steady_now() + kListeningWithin;
  while (!listening_) {
    if (steady_now() > until) {
      throw FleetError(
          death_notice(coordinator.name, "does not say that it is listening", coordinator.options.log_path));
    }
    wait_and_service();
  }
}

RunRecord FleetRun::run() {
  prepare();
  start_coordinator_and_wait();
  // The links' time is the run's: however long the preparation took, the same run meets the same links.
  began_at_ = steady_now();
  proxy_.begin();
  random_faults_.begin(began_at_);
  proxy_.take_notices();
  for (size_t i = 0; i < proxy_.link_count(); ++i) {
    if (proxy_.state(i).outage) recorder_.link_notice(i, true, 0.0);
  }
  for (const uint32_t index : start_sequence(config_)) members_.devices[index].start();
  while (!over()) wait_and_service();
  update_links();
  recorder_.record().coordinator_rss_bytes_max = members_.coordinator.rss_bytes_max;
  for (size_t i = 0; i < members_.devices.size(); ++i) {
    recorder_.record().devices[i].rss_bytes_max = members_.devices[i].rss_bytes_max;
  }
  recorder_.close(now_s());
  observer_.on_tick(recorder_.record());
  return recorder_.record();
}

bool FleetRun::over() const {
  return members_.coordinator.done && std::all_of(members_.devices.begin(), members_.devices.end(),
                                                  [](const FleetMember& member) { return member.done; });
}

void FleetRun::wait_and_service() {
  std::vector<pollfd> waited = {{signals_.fd(), POLLIN, 0}, {proxy_.fd(), POLLIN, 0}};
  if (members_.coordinator.events.open()) waited.push_back({members_.coordinator.events.fd(), POLLIN, 0});
  for (const FleetMember& member : members_.devices) {
    if (member.events.open()) waited.push_back({member.events.fd(), POLLIN, 0});
  }
  const Instant now = steady_now();
  const Duration left = std::min({next_tick_, proxy_.next_timeout(), random_faults_.next_timeout()}) - now;
  const auto timeout_ms = static_cast<int>(std::clamp<int64_t>((left.count() + 999) / 1000, 0, 100));
  ::poll(waited.data(), waited.size(), timeout_ms);
  signals_.check();
  read_events();  // first: bytes that follow upon the end of a round are not of that round
  proxy_.service();
  for (const LinkNotice& each : proxy_.take_notices()) {
    recorder_.link_notice(each.link, each.dark, seconds_since_start(each.at));
    notice(recorder_.record().devices[each.link].name + (each.dark ? ": the link is down" : ": the link is back"));
  }
  reap();
  restart_due();
  strike_at_random();
  if (steady_now() >= next_tick_) tick();
  check_deadlines();
}

void FleetRun::read_events() {
  for (const Event& event : members_.coordinator.events.read_available()) coordinator_event(event);
  for (uint32_t i = 0; i < members_.devices.size(); ++i) {
    for (const Event& event : members_.devices[i].events.read_available()) device_event(i, event);
  }
}

void FleetRun::coordinator_event(const Event& event) {
  if (const auto* listening = std::get_if<ListeningEvent>(&event)) {
    const Endpoint endpoint = parse_endpoint(listening->endpoint);
    proxy_.set_target(connect_address(endpoint.address), endpoint.port);
    listening_ = true;
  } else if (const auto* started = std::get_if<StartedEvent>(&event)) {
    recorder_.started(*started, now_s());
  } else if (const auto* closed = std::get_if<RoundClosedEvent>(&event)) {
    update_links();
    recorder_.round_closed(closed->round, now_s());
  } else if (const auto* round = std::get_if<RoundEvent>(&event)) {
    update_links();
    if (recorder_.round(*round, now_s())) observer_.on_round(recorder_.record());
  } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
    recorder_.finished(*finished, now_s());
    finished_at_ = steady_now();
  } else {
    common_event(members_.coordinator, event);
  }
}

void FleetRun::device_event(uint32_t index, const Event& event) {
  DeviceRecord& device = recorder_.record().devices[index];
  if (const auto* state = std::get_if<StateEvent>(&event)) {
    device_state(index, *state);
  } else if (const auto* memory = std::get_if<MemoryEvent>(&event)) {
    device.arena_bytes = std::max(device.arena_bytes, memory->arena_bytes);
  } else if (const auto* evaluated = std::get_if<EvaluatedEvent>(&event)) {
    recorder_.evaluated(index, *evaluated);
  } else if (const auto* rate = std::get_if<RateEvent>(&event)) {
    recorder_.rate(index, *rate);
  } else if (const auto* done = std::get_if<DoneEvent>(&event)) {
    device.updates_acknowledged = done->updates_acknowledged;
    if (members_.devices[index].process) members_.devices[index].process->sample_memory();
  } else {
    common_event(members_.devices[index], event);
  }
}

void FleetRun::device_state(uint32_t index, const StateEvent& event) {
  FleetMember& member = members_.devices[index];
  recorder_.device_state(index, event.state, event.round, now_s());
  if (member.running() && config_.faults.strikes_device(index, event.state, event.round)) {
    kill_for_restart(member, "while " + event.state + " in round " + std::to_string(event.round));
    ++recorder_.record().devices[index].restarts;
  }
  if (members_.coordinator.running() && config_.faults.strikes_coordinator(event.state, event.round)) {
    kill_for_restart(members_.coordinator, "in the middle of round " + std::to_string(event.round));
    ++recorder_.record().coordinator_restarts;
  }
}

void FleetRun::common_event(const FleetMember& member, const Event& event) {
  std::string text;
  if (const auto* warning = std::get_if<WarningEvent>(&event)) text = warning->text;
  if (const auto* malformed = std::get_if<MalformedEvent>(&event)) text = malformed->text;
  if (text.empty()) return;  // an event that only the other side of the contract uses, or a newer one
  recorder_.warning(member.name + ": " + text);
  notice(member.name + ": " + text);
}

void FleetRun::kill_for_restart(FleetMember& member, const std::string& why) {
  member.kill_on_purpose();
  notice(member.name + " is killed " + why);
}

void FleetRun::reap() {
  if (const auto status = members_.coordinator.poll_exit()) handle_coordinator_exit(*status);
  for (uint32_t i = 0; i < members_.devices.size(); ++i) {
    FleetMember& member = members_.devices[i];
    const auto status = member.poll_exit();
    if (!status) continue;
    for (const Event& event : member.events.read_available()) device_event(i, event);
    recorder_.device_state(i, "stopped", 0, now_s());
    handle_device_exit(member, *status);
  }
}

void FleetRun::handle_coordinator_exit(const ExitStatus& status) {
  for (const Event& event : members_.coordinator.events.read_available()) coordinator_event(event);
  if (members_.coordinator.kill_expected) {
    listening_ = false;
    proxy_.clear_target();
    members_.coordinator.restart_at = steady_now() + kRestartAfter;
    return;
  }
  if (!status.clean()) {
    throw FleetError(death_notice(members_.coordinator.name, status.text(), members_.coordinator.options.log_path));
  }
  if (!finished_at_) {
    throw FleetError(death_notice(members_.coordinator.name, "ended before the run was finished",
                                  members_.coordinator.options.log_path));
  }
  members_.coordinator.retire();
  coordinator_left_at_ = steady_now();
}

void FleetRun::handle_device_exit(FleetMember& member, const ExitStatus& status) {
  if (member.kill_expected) {
    member.restart_at = steady_now() + kRestartAfter;
    return;
  }
  if (!status.clean()) {
    throw FleetError(death_notice("runnel-device " + member.name, status.text(), member.options.log_path));
  }
  member.retire();
}

void FleetRun::restart_due() {
  const Instant now = steady_now();
  const auto restart = [&](FleetMember& member) {
    if (!member.restart_at || *member.restart_at > now) return;
    member.start();
    notice(member.name + " is started again");
  };
  restart(members_.coordinator);
  for (FleetMember& member : members_.devices) restart(member);
}

void FleetRun::strike_at_random() {
  for (const RandomFaults::Fault& fault : random_faults_.due(steady_now())) {
    if (fault.cut) {
      proxy_.cut(fault.device);
      continue;
    }
    // Once the run is finished everybody only has to hear of it.
    FleetMember& member = fault.coordinator ? members_.coordinator : members_.devices[fault.device];
    if (finished_at_ || !listening_ || !member.running() || member.kill_expected) continue;
    kill_for_restart(member, "at random");
    ++(fault.coordinator ? recorder_.record().coordinator_restarts : recorder_.record().devices[fault.device].restarts);
  }
}

void FleetRun::update_links() {
  for (size_t i = 0; i < proxy_.link_count(); ++i) recorder_.link(i, proxy_.counters(i), proxy_.state(i));
}

void FleetRun::tick() {
  next_tick_ = steady_now() + kTick;
  recorder_.record().elapsed_s = now_s();
  update_links();
  if (ticks_++ % 3 == 0) {
    if (members_.coordinator.running()) members_.coordinator.process->sample_memory();
    for (FleetMember& member : members_.devices) {
      if (member.running()) member.process->sample_memory();
    }
  }
  observer_.on_tick(recorder_.record());
}

void FleetRun::check_deadlines() {
  const Instant now = steady_now();
  if (config_.timeout_s > 0.0 && now_s() > config_.timeout_s) {
    throw FleetError("the run is not over after " + format_duration(config_.timeout_s) + " (--timeout)");
  }
  const bool devices_left =
      !members_.devices.empty() && std::all_of(members_.devices.begin(), members_.devices.end(),
                                               [](const FleetMember& member) { return member.done; });
  if (!devices_left) devices_left_at_.reset();
  if (devices_left && !devices_left_at_) devices_left_at_ = now;
  if (devices_left_at_ && !finished_at_ && now > *devices_left_at_ + kFarewell) {
    throw FleetError("all devices have ended, but the coordinator has not finished the run");
  }
  const bool overdue = (coordinator_left_at_ && now > *coordinator_left_at_ + kFarewell) ||
                       (finished_at_ && now > *finished_at_ + kFinishedFarewell);
  if (overdue && !over()) {
    for (const FleetMember& member : members_.devices) {
      if (member.running()) recorder_.warning(member.name + " did not learn that the run is finished; it is stopped");
    }
    if (members_.coordinator.running()) recorder_.warning("the coordinator did not end after the run; it is stopped");
    stop_members(members_.all());
    for (FleetMember* each : members_.all()) each->retire();
  }
}

}  // namespace

RunRecord run_fleet(const RunConfig& config, RunObserver& observer, StopSignals& signals) {
  return FleetRun(config, observer, signals).run();
}

}  // namespace runnel::fleet
