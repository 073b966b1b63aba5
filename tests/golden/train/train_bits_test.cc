// Whole trainings of the built-in models with every instruction set. This file is built twice: with RUNNEL_EXACT, where
// all sets and the plain loops give the bits that bits.txt has, whatever the processor; and as the product is built,
// where the plain loops give those bits too, sets that fuse a multiplication and an addition agree with each other, and
// differ from the plain loops by less than kTolerance.
//
// RUNNEL_WRITE_GOLDEN=1 in the environment writes bits.txt anew from the plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "coordinator/config/model_file.h"
#include "runtime/base/crc32c.h"
#include "runtime/base/instruction_set.h"
#include "runtime/train/trainer.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {
namespace {

#ifdef RUNNEL_EXACT
constexpr bool kExact = true;
#else
constexpr bool kExact = false;
#endif

// NEON of 32-bit ARM takes the smallest numbers for zero: an exact build runs the plain loops there.
#ifdef __arm__
constexpr bool kNeonIsExact = false;
#else
constexpr bool kNeonIsExact = true;
#endif

// What an update may differ by where additions are fused: the L2 norm of the difference of the two updates over the L2
// norm of the update. Measured: 3e-6 with SGD, 5e-5 with AdamW, whose first steps are little more than signs.
constexpr double kTolerance = 1e-4;

constexpr const char* kBitsFile = RUNNEL_GOLDEN_FOLDER "/bits.txt";

struct Training {
  std::string model;
  plan::Optimizer optimizer;
  uint32_t batch;
  uint32_t steps;
  uint32_t examples;
  std::string name() const {
    return model + "/" + plan::optimizer_name(optimizer) + "/" + std::to_string(batch) + "x" + std::to_string(steps);
  }
};

// Every built-in model with a minibatch that is worked on side by side, and with one that is not; three small ones for
// a whole round.
std::vector<Training> runs() {
  std::vector<Training> all;
  for (const coordinator::BuiltinModel& model : coordinator::builtin_models()) {
    all.push_back({std::string(model.name), plan::Optimizer::kSgd, 17, 2, 20});
    all.push_back({std::string(model.name), plan::Optimizer::kAdamW, 3, 2, 6});
  }
  for (const char* model : {"digits-mlp", "sensor-cnn", "har-1dcnn"})
    all.push_back({model, plan::Optimizer::kSgd, 8, 100, 200});
  return all;
}

// Made up of whole numbers alone, so that no C library has a say in it.
class Examples : public data::ExampleSource {
 public:
  Examples(const plan::ModelSpec& spec, uint32_t count)
      : spec_(spec), layout_(plan::make_layout(spec).value()), count_(count) {}
  uint32_t example_count() const override { return count_; }
  uint32_t input_count() const override { return static_cast<uint32_t>(spec_.input.count()); }
  uint32_t target_count() const override { return layout_.target_count; }
  uint32_t class_count() const override { return labels() ? spec_.classes : 0; }
  void read(uint32_t index, std::span<float> input, std::span<float> target) const override {
    const CounterRng inputs(derive_key(7, index));
    const CounterRng targets(derive_key(8, index));
    const uint32_t vocabulary = spec_.layers[0].vocabulary;
    for (size_t i = 0; i < input.size(); ++i) {
      const float drawn = inputs.uniform_at(static_cast<uint32_t>(i));
      input[i] = vocabulary != 0 ? std::floor(drawn * static_cast<float>(vocabulary)) : 2.0F * drawn - 1.0F;
    }
    for (size_t i = 0; i < target.size(); ++i) {
      const float drawn = targets.uniform_at(static_cast<uint32_t>(i));
      target[i] = labels() ? std::floor(drawn * static_cast<float>(spec_.classes)) : 2.0F * drawn - 1.0F;
    }
  }

 private:
  bool labels() const { return spec_.loss.target == plan::TargetKind::kLabels; }
  plan::ModelSpec spec_;
  plan::ModelLayout layout_;
  uint32_t count_;
};

// The model after a training, and as the last value its mean loss.
std::vector<float> train(const Training& run) {
  const Result<plan::ModelSpec> spec =
      coordinator::parse_model_file(std::string(coordinator::find_builtin_model(run.model)->toml));
  plan::TrainingSpec training;
  training.optimizer = run.optimizer;
  training.learning_rate = run.optimizer == plan::Optimizer::kSgd ? 0.02F : 0.002F;
  training.weight_decay = 0.01F;
  training.clip_norm = run.optimizer == plan::Optimizer::kSgd ? 0.0F : 1.0F;
  training.batch_size = run.batch;
  training.local_steps = run.steps;
  TestMemory block(training_memory(*spec, training)->total_bytes);
  Result<Trainer> trainer = Trainer::create(*spec, training, block.arena());
  EXPECT_TRUE(trainer.ok()) << trainer.failure().text();
  const Examples examples(*spec, run.examples);
  const std::vector<float> global = initial_parameters(*spec, 3);
  EXPECT_TRUE(trainer->start(global, examples, 5).ok());
  for (;;) {
    const Result<Progress> progress = trainer->step();
    EXPECT_TRUE(progress.ok()) << progress.failure().text();
    if (!progress.ok() || *progress == Progress::kDone) break;
  }
  std::vector<float> result(trainer->parameters().begin(), trainer->parameters().end());
  result.push_back(trainer->mean_loss());
  return result;
}

std::string bits_of(const std::vector<float>& values) {
  uint32_t sum = 0;
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    const uint8_t bytes[4] = {static_cast<uint8_t>(bits), static_cast<uint8_t>(bits >> 8),
                              static_cast<uint8_t>(bits >> 16), static_cast<uint8_t>(bits >> 24)};
    sum = crc32c(bytes, sum);
  }
  char text[9];
  std::snprintf(text, sizeof text, "%08x", sum);
  return text;
}

std::map<std::string, std::string> golden_bits() {
  std::map<std::string, std::string> bits;
  std::ifstream file(kBitsFile);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::string sum;
    if (line[0] != '#' && words >> name >> sum) bits[name] = sum;
  }
  return bits;
}

double distance(const std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& begin) {
  double difference = 0.0;
  double update = 0.0;
  for (size_t i = 0; i < begin.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2.0);
    update += std::pow(double{b[i]} - double{begin[i]}, 2.0);
  }
  return std::sqrt(difference / update);
}

std::vector<float> first_values(const Training& run) {
  return initial_parameters(
      *coordinator::parse_model_file(std::string(coordinator::find_builtin_model(run.model)->toml)), 3);
}

class TrainBits : public testing::TestWithParam<Training> {
 protected:
  void TearDown() override { ASSERT_TRUE(limit_instruction_set("auto")); }
};

TEST_P(TrainBits, AreThoseOfTheGoldenFile) {
  static const std::map<std::string, std::string> golden = golden_bits();
  ASSERT_TRUE(golden.contains(GetParam().name())) << kBitsFile;
  ASSERT_TRUE(limit_instruction_set("reference"));
  const std::vector<float> plain = train(GetParam());
  EXPECT_EQ(golden.at(GetParam().name()), bits_of(plain)) << "the plain loops";
  const std::vector<float> begin = first_values(GetParam());
  std::vector<float> fused;
  for (const char* set : {"sse4", "avx2", "avx512", "neon"}) {
    if (!limit_instruction_set(set)) continue;
    SCOPED_TRACE(set);
    const std::vector<float> fast = train(GetParam());
    if ((kExact || std::string(set) == "sse4") && (kNeonIsExact || std::string(set) != "neon")) {
      EXPECT_EQ(bits_of(plain), bits_of(fast));
      continue;
    }
    if (fused.empty()) fused = fast;
    EXPECT_EQ(bits_of(fused), bits_of(fast));
    const double apart = distance(fast, plain, begin);
    RecordProperty("distance", std::to_string(apart));
    EXPECT_LE(apart, kTolerance);
    if (!kExact) {
      EXPECT_NE(bits_of(plain), bits_of(fast)) << "nothing was fused: this compares a set with itself";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TrainBits, testing::ValuesIn(runs()), [](const auto& one) {
  std::string name = one.param.name();
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

TEST(TrainBitsFile, IsWrittenOnRequest) {
  if (std::getenv("RUNNEL_WRITE_GOLDEN") == nullptr) GTEST_SKIP() << "RUNNEL_WRITE_GOLDEN=1 writes " << kBitsFile;
  ASSERT_TRUE(limit_instruction_set("reference"));
  std::ofstream file(kBitsFile);
  file
      << "# Model/optimizer/minibatch x steps, and the CRC-32C of the trained parameters and the mean loss, as little\n"
         "# endian floats. RUNNEL_WRITE_GOLDEN=1 train_exact_test --gtest_filter=TrainBitsFile.*\n";
  for (const Training& run : runs()) file << run.name() << " " << bits_of(train(run)) << "\n";
  ASSERT_TRUE(limit_instruction_set("auto"));
}

}  // namespace
}  // namespace runnel::train
