// Contestants of train_bench: processes that answer questions (train_server.h), asked in turns.
#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace runnel::bench {

// A program with a pipe to its input and one from its output. It ends when the object does.
class Contestant {
 public:
  // Fails with std::runtime_error when there is no pipe or process to be had; a program that cannot run answers
  // nothing.
  Contestant(std::string name, const std::vector<std::string>& command);
  ~Contestant();
  Contestant(const Contestant&) = delete;
  Contestant& operator=(const Contestant&) = delete;

  const std::string& name() const { return name_; }

  // The numbers of its answer; none when it cannot, or has ended.
  std::vector<double> ask(const std::string& question);

  // "1 thread, /usr/lib/.../libblas.so.3": how many threads it has now, and the libraries for linear algebra that it
  // has loaded.
  std::string runs_on() const;

 private:
  std::string name_;
  int process_ = -1;
  std::FILE* to_ = nullptr;
  std::FILE* from_ = nullptr;
};

struct ContestRow {
  std::string contestant;
  std::string model;
  unsigned batch = 0;
  double images_per_second = 0.0;  // median over the turns
  double images_per_second_best = 0.0;
  double peak_share = 0.0;  // of what the core can do with the same instructions; 0 where that was not measured
  double memory_mib = 0.0;
};

struct Contest {
  std::string machine;
  std::string command;
  unsigned turns = 0;
  std::map<std::string, double> peak_gflops;   // of contestants that know it
  std::map<std::string, std::string> runs_on;  // see Contestant::runs_on()
  std::vector<ContestRow> rows;                // model by model, batch by batch
  std::vector<std::string> skipped;            // lines for people: who did not take part
};

// Asks everybody for every model and batch, `turns` times round, so that all see the same weather.
void run_contest(std::vector<std::unique_ptr<Contestant>>& contestants, unsigned turns, double seconds,
                 Contest& contest);

const ContestRow* find_row(const Contest& contest, const std::string& contestant, const std::string& model,
                           unsigned batch);

std::string contest_markdown(const Contest& contest);
std::string contest_json(const Contest& contest);
std::string contest_html(const Contest& contest);

}  // namespace runnel::bench
