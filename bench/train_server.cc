#include "bench/train_server.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/fma_peak.h"
#include "bench/process_figures.h"
#include "bench/stopwatch.h"
#include "bench/train_models.h"
#include "runtime/base/arena.h"
#include "runtime/base/rng.h"
#include "runtime/train/initialize.h"
#include "runtime/train/trainer.h"

namespace runnel::bench {
namespace {

constexpr uint32_t kImages = 1024;
constexpr uint32_t kPixels = 784;

class MadeUpImages : public data::ExampleSource {
 public:
  MadeUpImages() : pixels_(size_t{kImages} * kPixels), labels_(kImages) {
    Rng rng(1);
    for (float& pixel : pixels_) pixel = static_cast<float>(rng.uniform());
    for (float& label : labels_) label = static_cast<float>(rng.below(10));
  }
  uint32_t example_count() const override { return kImages; }
  uint32_t input_count() const override { return kPixels; }
  uint32_t target_count() const override { return 1; }
  uint32_t class_count() const override { return 10; }
  void read(uint32_t index, std::span<float> input, std::span<float> target) const override {
    std::copy_n(pixels_.data() + size_t{index} * kPixels, kPixels, input.data());
    if (!target.empty()) target[0] = labels_[index];
  }

 private:
  std::vector<float> pixels_;
  std::vector<float> labels_;
};

template <typename T>
T take(Result<T>&& result) {
  if (!result) throw std::runtime_error(result.failure().text());
  return std::move(*result);
}

// Images a second, of the best tenth.
double rate_of(const std::string& model, uint32_t batch, double seconds, const MadeUpImages& images) {
  const plan::ModelSpec spec = timed_model(model);
  plan::TrainingSpec training;
  training.learning_rate = 0.001F;
  training.momentum = 0.0F;
  training.batch_size = batch;
  training.local_steps = 1'000'000;
  const plan::ModelLayout layout = take(plan::make_layout(spec));
  std::vector<float> start(layout.parameter_count);
  train::initialize_parameters(layout, 7, start);
  std::vector<uint8_t> memory(take(train::training_memory(spec, training)).total_bytes + Arena::kAlignment);
  Arena arena(memory);
  train::Trainer trainer = take(train::Trainer::create(spec, training, arena));
  if (const Failure failure = trainer.start(start, images, 3); !failure.ok()) {
    throw std::runtime_error(failure.text());
  }
  const auto run = [&](uint32_t steps) {
    for (uint32_t step = 0; step < steps; ++step) take(trainer.step());
  };
  const double once = processor_seconds_of([&] { run(3); }) / 3.0;
  const double part = std::max(seconds / 10.0, 0.002);
  const uint32_t steps = std::clamp(static_cast<uint32_t>(part / once), 1U, 20'000U);
  double best = 1e30;
  for (int i = 0; i < 10; ++i) best = std::min(best, processor_seconds_of([&] { run(steps); }));
  return static_cast<double>(steps) * batch / best;
}

}  // namespace

void serve_training() {
  const MadeUpImages images;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream question(line);
    std::string what;
    uint32_t batch = 0;
    double seconds = 0.0;
    question >> what >> batch >> seconds;
    if (what == "peak") {
      std::printf("%.3f\n", peak_gflops());
    } else {
      const double rate = rate_of(what, batch, seconds, images);
      std::printf("%.1f %llu\n", rate, static_cast<unsigned long long>(figures_of(getpid()).resident_bytes_max / 1024));
    }
    std::fflush(stdout);
  }
}

}  // namespace runnel::bench
