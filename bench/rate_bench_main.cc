// rate_bench: how many bytes and how long a fleet on real links needs to reach the accuracy of uncompressed training,
// for fixed widths, other papers' rules and ours. bench/README.md says how to run it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bench/rate_report.h"
#include "bench/rate_settings.h"
#include "bench/rate_task.h"
#include "fleet/machine_line.h"

namespace runnel::bench {
namespace {

struct Options {
  TaskOptions task;
  std::vector<uint64_t> seeds = {1, 2, 3};
  std::vector<std::string> only;
  uint32_t rounds = 40;
  uint32_t local_steps = 10;
  uint32_t batch = 32;
  double learning_rate = 0.05;
  double momentum = 0.9;
  double deadline_s = 120.0;
  double step_ms = 20.0;
  unsigned threads = 2;
  std::string data;
  std::string json;
  std::string html;
};

// One run to be made.
struct Job {
  const RateSetting* setting;
  uint64_t seed;
  std::shared_ptr<const RateTask> task;
};

std::vector<const RateSetting*> wanted(const std::vector<std::string>& names) {
  std::vector<const RateSetting*> settings;
  for (const std::string& name : names) {
    bool known = false;
    for (const RateSetting& setting : rate_settings()) known = known || setting.name == name;
    if (!known) throw std::runtime_error("no setting is called '" + name + "'");
  }
  for (const RateSetting& setting : rate_settings()) {
    // fp32 sets the target.
    const bool named = names.empty() || std::find(names.begin(), names.end(), setting.name) != names.end();
    if (named || setting.kind == SettingKind::kExact) settings.push_back(&setting);
  }
  return settings;
}

coordinator::FleetPlan base_plan(const Options& options) {
  coordinator::FleetPlan plan;
  plan.rounds = options.rounds;
  plan.deadline_seconds = options.deadline_s;
  plan.training.learning_rate = static_cast<float>(options.learning_rate);
  plan.training.momentum = static_cast<float>(options.momentum);
  plan.training.batch_size = options.batch;
  plan.training.local_steps = options.local_steps;
  return plan;
}

void say(const RateRun& run, size_t done, size_t all) {
  const RatePoint last = run.points.empty() ? RatePoint{} : run.points.back();
  uint32_t missed = 0;
  for (const RatePoint& point : run.points) missed += point.missed;
  std::fprintf(stderr,
               "%3zu/%zu  %-16s seed %llu  %zu rounds  %6.2f %%  up %9.0f B  down %9.0f B  %7.0f s  %4u missed  "
               "(%.1f s of CPU)%s%s\n",
               done, all, run.setting.c_str(), static_cast<unsigned long long>(run.seed), run.points.size(),
               100.0 * last.accuracy, last.uplink_bytes, last.downlink_bytes, last.seconds, missed, run.cpu_seconds,
               run.failure.empty() ? "" : "  FAILED: ", run.failure.c_str());
}

// The runs do not depend on each other; the order of the results is that of the jobs.
std::vector<RateRun> run_all(const std::vector<Job>& jobs, const RunOptions& options, unsigned threads) {
  std::vector<RateRun> runs(jobs.size());
  std::atomic<size_t> next{0};
  std::mutex mutex;
  size_t done = 0;
  std::exception_ptr trouble;
  const auto work = [&] {
    for (size_t i = next++; i < jobs.size(); i = next++) {
      try {
        runs[i] = run_setting(*jobs[i].setting, *jobs[i].task, jobs[i].seed, options);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        trouble = std::current_exception();
        next = jobs.size();
        return;
      }
      const std::scoped_lock lock(mutex);
      say(runs[i], ++done, jobs.size());
    }
  };
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < threads; ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  if (trouble) std::rethrow_exception(trouble);
  return runs;
}

std::string describe(const Options& options, const RateTask& task) {
  std::string text(task.model.name.view());
  text += ", " + std::to_string(task.layout.parameter_count) + " parameters; " + std::to_string(task.parts.size()) +
          " devices, half on NB-IoT and LTE-M, half on mobile 3G";
  text += options.data.empty() ? " (made up)" : " (measured)";
  char line[160];
  std::snprintf(line, sizeof line,
                "; %u rounds of %u steps of %u, learning rate %g, momentum %g, deadline %g s, %zu seeds",
                options.rounds, options.local_steps, options.batch, options.learning_rate, options.momentum,
                options.deadline_s, options.seeds.size());
  return text + line;
}

void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error(path + ": cannot be written");
}

int bench(Options options, const std::string& command) {
  const std::vector<const RateSetting*> settings = wanted(options.only);
  options.task.data = options.data;
  if (options.data.empty() && options.task.name != "generated") {
    throw std::runtime_error("the task " + options.task.name + " needs --data-dir");
  }
  std::vector<Job> jobs;
  for (const uint64_t seed : options.seeds) {
    options.task.seed = seed;
    const std::shared_ptr<const RateTask> task = make_task(options.task);
    for (const RateSetting* setting : settings) jobs.push_back({setting, seed, task});
  }
  RunOptions run_options;
  run_options.base = base_plan(options);
  run_options.training_seconds_per_step = options.step_ms / 1000.0;
  RateReport report;
  report.machine = fleet::machine_line();
  report.command = command;
  report.task = options.task.name;
  report.description = describe(options, *jobs.front().task);
  report.runs = run_all(jobs, run_options, options.threads);
  write_file(options.json, rate_json(report));
  write_file(options.html, rate_html(report));
  std::printf("%s\n%s\n\n%s", report.machine.c_str(), report.command.c_str(), rate_markdown(report).c_str());
  return 0;
}

}  // namespace
}  // namespace runnel::bench

int main(int argc, char** argv) {
  CLI::App app("Bytes and time to the accuracy of uncompressed training, on simulated links with real traces.");
  runnel::bench::Options options;
  app.add_option("--task", options.task.name, "fashion, har or generated")->capture_default_str();
  app.add_option("--data-dir", options.data, "folder with fashion-mnist/, har/ and traces/")
      ->check(CLI::ExistingDirectory);
  app.add_option("--only", options.only, "settings, separated by commas; fp32 always runs")->delimiter(',');
  app.add_option("--seeds", options.seeds, "separated by commas")->delimiter(',')->capture_default_str();
  app.add_option("--rounds", options.rounds, "")->capture_default_str()->check(CLI::Range(1U, 10000U));
  app.add_option("--local-steps", options.local_steps, "SGD steps a round")
      ->capture_default_str()
      ->check(CLI::Range(1U, 100000U));
  app.add_option("--batch", options.batch, "examples a step")->capture_default_str()->check(CLI::Range(1U, 4096U));
  app.add_option("--learning-rate", options.learning_rate, "")->capture_default_str();
  app.add_option("--momentum", options.momentum, "")->capture_default_str();
  app.add_option("--deadline", options.deadline_s, "of a round, in seconds")->capture_default_str();
  app.add_option("--step-ms", options.step_ms, "what an SGD step takes on an average device")->capture_default_str();
  app.add_option("--train-share", options.task.train_share, "share of each device's images that is used (fashion)")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1.0));
  app.add_option("--test-examples", options.task.test_examples, "examples that each round's model is tested on")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "runs at a time")->capture_default_str()->check(CLI::Range(1U, 256U));
  app.add_option("--json", options.json, "write every round of every run to this file");
  app.add_option("--html", options.html, "write a report with curves, one file that needs nothing else");
  bool list = false;
  app.add_flag("--list", list, "print the settings' names and stop");
  CLI11_PARSE(app, argc, argv);
  std::string command = "rate_bench";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  try {
    if (list) {
      for (const auto& setting : runnel::bench::rate_settings()) {
        std::printf("%-16s %s\n", setting.name.c_str(), runnel::bench::setting_kind_name(setting.kind));
      }
      return 0;
    }
    return runnel::bench::bench(std::move(options), command);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rate_bench: %s\n", error.what());
    return 1;
  }
}
