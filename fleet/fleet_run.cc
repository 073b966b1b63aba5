#include "fleet/fleet_run.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <type_traits>
#include <utility>

#include "fleet/child_process.h"
#include "fleet/endpoint.h"
#include "fleet/enrolment.h"
#include "fleet/event_stream.h"
#include "fleet/fleet_links.h"
#include "fleet/link_proxy.h"
#include "fleet/program_arguments.h"
#include "fleet/run_recorder.h"
#include "fleet/text_format.h"
#include "fleet/work_folder.h"
#include "runtime/base/rng.h"

namespace runnel::fleet {
namespace {

namespace fs = std::filesystem;

constexpr Duration kTick = milliseconds(100);
constexpr Duration kRestartAfter = seconds(1);
constexpr Duration kListeningWithin = seconds(60);
constexpr Duration kFarewell = seconds(10);          // for the devices, once the coordinator has gone
constexpr Duration kFinishedFarewell = seconds(60);  // for all, once the run is finished
constexpr Duration kKillAfter = seconds(3);          // from SIGTERM to SIGKILL

Instant steady_now() {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

// One of the run's programs, over its restarts.
struct Member {
  std::string name;
  ChildOptions options;
  std::optional<ChildProcess> process;
  EventStream events;
  std::optional<Instant> restart_at;
  bool kill_expected = false;
  bool done = false;  // ended by itself, as it should
  uint64_t rss_bytes_max = 0;

  bool running() const { return process && process->running(); }
};

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
        recorder_(config, codec_label(config)) {}

  ~FleetRun() { stop_all(); }
  FleetRun(const FleetRun&) = delete;
  FleetRun& operator=(const FleetRun&) = delete;

  RunRecord run();

 private:
  void prepare();
  void prepare_device(uint32_t index, const fs::path& bundle);
  std::string dump_folder(const std::string& name) const;
  void start_coordinator_and_wait();
  void start_devices();
  void start(Member& member);
  void kill_for_restart(Member& member, const std::string& why);

  void wait_and_service();
  void read_events();
  void reap();
  void restart_due();
  void tick();
  void check_deadlines();
  bool over() const;

  void handle_coordinator_exit(const ExitStatus& status);
  void handle_device_exit(Member& member, const ExitStatus& status);
  void coordinator_event(const Event& event);
  void device_event(uint32_t index, const Event& event);
  void device_state(uint32_t index, const StateEvent& event);
  void common_event(const Member& member, const Event& event);
  void notice(const std::string& text) { observer_.on_notice(recorder_.record(), text); }
  void update_links();
  void end_members(int signal_number);
  void stop_all();
  static void retire(Member& member);

  double seconds_since_start(Instant at) const { return static_cast<double>((at - began_at_).count()) / 1e6; }
  double now_s() const { return seconds_since_start(steady_now()); }

  RunConfig config_;
  RunObserver& observer_;
  StopSignals& signals_;
  Programs programs_;
  WorkFolder work_;
  Instant began_at_;
  LinkProxy proxy_;
  RunRecorder recorder_;
  Member coordinator_;
  std::vector<Member> devices_;
  bool listening_ = false;
  std::optional<Instant> finished_at_;
  std::optional<Instant> coordinator_left_at_;
  std::optional<Instant> devices_left_at_;
  Instant next_tick_{};
  uint32_t ticks_ = 0;
};

std::string FleetRun::dump_folder(const std::string& name) const {
  if (config_.dump_frames.empty()) return {};
  std::error_code error;
  const fs::path folder = fs::absolute(config_.dump_frames) / name;
  fs::create_directories(folder, error);
  if (error) throw FleetError("cannot make the folder " + folder.string() + ": " + error.message());
  return folder.string();
}

void FleetRun::prepare() {
  add_links(proxy_, config_);
  const std::string first_port = std::to_string(proxy_.port(0));
  const Enrolment enrolment =
      enroll_fleet(programs_, config_, work_, "tcp://" + connect_address(config_.bind) + ":" + first_port, signals_);
  const fs::path logs = work_.folder("logs");
  coordinator_.name = "runnel-coordinator";
  coordinator_.options = {programs_.coordinator,
                          coordinator_arguments(config_, enrolment.coordinator_state.string(),
                                                ChildProcess::kEventsPath, dump_folder("coordinator")),
                          (logs / "coordinator.log").string()};
  devices_.resize(config_.devices);
  for (uint32_t i = 0; i < config_.devices; ++i) prepare_device(i, enrolment.bundles[i]);
}

void FleetRun::prepare_device(uint32_t index, const fs::path& bundle) {
  Member& member = devices_[index];
  member.name = recorder_.record().devices[index].name;
  DeviceArguments arguments;
  arguments.index = index;
  arguments.bundle = bundle.string();
  arguments.state_folder = work_.folder("devices/" + member.name).string();
  arguments.endpoint = "tcp://" + connect_address(config_.bind) + ":" + std::to_string(proxy_.port(index));
  arguments.events_path = ChildProcess::kEventsPath;
  arguments.dump_folder = dump_folder(member.name);
  member.options = {programs_.device, device_arguments(config_, arguments),
                    (work_.folder("logs") / (member.name + ".log")).string()};
}

void FleetRun::start(Member& member) {
  member.process = ChildProcess::start(member.options);
  member.events = EventStream(member.process->take_events());
  member.kill_expected = false;
  member.restart_at.reset();
}

void FleetRun::start_coordinator_and_wait() {
  start(coordinator_);
  const Instant until = steady_now() + kListeningWithin;
  while (!listening_) {
    if (steady_now() > until) {
      throw FleetError(
          death_notice(coordinator_.name, "does not say that it is listening", coordinator_.options.log_path));
    }
    wait_and_service();
  }
}

void FleetRun::start_devices() {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < config_.devices; ++i) order.push_back(i);
  if (config_.start_order == StartOrder::kReverse) std::reverse(order.begin(), order.end());
  if (config_.start_order == StartOrder::kRandom) {
    Rng rng(derive_key(config_.seed, 0x6F72646572ULL));
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  }
  for (const uint32_t index : order) start(devices_[index]);
}

RunRecord FleetRun::run() {
  prepare();
  start_coordinator_and_wait();
  // The links' time is the run's: however long the preparation took, the same run meets the same links.
  began_at_ = steady_now();
  proxy_.begin();
  proxy_.take_notices();
  for (size_t i = 0; i < proxy_.link_count(); ++i) {
    if (proxy_.state(i).outage) recorder_.link_notice(i, true, 0.0);
  }
  start_devices();
  while (!over()) wait_and_service();
  update_links();
  recorder_.record().coordinator_rss_bytes_max = coordinator_.rss_bytes_max;
  for (size_t i = 0; i < devices_.size(); ++i) {
    recorder_.record().devices[i].rss_bytes_max = devices_[i].rss_bytes_max;
  }
  recorder_.close(now_s());
  observer_.on_tick(recorder_.record());
  return recorder_.record();
}

bool FleetRun::over() const {
  return coordinator_.done &&
         std::all_of(devices_.begin(), devices_.end(), [](const Member& member) { return member.done; });
}

void FleetRun::wait_and_service() {
  std::vector<pollfd> waited = {{signals_.fd(), POLLIN, 0}, {proxy_.fd(), POLLIN, 0}};
  if (coordinator_.events.open()) waited.push_back({coordinator_.events.fd(), POLLIN, 0});
  for (const Member& member : devices_) {
    if (member.events.open()) waited.push_back({member.events.fd(), POLLIN, 0});
  }
  const Instant now = steady_now();
  const Duration left = std::min(next_tick_, proxy_.next_timeout()) - now;
  const auto timeout_ms = static_cast<int>(std::clamp<int64_t>((left.count() + 999) / 1000, 0, 100));
  ::poll(waited.data(), waited.size(), timeout_ms);
  signals_.check();
  proxy_.service();
  for (const LinkNotice& each : proxy_.take_notices()) {
    recorder_.link_notice(each.link, each.dark, seconds_since_start(each.at));
    notice(recorder_.record().devices[each.link].name + (each.dark ? ": the link is down" : ": the link is back"));
  }
  read_events();
  reap();
  restart_due();
  if (steady_now() >= next_tick_) tick();
  check_deadlines();
}

void FleetRun::read_events() {
  for (const Event& event : coordinator_.events.read_available()) coordinator_event(event);
  for (uint32_t i = 0; i < devices_.size(); ++i) {
    for (const Event& event : devices_[i].events.read_available()) device_event(i, event);
  }
}

void FleetRun::coordinator_event(const Event& event) {
  if (const auto* listening = std::get_if<ListeningEvent>(&event)) {
    const Endpoint endpoint = parse_endpoint(listening->endpoint);
    proxy_.set_target(connect_address(endpoint.address), endpoint.port);
    listening_ = true;
  } else if (const auto* started = std::get_if<StartedEvent>(&event)) {
    recorder_.started(*started, now_s());
  } else if (const auto* round = std::get_if<RoundEvent>(&event)) {
    update_links();
    if (recorder_.round(*round, now_s())) observer_.on_round(recorder_.record());
  } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
    recorder_.finished(*finished, now_s());
    finished_at_ = steady_now();
  } else {
    common_event(coordinator_, event);
  }
}

void FleetRun::device_event(uint32_t index, const Event& event) {
  DeviceRecord& device = recorder_.record().devices[index];
  if (const auto* state = std::get_if<StateEvent>(&event)) {
    device_state(index, *state);
  } else if (const auto* memory = std::get_if<MemoryEvent>(&event)) {
    device.arena_bytes = std::max(device.arena_bytes, memory->arena_bytes);
  } else if (const auto* done = std::get_if<DoneEvent>(&event)) {
    device.updates_acknowledged = done->updates_acknowledged;
    if (devices_[index].process) devices_[index].process->sample_memory();
  } else {
    common_event(devices_[index], event);
  }
}

void FleetRun::device_state(uint32_t index, const StateEvent& event) {
  Member& member = devices_[index];
  recorder_.device_state(index, event.state, event.round, now_s());
  if (member.running() && config_.faults.strikes_device(index, event.state, event.round)) {
    kill_for_restart(member, "while " + event.state + " in round " + std::to_string(event.round));
    ++recorder_.record().devices[index].restarts;
  }
  if (coordinator_.running() && config_.faults.strikes_coordinator(event.state, event.round)) {
    kill_for_restart(coordinator_, "in the middle of round " + std::to_string(event.round));
    ++recorder_.record().coordinator_restarts;
  }
}

void FleetRun::common_event(const Member& member, const Event& event) {
  std::string text;
  if (const auto* warning = std::get_if<WarningEvent>(&event)) text = warning->text;
  if (const auto* malformed = std::get_if<MalformedEvent>(&event)) text = malformed->text;
  if (text.empty()) return;  // an event that only the other side of the contract uses, or a newer one
  recorder_.warning(member.name + ": " + text);
  notice(member.name + ": " + text);
}

void FleetRun::kill_for_restart(Member& member, const std::string& why) {
  member.process->sample_memory();
  member.process->send_signal(SIGKILL);
  member.kill_expected = true;
  notice(member.name + " is killed " + why);
}

void FleetRun::reap() {
  if (coordinator_.running()) {
    if (const auto status = coordinator_.process->poll_exit()) handle_coordinator_exit(*status);
  }
  for (uint32_t i = 0; i < devices_.size(); ++i) {
    Member& member = devices_[i];
    if (!member.running()) continue;
    const auto status = member.process->poll_exit();
    if (!status) continue;
    for (const Event& event : member.events.read_available()) device_event(i, event);
    recorder_.device_state(i, "stopped", 0, now_s());
    handle_device_exit(member, *status);
  }
}

// A member that is not to come back.
void FleetRun::retire(Member& member) {
  if (member.process) member.rss_bytes_max = std::max(member.rss_bytes_max, member.process->rss_bytes_max());
  member.restart_at.reset();
  member.done = true;
}

void FleetRun::handle_coordinator_exit(const ExitStatus& status) {
  for (const Event& event : coordinator_.events.read_available()) coordinator_event(event);
  coordinator_.rss_bytes_max = std::max(coordinator_.rss_bytes_max, coordinator_.process->rss_bytes_max());
  if (coordinator_.kill_expected) {
    listening_ = false;
    proxy_.clear_target();
    coordinator_.restart_at = steady_now() + kRestartAfter;
    return;
  }
  if (!status.clean()) {
    throw FleetError(death_notice(coordinator_.name, status.text(), coordinator_.options.log_path));
  }
  if (!finished_at_) {
    throw FleetError(
        death_notice(coordinator_.name, "ended before the run was finished", coordinator_.options.log_path));
  }
  retire(coordinator_);
  coordinator_left_at_ = steady_now();
}

void FleetRun::handle_device_exit(Member& member, const ExitStatus& status) {
  member.rss_bytes_max = std::max(member.rss_bytes_max, member.process->rss_bytes_max());
  if (member.kill_expected) {
    member.restart_at = steady_now() + kRestartAfter;
    return;
  }
  if (!status.clean()) {
    throw FleetError(death_notice("runnel-device " + member.name, status.text(), member.options.log_path));
  }
  retire(member);
}

void FleetRun::restart_due() {
  const Instant now = steady_now();
  const auto restart = [&](Member& member) {
    if (!member.restart_at || *member.restart_at > now) return;
    start(member);
    notice(member.name + " is started again");
  };
  restart(coordinator_);
  for (Member& member : devices_) restart(member);
}

void FleetRun::update_links() {
  for (size_t i = 0; i < proxy_.link_count(); ++i) recorder_.link(i, proxy_.counters(i), proxy_.state(i));
}

void FleetRun::tick() {
  next_tick_ = steady_now() + kTick;
  recorder_.record().elapsed_s = now_s();
  update_links();
  if (ticks_++ % 3 == 0) {
    if (coordinator_.running()) coordinator_.process->sample_memory();
    for (Member& member : devices_) {
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
  const bool devices_left = !devices_.empty() && std::all_of(devices_.begin(), devices_.end(),
                                                             [](const Member& member) { return member.done; });
  if (!devices_left) devices_left_at_.reset();
  if (devices_left && !devices_left_at_) devices_left_at_ = now;
  if (devices_left_at_ && !finished_at_ && now > *devices_left_at_ + kFarewell) {
    throw FleetError("all devices have ended, but the coordinator has not finished the run");
  }
  const bool overdue = (coordinator_left_at_ && now > *coordinator_left_at_ + kFarewell) ||
                       (finished_at_ && now > *finished_at_ + kFinishedFarewell);
  if (overdue && !over()) {
    for (const Member& member : devices_) {
      if (member.running()) recorder_.warning(member.name + " did not learn that the run is finished; it is stopped");
    }
    if (coordinator_.running()) recorder_.warning("the coordinator did not end after the run; it is stopped");
    stop_all();
    for (Member& member : devices_) retire(member);
    retire(coordinator_);
  }
}

void FleetRun::end_members(int signal_number) {
  if (coordinator_.running()) coordinator_.process->send_signal(signal_number);
  for (const Member& member : devices_) {
    if (member.running()) member.process->send_signal(signal_number);
  }
}

void FleetRun::stop_all() {
  const auto settle = [](Member& member) {
    if (member.running()) member.process->poll_exit();
    return !member.running();
  };
  end_members(SIGTERM);
  for (const Instant until = steady_now() + kKillAfter; steady_now() < until;) {
    bool settled = settle(coordinator_);
    for (Member& member : devices_) settled = settle(member) && settled;
    if (settled) return;
    ::poll(nullptr, 0, 10);
  }
  end_members(SIGKILL);
  if (coordinator_.running()) coordinator_.process->wait();
  for (Member& member : devices_) {
    if (member.running()) member.process->wait();
  }
}

}  // namespace

RunRecord run_fleet(const RunConfig& config, RunObserver& observer, StopSignals& signals) {
  return FleetRun(config, observer, signals).run();
}

}  // namespace runnel::fleet
