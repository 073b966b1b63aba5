#include "fleet/simulate/simulate_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "coordinator/commands/plan_overrides.h"
#include "fleet/fleet_error.h"
#include "fleet/link_profiles.h"
#include "fleet/machine_line.h"
#include "fleet/simulate/seed_sweep.h"
#include "fleet/simulate/simulate_report.h"
#include "fleet/simulator/random_fleet.h"
#include "fleet/text_format.h"
#include "runtime/host/file_bytes.h"

namespace runnel::fleet {
namespace {

constexpr uint64_t kTwiceEvery = 20;
constexpr size_t kBrokenShown = 20;

struct Texts {
  coordinator::PlanOverrides plan;
  std::string plan_path;
  std::string seeds;
};

void add_options(CLI::App& app, SimulateOptions& options, Texts& texts) {
  CLI::Option_group& fleet = *app.add_option_group("Fleet");
  fleet.add_option("--devices", options.devices, "devices")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  CLI::Option* profile = fleet.add_option("--profile", options.profile, "links, made from the seed")
                             ->check(CLI::IsMember(profile_names()))
                             ->capture_default_str();
  fleet.add_option("--trace", options.trace_file, "measured links: CSV, plain or gzipped")
      ->check(CLI::ExistingFile)
      ->excludes(profile);
  fleet.add_option("--links", options.links, "different links of a profile; devices share them at different places")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  fleet.add_option("--online", options.online_share, "share of its time that a device is online")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str();
  fleet.add_option("--online-minutes", options.online_minutes, "how long it then stays online, on average")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  fleet.add_option("--step-seconds", options.step_seconds, "time of an SGD step on an average device")
      ->check(CLI::Range(1e-6, 1e4))
      ->capture_default_str();
  fleet.add_option("--speed-spread", options.speed_spread, "devices are up to so many times faster or slower")
      ->check(CLI::Range(1.0, 100.0))
      ->capture_default_str();
  fleet.add_flag("--faults", options.faults,
                 "crashes, partitions, lost frames, full disks and all other faults at once");
  fleet.add_option("--fault-minutes", options.fault_minutes, "virtual time after which everything is healed")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  CLI::Option_group& task = *app.add_option_group("Task");
  task.add_option("--model", options.model, "a built-in model's name, or a file")->capture_default_str();
  task.add_option("--data", options.data, "the data set, as the real programs take it")->capture_default_str();
  task.add_option("--partition", options.partition, "how the examples are split over the devices");
  task.add_option("--split", options.split, "which examples are for training and which for testing");
  task.add_option("--scale", options.scale, "factor on the input values");
  task.add_option("--plan", texts.plan_path, "plan.toml; options below change it")->check(CLI::ExistingFile);
  CLI::Option_group& seeds = *app.add_option_group("Promises");
  seeds.add_option("--seeds", texts.seeds, "A..B: with --small, these seeds");
  seeds.add_flag("--small", options.small,
                 "small fleets with random plans and faults, to check the simulator's promises");
  seeds.add_flag("--transcript", options.transcript, "say line by line what happens with the first of the seeds");
  seeds.add_flag("--check-model", options.check_model, "make the model again at the end from all accepted updates");
  CLI::Option_group& run = *app.add_option_group("Run");
  run.add_option("--threads", options.threads, "threads that train; the result is the same")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  run.add_option("--evaluate-every", options.evaluate_every, "rounds between evaluations; 0 = none")
      ->capture_default_str();
  run.add_flag("--keep-processes", options.keep_processes, "devices with nothing to do stay in memory as they are");
  run.add_option("--json", options.json_path, "write the result as JSON");
  run.add_option("--report", options.report_path, "write a report as one HTML file");
}

// Throws FleetError.
void complete(SimulateOptions& options, const Texts& texts) {
  const auto need = [](const std::string& what, const Failure& outcome) {
    if (!outcome.ok()) throw FleetError(what + outcome.text());
  };
  if (!texts.seeds.empty()) {
    const size_t dots = texts.seeds.find("..");
    char* end = nullptr;
    options.first_seed = std::strtoull(texts.seeds.c_str(), &end, 10);
    options.last_seed =
        dots == std::string::npos ? options.first_seed : std::strtoull(texts.seeds.c_str() + dots + 2, &end, 10);
    if (*end != '\0' || options.first_seed == 0 || options.last_seed < options.first_seed)
      throw FleetError("--seeds takes a number from 1, or two as 1..10000, not '" + texts.seeds + "'");
    if (!options.small && !options.transcript)
      throw FleetError("--seeds goes with --small; one large simulation takes --seed");
  }
  const Result<coordinator::FleetPlan> begin = coordinator::new_fleet_plan(options.model);
  need("", begin.failure());
  coordinator::FleetPlan plan = *begin;
  plan.rounds = 100;
  plan.cohort = std::min(100U, options.devices);
  if (!texts.plan_path.empty()) {
    const Result<std::vector<uint8_t>> bytes = host::read_file(texts.plan_path, 1 << 20);
    need(texts.plan_path + ": ", bytes.failure());
    const Result<coordinator::FleetPlan> parsed = coordinator::parse_fleet_plan({bytes->begin(), bytes->end()});
    need(texts.plan_path + ": ", parsed.failure());
    plan = *parsed;
  }
  need("", coordinator::apply_overrides(texts.plan, plan));
  need("", coordinator::check(plan));
  options.plan = plan;
}

int sweep(const SimulateOptions& options) {
  const bool live = ::isatty(STDERR_FILENO) != 0;
  const uint64_t all = options.last_seed - options.first_seed + 1;
  std::cout << "Seeds " << options.first_seed << " to " << options.last_seed << std::endl;
  const SeedSweep result = sweep_seeds(options.first_seed, options.last_seed, kTwiceEvery, options.threads,
                                       [&](uint64_t done, uint64_t broken) {
                                         const uint64_t step = live ? 10 : std::max<uint64_t>(1, all / 10);
                                         if (done % step != 0 && done != all) return;
                                         std::cerr << (live ? "\r" : "") << done << " of " << all << " seeds, "
                                                   << broken << " broke a promise" << (live ? "" : "\n") << std::flush;
                                       });
  if (live) std::cerr << '\n';
  std::cout << result.seeds << " small fleets, " << result.twice
            << " of them twice: " << format_count(result.sums.rounds) << " rounds, "
            << format_count(result.sums.updates_counted) << " updates counted, "
            << format_duration(static_cast<double>(result.sums.elapsed.count()) / 1e6) << " of virtual time\n";
  for (const auto& [what, count] : fault_counts(result.sums))
    std::cout << "  " << format_count(count) << ' ' << what << '\n';
  std::cout << result.broken.size() << (result.broken.size() == 1 ? " seed" : " seeds") << " broke a promise\n";
  for (size_t i = 0; i < std::min(kBrokenShown, result.broken.size()); ++i)
    std::cout << "seed " << result.broken[i].seed << ": " << result.broken[i].what << '\n';
  return result.broken.empty() ? 0 : 3;
}

// What happens with one seed, line by line.
int transcript(uint64_t seed) {
  RandomFleet fleet(seed);
  std::cout << "Seed " << seed << ": " << describe(fleet.options) << '\n';
  fleet.options.on_line = [](const std::string& line) { std::cout << line << '\n'; };
  const SimulationReport report = simulate(fleet.options);
  for (const std::string& violation : report.violations) std::cout << violation << '\n';
  return report.violations.empty() ? 0 : 3;
}

int one(const SimulateOptions& options, const RunContext& context) {
  const bool live = ::isatty(STDERR_FILENO) != 0;
  std::cout << "Simulating " << options.devices << " devices, seed " << options.plan.seed << std::endl;
  const SimulateResult result = run_simulation(options, [&](const SimulateProgress& progress) {
    if (!live && progress.round % std::max(1U, progress.rounds / 10) != 0) return;
    std::cerr << (live ? "\r" : "") << "round " << progress.round << " of " << progress.rounds << ", "
              << format_duration(progress.virtual_seconds) << " simulated in " << format_duration(progress.wall_seconds)
              << ", " << quality_text(progress.quality) << (live ? "   " : "\n") << std::flush;
  });
  if (live) std::cerr << '\n';
  std::cout << simulate_text(result);
  if (!options.json_path.empty()) {
    write_text_file(options.json_path, simulate_json(result, context));
    std::cout << "Results: " << options.json_path << '\n';
  }
  if (!options.report_path.empty()) {
    write_text_file(options.report_path, simulate_html(result, context, now_text()));
    std::cout << "Report: " << options.report_path << '\n';
  }
  if (!result.report.violations.empty()) return 3;
  return result.report.finished ? 0 : 1;
}

}  // namespace

int simulate_command(int argc, const char* const* argv) {
  CLI::App app(
      "Simulates a fleet in virtual time with the real engines, codec and trainer: what will this plan do on my fleet?",
      "runnel-fleet simulate");
  SimulateOptions options;
  Texts texts;
  add_options(app, options, texts);
  coordinator::add_plan_options(app, texts.plan);
  try {
    app.parse(argc - 1, argv + 1);
    complete(options, texts);
    if (options.transcript) return transcript(options.first_seed);
    if (options.small) return sweep(options);
    return one(options, {shell_command({argv, argv + argc}), machine_line()});
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  } catch (const std::exception& error) {
    std::cerr << "runnel-fleet: " << error.what() << '\n';
    return 1;
  }
}

}  // namespace runnel::fleet
