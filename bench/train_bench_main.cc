// Training on one core against other libraries: see bench/README.md.
#include <sched.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "bench/train_contest.h"
#include "bench/train_server.h"
#include "fleet/machine_line.h"
#include "runtime/base/instruction_set.h"

namespace runnel::bench {
namespace {

struct Options {
  std::vector<std::string> kernels = {"auto"};
  unsigned turns = 5;
  double seconds = 0.2;
  bool alone = false;
  std::string python = "/usr/bin/python3";
  std::string script = RUNNEL_SOURCE_DIR "/bench/train_peers.py";
  std::string json;
  std::string html;
};

void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error(path + ": cannot be written");
}

// One core for all, so that nobody gains from a second one.
void stay_on_one_core() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(std::max(sched_getcpu(), 0)), &set);
  sched_setaffinity(0, sizeof set, &set);
}

int bench(const Options& options, const std::string& command) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  const std::filesystem::path folder = self.parent_path();
  stay_on_one_core();
  Contest contest;
  contest.machine = fleet::machine_line();
  contest.command = command;
  std::vector<std::unique_ptr<Contestant>> contestants;
  for (const std::string& kernel : options.kernels) {
    if (!limit_instruction_set(kernel)) {
      contest.skipped.push_back("runnel " + kernel + ": this processor or this build does not have it");
      continue;
    }
    const std::string set(instruction_set());
    contestants.push_back(std::make_unique<Contestant>(
        "runnel " + set, std::vector<std::string>{self.string(), "--serve", "--kernel", kernel}));
  }
  if (!options.alone) {
    contestants.push_back(
        std::make_unique<Contestant>("pytorch", std::vector<std::string>{options.python, options.script}));
    for (const std::string peer : {"dlib", "eigen"}) {
      const std::filesystem::path program = folder / ("train_peer_" + peer);
      contestants.push_back(std::make_unique<Contestant>(peer, std::vector<std::string>{program.string()}));
    }
  }
  run_contest(contestants, options.turns, options.seconds, contest);
  write_file(options.json, contest_json(contest));
  write_file(options.html, contest_html(contest));
  std::printf("%s\n%s\n", contest.machine.c_str(), contest.command.c_str());
  for (const auto& [name, peak] : contest.peak_gflops) std::printf("peak, %s: %.1f GFLOP/s\n", name.c_str(), peak);
  for (const auto& [name, what] : contest.runs_on) std::printf("%s: %s\n", name.c_str(), what.c_str());
  std::printf("\n%s", contest_markdown(contest).c_str());
  for (const std::string& line : contest.skipped) std::printf("%s\n", line.c_str());
  return 0;
}

}  // namespace
}  // namespace runnel::bench

int main(int argc, char** argv) {
  CLI::App app("Images a second through training on one core, side by side with other libraries.");
  runnel::bench::Options options;
  bool serve = false;
  app.add_option("--kernel", options.kernels, "auto, reference, sse4, avx2, avx512, neon; may be given again")
      ->capture_default_str();
  app.add_option("--turns", options.turns, "everybody is asked so often")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1000U));
  app.add_option("--seconds", options.seconds, "of each question")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 60.0));
  app.add_flag("--alone", options.alone, "without the other libraries");
  app.add_option("--python", options.python, "an interpreter that has PyTorch")->capture_default_str();
  app.add_option("--json", options.json, "write all figures to this file");
  app.add_option("--html", options.html, "write a report with a chart, one file that needs nothing else");
  app.add_flag("--serve", serve, "answer questions as one of the contestants does");
  CLI11_PARSE(app, argc, argv);
  std::string command = "train_bench";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  try {
    if (!serve) return runnel::bench::bench(options, command);
    if (!runnel::limit_instruction_set(options.kernels.front())) return 1;
    runnel::bench::serve_training();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_bench: %s\n", error.what());
    return 1;
  }
}
