#include "fleet/simulate/simulate_run.h"

#include <sys/resource.h>

#include <chrono>
#include <deque>

#include "coordinator/config/model_file.h"
#include "coordinator/engine/coordinator_engine.h"
#include "fleet/fleet_error.h"
#include "fleet/link_profiles.h"
#include "fleet/trace_file.h"
#include "runtime/base/rng.h"
#include "runtime/host/file_bytes.h"
#include "runtime/journal/journal.h"

namespace runnel::fleet {
namespace {

constexpr uint64_t kLinkPart = 0x6C696E6BULL;

[[noreturn]] void throw_failure(const std::string& what, const Failure& failure) {
  throw FleetError(what + ": " + failure.text());
}

plan::ModelSpec model_of(const std::string& name) {
  std::string toml;
  if (const coordinator::BuiltinModel* builtin = coordinator::find_builtin_model(name)) {
    toml = builtin->toml;
  } else {
    Result<std::vector<uint8_t>> bytes = host::read_file(name, 1 << 20);
    if (!bytes) throw_failure("--model " + name, bytes.failure());
    toml.assign(bytes->begin(), bytes->end());
  }
  Result<plan::ModelSpec> spec = coordinator::parse_model_file(toml);
  if (!spec) throw_failure("--model " + name, spec.failure());
  return *spec;
}

std::deque<RateTrace> links_of(const SimulateOptions& options) {
  std::deque<RateTrace> traces;
  if (!options.trace_file.empty()) {
    for (RateTrace& trace : read_trace_file(options.trace_file)) traces.push_back(std::move(trace));
    return traces;
  }
  for (uint32_t i = 0; i < std::min(options.links, options.devices); ++i)
    traces.push_back(make_profile(options.profile, derive_key(options.plan.seed, kLinkPart, i)));
  return traces;
}

uint64_t rss_bytes_max() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

SimulateResult run_simulation(const SimulateOptions& options,
                              const std::function<void(const SimulateProgress&)>& progress) {
  SimulateResult result;
  result.options = options;
  SimulationOptions simulation;
  simulation.seed = options.plan.seed;
  simulation.plan = options.plan;
  simulation.model = model_of(options.model);
  const Result<plan::ModelLayout> layout = plan::make_layout(simulation.model);
  if (!layout) throw_failure("--model " + options.model, layout.failure());
  result.parameters = layout->parameter_count;
  const Result<data::DataSpec> data =
      data::parse_data_spec(options.data, options.partition, options.split, options.scale);
  if (!data) throw_failure("the data", data.failure());
  Result<std::unique_ptr<SimulatedTask>> created =
      SimulatedTask::create(*data, simulation.model, options.devices, options.plan.seed);
  if (!created) throw_failure("the data", created.failure());
  SimulatedTask& task = **created;
  const std::deque<RateTrace> traces = links_of(options);
  for (uint32_t i = 0; i < options.devices; ++i) simulation.links.push_back(&traces[i % traces.size()]);
  simulation.devices = options.devices;
  simulation.examples_of = [&](uint32_t device) { return task.examples_of(device); };
  const coordinator::CoordinatorOptions product;
  simulation.chunk_bytes = product.chunk_bytes;
  simulation.window_bytes = product.window_bytes;
  simulation.model_chunk_bytes = product.model_chunk_bytes;
  // Updates, residuals and folds, all of them exact, with room to spare.
  simulation.flash_bytes = journal::storage_bytes_for(uint64_t{6} * 4 * layout->parameter_count + (1U << 16), 40);
  simulation.training_seconds_per_step = options.step_seconds;
  simulation.speed_spread = options.speed_spread;
  simulation.online_share = options.online_share;
  simulation.online_mean = Duration(static_cast<int64_t>(options.online_minutes * 60e6));
  // One after another: devices that connect are not put away, and all of them at once would take a lot of memory.
  simulation.start_within = std::max<Duration>(seconds(10), milliseconds(2) * options.devices);
  simulation.give_up_after = seconds(3650LL * 24 * 3600);
  simulation.faults_for = Duration(static_cast<int64_t>(options.fault_minutes * 60e6));
  if (options.faults) simulation.faults = every_fault();
  simulation.bytes_by_device = false;
  simulation.check_model = options.check_model;
  simulation.put_idle_away = !options.keep_processes;
  simulation.training_threads = options.threads;

  const auto began = std::chrono::steady_clock::now();
  const auto elapsed_s = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  };
  simulation.on_round = [&](const SimulatedRound& round, std::span<const float> model) {
    std::optional<SimulatedTask::Quality> quality;
    const bool last = round.round == options.plan.rounds;
    if (options.evaluate_every != 0 && (last || round.round % options.evaluate_every == 0))
      quality = task.quality(model);
    result.quality.push_back(quality);
    progress(
        {round.round, options.plan.rounds, static_cast<double>(round.closed_at.count()) / 1e6, elapsed_s(), quality});
  };
  result.report = simulate(simulation);
  result.wall_seconds = elapsed_s();
  result.rss_bytes_max = rss_bytes_max();
  return result;
}

}  // namespace runnel::fleet
