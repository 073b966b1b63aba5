#include "bench/train_contest.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>

#include "bench/train_models.h"

namespace runnel::bench {
namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::ranges::sort(values);
  return values.size() % 2 == 1 ? values[values.size() / 2]
                                : (values[values.size() / 2 - 1] + values[values.size() / 2]) / 2.0;
}

}  // namespace

Contestant::Contestant(std::string name, const std::vector<std::string>& command) : name_(std::move(name)) {
  std::array<int, 2> questions{};
  std::array<int, 2> answers{};
  if (pipe2(questions.data(), O_CLOEXEC) != 0 || pipe2(answers.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipe for " + name_);
  }
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("no process for " + name_);
  if (process_ == 0) {
    dup2(questions[0], STDIN_FILENO);
    dup2(answers[1], STDOUT_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(questions[0]);
  close(answers[1]);
  to_ = fdopen(questions[1], "w");
  from_ = fdopen(answers[0], "r");
}

Contestant::~Contestant() {
  if (to_ != nullptr) std::fclose(to_);
  if (from_ != nullptr) std::fclose(from_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
}

std::vector<double> Contestant::ask(const std::string& question) {
  std::fprintf(to_, "%s\n", question.c_str());
  std::fflush(to_);
  std::array<char, 256> line{};
  if (std::fgets(line.data(), static_cast<int>(line.size()), from_) == nullptr) return {};
  std::istringstream answer(line.data());
  std::vector<double> numbers;
  for (double number = 0.0; answer >> number;) numbers.push_back(number);
  return numbers;
}

std::string Contestant::runs_on() const {
  const std::string folder = "/proc/" + std::to_string(process_) + "/";
  std::string threads = "?";
  std::ifstream status(folder + "status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Threads:")) threads = line.substr(line.find_first_not_of(" \t", 8));
  }
  std::string result = threads + (threads == "1" ? " thread" : " threads");
  std::ifstream maps(folder + "maps");
  std::set<std::string> seen;
  for (std::string line; std::getline(maps, line);) {
    const size_t path = line.find('/');
    if (path == std::string::npos || !seen.insert(line.substr(path)).second) continue;
    const std::string name = line.substr(line.rfind('/') + 1);
    if (name.find("blas") != std::string::npos || name.find("mkl") != std::string::npos)
      result += ", " + line.substr(path);
  }
  return result;
}

void run_contest(std::vector<std::unique_ptr<Contestant>>& contestants, unsigned turns, double seconds,
                 Contest& contest) {
  std::signal(SIGPIPE, SIG_IGN);  // of a contestant that could not start
  contest.turns = turns;
  std::map<std::string, bool> answered;
  for (const auto& contestant : contestants) answered[contestant->name()] = false;
  for (const TimedModel& model : kTimedModels) {
    for (const unsigned batch : kTimedBatches) {
      std::map<std::string, std::vector<double>> rates;
      std::map<std::string, double> memory;
      std::string question(model.name);
      question += " " + std::to_string(batch) + " " + std::to_string(seconds);
      for (unsigned turn = 0; turn < turns; ++turn) {
        for (const auto& contestant : contestants) {
          const std::vector<double> answer = contestant->ask(question);
          if (answer.size() == 2) {
            answered[contestant->name()] = true;
            rates[contestant->name()].push_back(answer[0]);
            memory[contestant->name()] = answer[1] / 1024.0;
            contest.runs_on[contestant->name()] = contestant->runs_on();
          }
          const std::vector<double> peak = contestant->ask("peak");
          if (peak.size() == 1) {
            double& best = contest.peak_gflops[contestant->name()];
            best = std::max(best, peak[0]);
          }
        }
      }
      for (const auto& contestant : contestants) {
        const std::vector<double>& all = rates[contestant->name()];
        if (all.empty()) continue;
        contest.rows.push_back({contestant->name(), std::string(model.name), batch, median(all),
                                *std::ranges::max_element(all), 0.0, memory[contestant->name()]});
      }
    }
  }
  for (ContestRow& row : contest.rows) {
    const auto peak = contest.peak_gflops.find(row.contestant);
    const auto* model = std::ranges::find(kTimedModels, row.model, &TimedModel::name);
    if (peak != contest.peak_gflops.end()) {
      row.peak_share = row.images_per_second * model->mflop_per_image / 1e3 / peak->second;
    }
  }
  for (const auto& [name, any] : answered) {
    if (!any) contest.skipped.push_back(name + " did not answer: it is not installed, or was not built");
  }
}

const ContestRow* find_row(const Contest& contest, const std::string& contestant, const std::string& model,
                           unsigned batch) {
  for (const ContestRow& row : contest.rows) {
    if (row.contestant == contestant && row.model == model && row.batch == batch) return &row;
  }
  return nullptr;
}

}  // namespace runnel::bench
