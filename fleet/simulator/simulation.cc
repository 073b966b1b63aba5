#include "fleet/simulator/simulation.h"

#include <cmath>
#include <cstdio>

#include "fleet/simulator/world.h"

namespace runnel::fleet {
namespace {

constexpr uint64_t kSpeedPart = 1;
constexpr uint64_t kTracePart = 2;
constexpr uint64_t kOnlinePart = 3;

}  // namespace

std::string simulated_device_name(size_t index) {
  std::string name("d");
  return name += std::to_string(1000 + index);
}

World::World(const SimulationOptions& options) : options_(options), rng_(options.seed), witness_(options.check_model) {
  Result<plan::ModelLayout> layout = plan::make_layout(options.model);
  RUNNEL_ASSERT(layout.ok());
  layout_ = *layout;
  const coordinator::ModelRecord initial = first_model(options, layout_);
  held_models_.note(initial);
  RUNNEL_ASSERT(store_.create_run({kSimulatedRun, "", ""}, initial).ok());
  model_flash_bytes_ = options.keep_models ? flash_bytes_of(options, layout_) : 0;
  if (options.put_idle_away) {
    formatted_flash_.emplace(options.flash_bytes);
    RUNNEL_ASSERT(journal::Journal::open(*formatted_flash_, {}).ok());
  }
  if (options.training_threads > 1) training_pool_ = std::make_unique<TrainingPool>(options.training_threads - 1);
  const uint32_t devices = options.examples.empty() ? options.devices : static_cast<uint32_t>(options.examples.size());
  for (uint32_t i = 0; i < devices; ++i) {
    devices_.push_back(std::make_unique<SimulatedDevice>(i, simulated_device_name(i)));
    SimulatedDevice& device = *devices_.back();
    // Streams of their own: what is drawn here changes nothing else.
    Rng speed(derive_key(options.seed, kSpeedPart, i));
    device.slowness = static_cast<float>(std::pow(options.speed_spread, 2.0 * speed.uniform() - 1.0));
    device.availability = Rng(derive_key(options.seed, kOnlinePart, i));
    if (options.links.empty()) continue;
    const RateTrace& trace = *options.links.at(i);
    Rng start(derive_key(options.seed, kTracePart, i));
    const uint64_t begin =
        options.links_begin_anywhere ? start.below(static_cast<uint64_t>(trace.length().count())) : 0;
    device.link.emplace(trace, Duration(static_cast<int64_t>(begin)));
  }
}

void World::say(const std::string& who, const std::string& what) {
  if (!options_.on_line) return;
  char time[32];
  std::snprintf(time, sizeof time, "%12.6f ", static_cast<double>(now_.time_since_epoch().count()) / 1e6);
  options_.on_line(time + who + ": " + what);
}

SimulationReport World::run() {
  boot_coordinator();
  for (auto& pointer : devices_) {
    SimulatedDevice& device = *pointer;
    if (options_.online_share < 1.0) follow_availability(device, device.availability.uniform() < options_.online_share);
    if (options_.start_within == Duration::zero()) {
      boot_device(device);
    } else {
      after(between(Duration::zero(), options_.start_within), [this, &device] { boot_device(device); });
    }
  }
  for (auto& device : devices_) {
    if (device->link) follow_outages(*device);
  }
  plan_faults();
  after(options_.faults_for, [this] { heal(); });
  const Instant end = now_ + options_.give_up_after;
  while (!happenings_.empty() && happenings_.next_at() <= end) {
    now_ = happenings_.next_at();
    happenings_.take()();
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
  if (!report_.finished) {
    witness_.broken(Promise::kComesToItsEnd, std::to_string(report_.rounds) + " of " +
                                                 std::to_string(options_.plan.rounds) + " rounds are done");
  }
  witness_.check_at_end(options_, layout_, *ledger, report_.model);
  for (const BrokenPromise& each : witness_.broken_promises()) {
    report_.violations.push_back(std::string(promise_name(each.promise)) + " (" + promise_sentence(each.promise) +
                                 "): " + each.what);
  }
  return std::move(report_);
}

SimulationReport simulate(const SimulationOptions& options) {
  return World(options).run();
}

}  // namespace runnel::fleet
