#include "fleet/simulator/simulation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <queue>

#include "coordinator/engine/coordinator_engine.h"
#include "fleet/simulator/held_models.h"
#include "fleet/simulator/memory_store.h"
#include "fleet/simulator/replay.h"
#include "fleet/simulator/round_description.h"
#include "fleet/simulator/simulated_device.h"

namespace runnel::fleet {
namespace {

using coordinator::CoordinatorEngine;
using coordinator::SessionId;

constexpr uint64_t kRun = 0x52554E;
constexpr uint64_t kSpeedPart = 1;
constexpr uint64_t kTracePart = 2;

class World {
 public:
  explicit World(const SimulationOptions& options);
  SimulationReport run();

 private:
  struct Happening {
    Instant at;
    uint64_t order;
    std::function<void()> what;
    bool operator>(const Happening& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  void at(Instant when, std::function<void()> what) {
    happenings_.push({std::max(when, now_), ++order_, std::move(what)});
  }
  void after(Duration pause, std::function<void()> what) { at(now_ + pause, std::move(what)); }
  Duration between(Duration low, Duration high) {
    return low + Duration(static_cast<int64_t>(rng_.below(static_cast<uint64_t>((high - low).count()) + 1)));
  }
  void violation(std::string sentence);

  void boot_device(SimulatedDevice& device);
  void crash_device(SimulatedDevice& device);
  void drain_device(SimulatedDevice& device);
  void carry_out(SimulatedDevice& device, const device::Action& action);
  void connect(SimulatedDevice& device);
  void shake_hands(SimulatedDevice& device, uint64_t connection, std::span<const Flight> flights);
  void give_up_connecting(SimulatedDevice& device);
  bool needs_session(const SimulatedDevice& device) const;
  void set_up(SimulatedDevice& device);
  void break_connection(SimulatedDevice& device, const char* why);
  void train(SimulatedDevice& device, const device::StartTraining& request);
  void check_acknowledged(SimulatedDevice& device);

  void boot_coordinator();
  void crash_coordinator();
  void drain_coordinator();
  void begin_store();
  Failure carry_out(coordinator::StoreRequest& request);

  void send_up(SimulatedDevice& device, ByteView bytes);
  void send_down(SimulatedDevice& device, ByteView bytes);
  Instant arrival(SimulatedDevice& device, Way way, size_t bytes);
  void follow_outages(SimulatedDevice& device);
  void note_rounds();

  void plan_faults();
  void plan_fault(double per_minute, const std::function<void()>& fault);
  void heal();

  const SimulationOptions& options_;
  plan::ModelLayout layout_;
  Rng rng_;
  Instant now_{};
  uint64_t order_ = 0;
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> happenings_;
  bool healed_ = false;

  std::vector<std::unique_ptr<SimulatedDevice>> devices_;
  std::map<SessionId, SimulatedDevice*> sessions_;
  MemoryStore store_;
  HeldModels held_models_;
  std::unique_ptr<CoordinatorEngine> engine_;
  uint64_t coordinator_boot_ = 0;
  coordinator::StoreRequest* storing_ = nullptr;  // on its way to the disk
  uint64_t newest_version_ = 1;
  SimulationReport report_;
};

World::World(const SimulationOptions& options) : options_(options), rng_(options.seed) {
  Result<plan::ModelLayout> layout = plan::make_layout(options.model);
  RUNNEL_ASSERT(layout.ok());
  layout_ = *layout;
  const coordinator::ModelRecord initial = first_model(options, layout_);
  held_models_.note(initial);
  RUNNEL_ASSERT(store_.create_run({kRun, "", ""}, initial).ok());
  const size_t model_flash_bytes = options.keep_models ? flash_bytes_of(options, layout_) : 0;
  for (size_t i = 0; i < options.examples.size(); ++i) {
    std::string name("d");
    name += std::to_string(1000 + i);
    devices_.push_back(std::make_unique<SimulatedDevice>(std::move(name), options.flash_bytes, model_flash_bytes,
                                                         *options.examples[i]));
    SimulatedDevice& device = *devices_.back();
    // Streams of their own: what is drawn here changes nothing else.
    Rng speed(derive_key(options.seed, kSpeedPart, i));
    device.slowness = std::pow(options.speed_spread, 2.0 * speed.uniform() - 1.0);
    if (options.links.empty()) continue;
    const RateTrace& trace = *options.links.at(i);
    Rng start(derive_key(options.seed, kTracePart, i));
    const uint64_t begin =
        options.links_begin_anywhere ? start.below(static_cast<uint64_t>(trace.length().count())) : 0;
    device.link.emplace(trace, Duration(static_cast<int64_t>(begin)));
  }
}

void World::violation(std::string sentence) {
  if (report_.violations.size() < 20) report_.violations.push_back(std::move(sentence));
}

// --- devices ---

void World::boot_device(SimulatedDevice& device) {
  ++device.boot;
  Result<std::unique_ptr<DeviceProcess>> process =
      DeviceProcess::boot(device.name, device.flash, device.model_flash, device.examples, rng_.next_u64(), now_);
  if (!process) {
    violation(device.name + " could not start from its flash: " + process.failure().text());
    return;
  }
  device.process = std::move(process).value();
  device.acknowledged_seen = 0;
  const auto& newest = device.process->outbox->newest();
  const uint64_t sequence = newest.has_value() ? newest->sequence : 0;
  if (sequence < device.newest_acknowledged) violation(device.name + " forgot that its update was acknowledged");
  drain_device(device);
}

void World::crash_device(SimulatedDevice& device) {
  if (device.process == nullptr) return;
  ++report_.device_crashes;
  device.process.reset();
  device.connected = device.connecting = false;
  if (device.link) device.link->drop(now_);
  ++device.connection;
  ++device.training;
  device.flash.cut_power(rng_);
  device.model_flash.cut_power(rng_);
  after(between(options_.faults.down_min, options_.faults.down_max), [this, &device] { boot_device(device); });
}

void World::drain_device(SimulatedDevice& device) {
  if (device.process == nullptr) return;
  const uint64_t boot = device.boot;
  device::DeviceEngine& engine = *device.process->engine;
  while (const auto action = engine.poll_action(now_)) carry_out(device, *action);
  while (engine.poll_notice()) {
  }
  check_acknowledged(device);
  const Instant next = engine.next_timeout();
  if (next == kNever) return;
  at(next, [this, &device, boot, next] {
    if (device.process == nullptr || device.boot != boot || device.process->engine->next_timeout() > now_ ||
        next > now_)
      return;
    device.process->engine->handle_timeout(now_);
    drain_device(device);
  });
}

void World::check_acknowledged(SimulatedDevice& device) {
  const uint64_t acknowledged = device.process->engine->updates_acknowledged();
  if (acknowledged == device.acknowledged_seen) return;
  report_.updates_acknowledged += acknowledged - device.acknowledged_seen;
  device.acknowledged_seen = acknowledged;
  device.newest_acknowledged = device.process->outbox->newest()->sequence;
  if (!*store_.has_update(device.name, device.newest_acknowledged)) {
    violation(device.name + " was told that update " + std::to_string(device.newest_acknowledged) +
              " is durable, and it is not");
  }
}

void World::carry_out(SimulatedDevice& device, const device::Action& action) {
  if (std::holds_alternative<device::Connect>(action)) {
    connect(device);
  } else if (std::holds_alternative<device::Disconnect>(action)) {
    device.connected = device.connecting = false;
    if (device.link) device.link->drop(now_);
    ++device.connection;
  } else if (const auto* frame = std::get_if<device::SendFrame>(&action)) {
    send_up(device, frame->bytes);
  } else if (const auto* request = std::get_if<device::StartTraining>(&action)) {
    train(device, *request);
  } else if (std::holds_alternative<device::StopTraining>(action)) {
    ++device.training;
    device.process->task->stop();
  }
}

void World::connect(SimulatedDevice& device) {
  const uint64_t connection = ++device.connection;
  if (device.link) {
    device.connecting = true;
    shake_hands(device, connection, connection_flights());
    return;
  }
  after(between(options_.faults.latency_min, options_.faults.latency_max) * 2, [this, &device, connection] {
    if (device.process == nullptr || device.connection != connection) return;
    if (device.link_broken || engine_ == nullptr) {
      device.process->engine->handle_link_down(now_, "no connection");
      drain_device(device);
      return;
    }
    set_up(device);
  });
}

// A session outlives its connections, but neither side's restart.
bool World::needs_session(const SimulatedDevice& device) const {
  return device.session_boot != device.boot || device.session_coordinator_boot != coordinator_boot_;
}

void World::set_up(SimulatedDevice& device) {
  device.connected = true;
  device.up_free = device.down_free = now_;
  if (needs_session(device)) {
    device.session = rng_.next_u64();
    device.session_boot = device.boot;
    device.session_coordinator_boot = coordinator_boot_;
    sessions_[device.session] = &device;
    engine_->handle_session_opened(now_, device.session, device.name);
  }
  device.process->engine->handle_session_up(now_);
  drain_device(device);
}

// The rest of the handshakes of a connection over a link with a trace.
void World::shake_hands(SimulatedDevice& device, uint64_t connection, std::span<const Flight> flights) {
  if (device.process == nullptr || device.connection != connection) return;
  if (device.link->dark(now_) || device.link_broken || engine_ == nullptr) {
    after(options_.faults.latency_min, [this, &device, connection] {
      if (device.process != nullptr && device.connection == connection) give_up_connecting(device);
    });
    return;
  }
  const Instant next = device.link->send(flights.front().way, now_, flights.front().bytes);
  at(next, [this, &device, connection, flights] {
    if (flights.size() > 1) return shake_hands(device, connection, flights.subspan(1));
    if (device.process == nullptr || device.connection != connection) return;
    const bool had_session = flights.data() + flights.size() == session_flights().data() + session_flights().size();
    if (engine_ != nullptr && !had_session && needs_session(device)) {
      return shake_hands(device, connection, session_flights());
    }
    if (engine_ == nullptr) return give_up_connecting(device);
    device.connecting = false;
    set_up(device);
  });
}

void World::give_up_connecting(SimulatedDevice& device) {
  device.connecting = false;
  ++device.connection;
  device.link->drop(now_);
  device.process->engine->handle_link_down(now_, "no connection");
  drain_device(device);
}

void World::break_connection(SimulatedDevice& device, const char* why) {
  if (device.connecting && device.process != nullptr) return give_up_connecting(device);
  if (!device.connected) return;
  device.connected = false;
  ++device.connection;
  ++report_.cuts;
  if (device.link) device.link->drop(now_);
  if (device.process == nullptr) return;
  device.process->engine->handle_link_down(now_, why);
  drain_device(device);
}

void World::train(SimulatedDevice& device, const device::StartTraining& request) {
  const uint64_t training = ++device.training;
  wire::Update returned;
  if (!request.carried.returned.empty() && wire::decode_update(request.carried.returned, returned).ok() &&
      *store_.has_update(device.name, returned.sequence)) {
    violation(device.name + " makes up for update " + std::to_string(returned.sequence) + ", which counted");
  }
  if (const auto wrong = held_models_.check(request.plan.model_version, request.model); wrong.has_value())
    violation(device.name + " trains on another model: " + *wrong);
  if (const Failure bad = device.process->task->start(request.plan, request.sequence, request.model, request.carried,
                                                      request.history, request.retry);
      !bad.ok()) {
    violation(device.name + " cannot train: " + bad.text());
    return;
  }
  const double step_s = options_.training_seconds_per_step * device.slowness;
  const Duration takes = step_s > 0.0
                             ? Duration(static_cast<int64_t>(1e6 * step_s * device.process->task->steps_total()))
                             : between(options_.faults.training_min, options_.faults.training_max);
  after(takes, [this, &device, training] {
    if (device.process == nullptr || device.training != training) return;
    device::TrainingTask& task = *device.process->task;
    for (bool done = false; !done;) {
      const Result<bool> step = task.step();
      if (!step) {
        violation(device.name + " failed in training: " + step.failure().text());
        return;
      }
      done = *step;
    }
    Result<device::TrainedUpdate> update = task.finish(device.process->engine->link_limits(now_));
    if (!update) {
      violation(device.name + " failed in compressing: " + update.failure().text());
      return;
    }
    device.process->engine->handle_training_done(now_, task.sequence(), std::move(*update));
    drain_device(device);
  });
}

// --- the coordinator ---

void World::boot_coordinator() {
  ++coordinator_boot_;
  coordinator::CoordinatorOptions options;
  options.round = {kRun, options_.plan, layout_};
  options.model = options_.model;
  options.chunk_bytes = options_.chunk_bytes;
  options.window_bytes = options_.window_bytes;
  options.model_chunk_bytes = options_.model_chunk_bytes;
  Result<coordinator::RoundEngine> rounds = coordinator::RoundEngine::create(
      options.round, std::move(store_.load()).value(), std::move(store_.ledger()).value(), now_);
  if (!rounds) {
    violation(std::string("the coordinator could not go on from its store: ") + rounds.failure().text());
    return;
  }
  if (rounds->model().version < newest_version_) violation("a restart took the model back");
  engine_ = std::make_unique<CoordinatorEngine>(options, std::move(rounds).value());
  drain_coordinator();
}

void World::crash_coordinator() {
  if (engine_ == nullptr) return;
  ++report_.coordinator_crashes;
  // A transaction that was under way is on the disk or it is not; nobody was told either way.
  if (storing_ != nullptr && rng_.below(2) == 0) static_cast<void>(carry_out(*storing_).ok());
  storing_ = nullptr;
  engine_.reset();
  sessions_.clear();
  for (auto& device : devices_) break_connection(*device, "coordinator gone");
  after(between(options_.faults.down_min, options_.faults.down_max), [this] { boot_coordinator(); });
}

Failure World::carry_out(coordinator::StoreRequest& request) {
  if (auto* open = std::get_if<coordinator::OpenRound>(&request)) return store_.open_round(open->round);
  if (auto* extension = std::get_if<coordinator::ExtendRound>(&request)) {
    return store_.extend_round(extension->round, extension->selected);
  }
  if (auto* accepted = std::get_if<coordinator::AcceptUpdates>(&request))
    return store_.accept_updates(accepted->updates);
  const coordinator::RoundResult& result = std::get<coordinator::CloseRound>(request).result;
  RUNNEL_TRY(store_.close_round(result));
  held_models_.note(result.model);
  return Error::kOk;
}

void World::begin_store() {
  if (storing_ != nullptr) return;
  storing_ = engine_->poll_store(now_);
  if (storing_ == nullptr) return;
  const uint64_t boot = coordinator_boot_;
  after(between(milliseconds(1), milliseconds(20)), [this, boot] {
    if (engine_ == nullptr || coordinator_boot_ != boot) return;
    const Failure outcome = carry_out(*storing_);
    storing_ = nullptr;
    engine_->handle_stored(now_, outcome);
    drain_coordinator();
  });
}

void World::drain_coordinator() {
  if (engine_ == nullptr) return;
  begin_store();
  while (const auto frame = engine_->poll_frame(now_)) {
    const auto found = sessions_.find(frame->session);
    if (found == sessions_.end() || !found->second->connected || found->second->session != frame->session) {
      engine_->handle_unreachable(now_, frame->session);
      continue;
    }
    send_down(*found->second, frame->bytes);
  }
  while (const auto session = engine_->poll_close()) {
    const auto found = sessions_.find(*session);
    if (found == sessions_.end()) continue;
    if (found->second->session == *session) break_connection(*found->second, "closed by the coordinator");
    sessions_.erase(*session);
  }
  while (engine_->poll_event()) {
  }
  const uint64_t version = engine_->rounds().model().version;
  if (version < newest_version_) violation("the model version went back from " + std::to_string(newest_version_));
  newest_version_ = std::max(newest_version_, version);
  note_rounds();
  const Instant next = engine_->next_timeout();
  if (next == kNever) return;
  const uint64_t boot = coordinator_boot_;
  at(next, [this, boot, next] {
    if (engine_ == nullptr || coordinator_boot_ != boot || engine_->next_timeout() > now_ || next > now_) return;
    engine_->handle_timeout(now_);
    drain_coordinator();
  });
}

// --- links ---

// Ends connections where the link's outages begin, for as long as they last.
void World::follow_outages(SimulatedDevice& device) {
  if (device.link->dark(now_)) break_connection(device, "no signal");
  const Instant next = device.link->next_change(now_);
  if (next != kNever) at(next, [this, &device] { follow_outages(device); });
}

Instant World::arrival(SimulatedDevice& device, Way way, size_t bytes) {
  const uint64_t on_wire = wire_bytes(bytes, options_.overhead);
  if (device.link) return device.link->send(way, now_, on_wire);
  device.constant_bytes[static_cast<size_t>(way)] += on_wire;
  Instant& link_free = way == Way::kUp ? device.up_free : device.down_free;
  const auto airtime =
      Duration(static_cast<int64_t>(1e6 * static_cast<double>(bytes) / options_.faults.bytes_per_second));
  link_free = std::max(link_free, now_) + airtime;
  // The order of frames on one connection is kept, so the latency may not shrink below what the one before has.
  link_free = std::max(link_free, now_ + airtime);
  return link_free + options_.faults.latency_min;
}

void World::send_up(SimulatedDevice& device, ByteView bytes) {
  report_.uplink_bytes += bytes.size();
  if (!device.connected) return;
  auto frame = std::make_shared<std::vector<uint8_t>>(bytes.begin(), bytes.end());
  at(arrival(device, Way::kUp, bytes.size()),
     [this, &device, frame, connection = device.connection, session = device.session] {
       if (engine_ == nullptr || !device.connected || device.connection != connection) return;
       engine_->handle_frame(now_, session, *frame);
       drain_coordinator();
     });
}

void World::send_down(SimulatedDevice& device, ByteView bytes) {
  report_.downlink_bytes += bytes.size();
  auto frame = std::make_shared<std::vector<uint8_t>>(bytes.begin(), bytes.end());
  count_model_message(*frame, report_);
  at(arrival(device, Way::kDown, bytes.size()), [this, &device, frame, connection = device.connection] {
    if (device.process == nullptr || !device.connected || device.connection != connection) return;
    device.process->engine->handle_frame(now_, *frame);
    drain_device(device);
  });
}

// --- rounds ---

// Puts down what closed since the last call; a coordinator that crashed while it closed a round says so when it is
// back.
void World::note_rounds() {
  if (engine_ == nullptr || engine_->rounds().rounds_closed() == report_.history.size()) return;
  const auto closed = store_.history();
  const auto ledger = store_.ledger();
  RUNNEL_ASSERT(closed->size() == report_.history.size() + 1);
  report_.history.push_back(
      describe_round(closed->back().result, *ledger, store_.newest_selected(), devices_, now_ - Instant{}));
  if (options_.on_round) options_.on_round(report_.history.back(), engine_->rounds().model().parameters);
}

// --- faults ---

void World::plan_fault(double per_minute, const std::function<void()>& fault) {
  if (per_minute <= 0.0) return;
  // Exponential pauses: the faults of a Poisson process.
  const double pause_s = -std::log(1.0 - rng_.uniform()) * 60.0 / per_minute;
  after(Duration(static_cast<int64_t>(pause_s * 1e6)), [this, per_minute, fault] {
    if (healed_) return;
    fault();
    plan_fault(per_minute, fault);
  });
}

void World::plan_faults() {
  const FaultModel& faults = options_.faults;
  for (auto& pointer : devices_) {
    SimulatedDevice& device = *pointer;
    plan_fault(faults.cuts_per_minute, [this, &device] {
      device.link_broken = true;
      break_connection(device, "link cut");
      after(between(options_.faults.down_min, options_.faults.down_max), [&device] { device.link_broken = false; });
    });
    plan_fault(faults.device_crashes_per_minute, [this, &device] { crash_device(device); });
    plan_fault(faults.disk_full_per_minute, [this, &device] {
      ++report_.disks_filled;
      device.set_full(true);
      after(between(options_.faults.down_min, options_.faults.down_max), [&device] { device.set_full(false); });
    });
    plan_fault(faults.hostile_frames_per_minute, [this, &device] {
      if (engine_ == nullptr || !device.connected) return;
      ++report_.hostile_frames;
      wire::FrameBuilder builder;
      const ByteView good = builder.build(wire::UpdateOffer{kRun, 1 + rng_.below(9), 1, 1 + rng_.below(4096), 7});
      std::vector<uint8_t> bytes(good.begin(), good.end());
      for (uint64_t flips = rng_.below(6); flips > 0; --flips)
        bytes[rng_.below(bytes.size())] ^= static_cast<uint8_t>(1U << rng_.below(8));
      bytes.resize(bytes.size() - rng_.below(3) * rng_.below(bytes.size() / 2));
      send_up(device, bytes);
    });
  }
  plan_fault(faults.coordinator_crashes_per_minute, [this] { crash_coordinator(); });
  plan_fault(faults.disk_full_per_minute, [this] {
    ++report_.disks_filled;
    store_.set_full(true);
    after(between(options_.faults.down_min, options_.faults.down_max), [this] { store_.set_full(false); });
  });
}

void World::heal() {
  healed_ = true;
  store_.set_full(false);
  for (auto& device : devices_) {
    device->link_broken = false;
    device->set_full(false);
  }
}

SimulationReport World::run() {
  boot_coordinator();
  for (auto& device : devices_) boot_device(*device);
  for (auto& device : devices_) {
    if (device->link) follow_outages(*device);
  }
  plan_faults();
  after(options_.faults_for, [this] { heal(); });
  const Instant end = now_ + options_.give_up_after;
  while (!happenings_.empty()) {
    const Happening next = happenings_.top();
    if (next.at > end) break;
    happenings_.pop();
    now_ = next.at;
    next.what();
    if (engine_ != nullptr && engine_->finished()) {
      report_.finished = true;
      break;
    }
  }
  const Result<coordinator::Snapshot> snapshot = store_.load();
  report_.elapsed = now_ - Instant{};
  report_.rounds = snapshot->rounds_closed;
  report_.model = snapshot->model.parameters;
  const auto ledger = store_.ledger();
  report_.updates_counted = ledger->size();
  if (!report_.finished) violation("the run did not come to its end after everything was healed");
  ReplayInputs inputs{kRun, options_.plan, options_.model, layout_, options_.examples, {}};
  for (const auto& device : devices_) inputs.names.push_back(device->name);
  // With error feedback an update also holds what refused ones lost, of which the ledger knows nothing.
  // An update that also depends on earlier ones or on the link cannot be made again from the ledger alone.
  if (options_.plan.codec.error_feedback || options_.plan.rate.deadline || !options_.check_model)
    return std::move(report_);
  const Result<std::vector<float>> replayed = replay(inputs, *ledger, report_.rounds);
  if (!replayed) {
    violation(std::string("the accepted updates cannot be made again: ") + replayed.failure().text());
  } else if (*replayed != report_.model) {
    violation("the model is not the one that the accepted updates give without faults");
  }
  return std::move(report_);
}

}  // namespace

SimulationReport simulate(const SimulationOptions& options) {
  return World(options).run();
}

}  // namespace runnel::fleet
