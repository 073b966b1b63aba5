// aggregation_bench: what a round's aggregation costs on the coordinator beside decoding its updates, for every method
// and every server optimizer, next to the plain mean in the same run. docs/aggregation.md.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "coordinator/engine/aggregate.h"
#include "coordinator/engine/robust_aggregate.h"
#include "coordinator/engine/server_optimizer.h"
#include "fleet/machine_line.h"
#include "runtime/base/rng.h"

namespace runnel::bench {
namespace {

using coordinator::AggregationMethod;
using coordinator::ServerOptimizer;

// Processor time: other programs on the machine do not count.
template <typename Work>
double processor_seconds_of(const Work& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

struct Options {
  size_t parameters = 60'000;
  std::vector<size_t> updates = {10, 100, 1000};
  int repetitions = 5;
};

struct Method {
  const char* name;
  coordinator::AggregationSpec spec;
};

std::vector<Method> methods() {
  std::vector<Method> all(5);
  all[0].name = "mean";
  all[1] = {"median", {AggregationMethod::kMedian}};
  all[2] = {"trimmed_mean, 0.1", {AggregationMethod::kTrimmedMean}};
  all[3] = {"krum, f = 1, m = 1", {AggregationMethod::kKrum}};
  all[4] = {"krum, f = 1, m = 3", {AggregationMethod::kKrum}};
  all[4].spec.krum_keep = 3;
  return all;
}

// Every update added, the aggregate taken: as a round does it.
double round_seconds(const Method& method, const std::vector<std::vector<float>>& updates, double& bytes) {
  const size_t parameters = updates.front().size();
  coordinator::Aggregate sums(parameters);
  coordinator::RobustAggregate robust(method.spec, parameters, 1ULL << 40);
  std::vector<double> result(parameters);
  const double seconds = processor_seconds_of([&] {
    for (size_t k = 0; k < updates.size(); ++k) {
      if (!sums.add(updates[k], 1).ok()) std::abort();
      robust.add("device", k, updates[k]);
    }
    if (robust.needed()) {
      robust.aggregate(result);
    } else {
      sums.mean(result);
    }
    asm volatile("" : : "r"(result.data()) : "memory");
  });
  bytes = static_cast<double>(robust.bytes());
  return seconds;
}

void compare_methods(const Options& options, size_t count) {
  Rng rng(1);
  std::vector<std::vector<float>> updates(count, std::vector<float>(options.parameters));
  for (auto& update : updates) {
    for (float& value : update) value = static_cast<float>((rng.uniform() - 0.5) * 0.01);
  }
  const std::vector<Method> all = methods();
  std::vector<double> best(all.size(), 1e30);
  std::vector<double> bytes(all.size());
  for (int repetition = 0; repetition < options.repetitions; ++repetition) {
    for (size_t k = 0; k < all.size(); ++k) best[k] = std::min(best[k], round_seconds(all[k], updates, bytes[k]));
  }
  for (size_t k = 0; k < all.size(); ++k) {
    std::printf("%7zu  %-20s  %9.2f ms  %6.2f x the mean  %8.2f MB kept\n", count, all[k].name, 1e3 * best[k],
                best[k] / best[0], bytes[k] / 1e6);
  }
  std::fflush(stdout);
}

void compare_optimizers(const Options& options) {
  constexpr ServerOptimizer kAll[] = {ServerOptimizer::kAvg, ServerOptimizer::kMomentum, ServerOptimizer::kAdam,
                                      ServerOptimizer::kYogi, ServerOptimizer::kAdagrad};
  std::vector<double> aggregate(options.parameters, 1e-3);
  std::vector<float> model(options.parameters, 0.1F);
  double first = 0.0;
  for (const ServerOptimizer optimizer : kAll) {
    coordinator::ServerSpec server;
    server.optimizer = optimizer;
    coordinator::OptimizerState state;
    double best = 1e30;
    size_t bytes = 0;
    for (int repetition = -1; repetition < 4 * options.repetitions; ++repetition) {
      const double seconds = processor_seconds_of([&] {
        server_step(server, aggregate, model, state);
        bytes = encode_state(state).size();
      });
      if (repetition >= 0) best = std::min(best, seconds);
    }
    if (optimizer == ServerOptimizer::kAvg) first = best;
    std::printf("a step   %-20s  %9.2f ms  %6.2f x avg       %8.2f MB stored with each model\n",
                server_optimizer_name(optimizer), 1e3 * best, best / first, static_cast<double>(bytes) / 1e6);
  }
}

}  // namespace
}  // namespace runnel::bench

int main(int argc, char** argv) {
  CLI::App app("What aggregation methods and server optimizers cost the coordinator.");
  runnel::bench::Options options;
  app.add_option("--parameters", options.parameters, "of the model")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 26));
  app.add_option("--updates", options.updates, "of a round; several may be given")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_option("--repetitions", options.repetitions, "of which the best counts")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  std::printf("%s\n%zu parameters, best of %d, processor time of one core; decoding the updates not included\n",
              runnel::fleet::machine_line().c_str(), options.parameters, options.repetitions);
  for (const size_t count : options.updates) runnel::bench::compare_methods(options, count);
  runnel::bench::compare_optimizers(options);
  return 0;
}
