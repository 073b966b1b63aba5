// codec_bench: every codec over made-up and real vectors: bits, error, bias, speed. bench/README.md says how to run it.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/bench_report.h"
#include "bench/bits_chart.h"
#include "bench/codec_trial.h"
#include "bench/made_up_data.h"
#include "bench/raw_file.h"
#include "bench/real_updates.h"
#include "bench/rival_trial.h"
#include "bench/stopwatch.h"
#include "bench/summary.h"
#include "fleet/machine_line.h"
#include "runtime/base/instruction_set.h"

namespace runnel::bench {
namespace {

struct Options {
  std::string json;
  std::string html;
  std::string svg;
  std::string markdown;
  std::vector<std::string> inputs;
  std::string real;
  bool quick = false;
  std::vector<size_t> counts;
  std::vector<std::string> schemes;
  std::vector<std::string> data;
  std::vector<std::string> kernels = {"auto"};
  double seconds = 0.2;
  int seeds = 8;
};

constexpr size_t kSweepCountMax = 1U << 20;  // beyond it, one point a scheme and two seeds

// True if `name` holds one of the parts, or there are none.
bool wanted(const std::vector<std::string>& parts, const std::string& name) {
  return parts.empty() || std::any_of(parts.begin(), parts.end(),
                                      [&](const auto& part) { return name.find(part) != std::string::npos; });
}

// Vectors are made when their turn comes, so that only one is in memory.
struct Source {
  std::string name;
  std::function<NamedValues()> make;
};

std::vector<Source> sources_of(const Options& options) {
  std::vector<Source> sources;
  const auto add = [&](const std::string& name, std::function<NamedValues()> make) {
    if (wanted(options.data, name)) sources.push_back({name, std::move(make)});
  };
  for (const size_t count : options.counts) {
    for (const std::string& name : made_up_names()) {
      add(name, [name, count] { return make_up(name, count); });
    }
  }
  if (!options.real.empty()) {
    std::printf("Training a small federation for real updates ...\n");
    for (const NamedValues& values : real_updates(options.real)) {
      add(values.name, [values] { return values; });
    }
  }
  for (const std::string& path : options.inputs) {
    const NamedValues values = read_raw_file(path);
    add(values.name, [values] { return values; });
  }
  return sources;
}

void print_row(BenchRun& run, TrialRow row) {
  std::printf("%s\n", table_line(row).c_str());
  std::fflush(stdout);
  run.rows.push_back(std::move(row));
}

// What is not there is said once, not for each vector.
void print_skipped(BenchRun& run, const std::string& line) {
  if (std::find(run.skipped.begin(), run.skipped.end(), line) != run.skipped.end()) return;
  std::printf("skipped: %s\n", line.c_str());
  run.skipped.push_back(line);
}

void run_vector(const Options& options, const NamedValues& data, BenchRun& run) {
  const bool large = data.values.size() > kSweepCountMax;
  TrialOptions trial;
  trial.seconds_min = options.seconds;
  trial.seeds = large ? 2 : options.seeds;
  for (const std::string& kernel : options.kernels) {
    if (!limit_instruction_set(kernel)) {
      print_skipped(run, "this processor or this build has no kernel \"" + kernel + "\"");
      continue;
    }
    for (const SweepPoint& point : sweep()) {
      if (!wanted(options.schemes, point.scheme) || (large && !point.typical)) continue;
      Skipped skipped;
      std::optional<TrialRow> row = run_trial(data, point, trial, skipped);
      if (row) {
        print_row(run, std::move(*row));
      } else {
        print_skipped(run, skipped.reason);
      }
    }
    if (!large && wanted(options.schemes, "64 x qsgd_inf/fixed")) {
      if (std::optional<TrialRow> row = run_round_trial(data, options.seconds)) print_row(run, std::move(*row));
    }
    if (wanted(options.schemes, "rotation alone")) {
      print_row(run, run_rotation_trial(data, options.seconds));
    }
  }
  limit_instruction_set("auto");
  const auto is_wanted = [&](const std::string& scheme) { return wanted(options.schemes, scheme); };
  for (TrialRow& row : run_rival_trials(data, is_wanted, options.seconds)) print_row(run, std::move(row));
}

double measure_memcpy() {
  const std::vector<float> values(size_t{1} << 24);
  const auto nothing = [] {};
  return measure_throughput(values, 0.3, nothing, nothing).memcpy_gbps;
}

void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error(path + ": cannot be written");
  std::printf("wrote %s\n", path.c_str());
}

int bench(Options options, const std::string& command) {
  if (options.counts.empty()) {
    options.counts = options.quick ? std::vector<size_t>{1U << 18} : std::vector<size_t>{1U << 20, 1U << 24};
  }
  BenchRun run;
  run.machine = fleet::machine_line();
  run.compiler = "compiler " __VERSION__;
  run.command = command;
  run.memcpy_gbps = measure_memcpy();
  std::printf("%s\n%s\n%s\nmemcpy of 64 MiB: %.2f GB/s\n", run.machine.c_str(), run.compiler.c_str(), command.c_str(),
              run.memcpy_gbps);
  for (const std::string& rival : absent_rivals()) print_skipped(run, rival + " was not there when this was built");
  const std::vector<Source> sources = sources_of(options);
  if (sources.empty()) throw std::runtime_error("no vector has such a name");
  std::printf("%s\n", table_heading().c_str());
  for (const Source& source : sources) run_vector(options, source.make(), run);
  std::printf("\n%s\n", summary_text(run.rows).c_str());
  for (const std::string& line : run.skipped) std::printf("skipped: %s\n", line.c_str());
  write_file(options.json, report_json(run));
  write_file(options.html, report_html(run));
  write_file(options.svg, bits_chart_svg(run.rows));
  write_file(options.markdown, summary_markdown(run.rows));
  return 0;
}

}  // namespace
}  // namespace runnel::bench

int main(int argc, char** argv) {
  CLI::App app("Bits, error, bias and speed of every codec over made-up and real vectors.");
  runnel::bench::Options options;
  app.add_option("--json", options.json, "write all rows to this file");
  app.add_option("--html", options.html, "write a report with a chart, one file that needs nothing else");
  app.add_option("--svg", options.svg, "write the chart alone");
  app.add_option("--markdown", options.markdown, "write the summary's tables for a document");
  app.add_option("--input", options.inputs, "a file of raw float32 values; may be given again")
      ->check(CLI::ExistingFile);
  app.add_option("--real", options.real, "train a CNN on the IDX files in this folder and take its updates");
  app.add_flag("--quick", options.quick, "vectors of 2^18 only");
  app.add_option("--count", options.counts, "coordinates of the made-up vectors; may be given again")
      ->check(CLI::Range(1U, 1U << 26));
  app.add_option("--scheme", options.schemes, "only schemes with this in their name; may be given again");
  app.add_option("--data", options.data, "only vectors with this in their name; may be given again");
  app.add_option("--kernel", options.kernels, "auto, reference, sse4, avx2, avx512, neon; may be given again")
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of timing a row; 0 = bits and error only")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 60.0));
  app.add_option("--seeds", options.seeds, "decodes that error and bias are averaged over")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  CLI11_PARSE(app, argc, argv);
  std::string command = "codec_bench";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  try {
    return runnel::bench::bench(std::move(options), command);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "codec_bench: %s\n", error.what());
    return 1;
  }
}
