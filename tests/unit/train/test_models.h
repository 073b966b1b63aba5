// Models, examples and memory for the training tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "runtime/base/arena.h"
#include "runtime/base/rng.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"
#include "runtime/train/initialize.h"

namespace runnel::train {

inline plan::LayerSpec dense(uint32_t units) {
  return {plan::LayerKind::kDense, units, {}, {1, 1}, {}};
}
inline plan::LayerSpec relu() {
  return {plan::LayerKind::kRelu, 0, {}, {1, 1}, {}};
}
inline plan::LayerSpec flatten() {
  return {plan::LayerKind::kFlatten, 0, {}, {1, 1}, {}};
}
inline plan::LayerSpec conv(uint32_t units, plan::Extent kernel, plan::Extent stride = {1, 1},
                            plan::Extent padding = {0, 0}) {
  return {plan::LayerKind::kConv2d, units, kernel, stride, padding};
}
inline plan::LayerSpec max_pool(plan::Extent kernel, plan::Extent stride) {
  return {plan::LayerKind::kMaxPool2d, 0, kernel, stride, {}};
}
inline plan::LayerSpec avg_pool(plan::Extent kernel, plan::Extent stride) {
  return {plan::LayerKind::kAvgPool2d, 0, kernel, stride, {}};
}

inline plan::ModelSpec model(plan::Shape input, uint32_t classes, std::initializer_list<plan::LayerSpec> layers) {
  plan::ModelSpec spec;
  spec.input = input;
  spec.classes = classes;
  for (const plan::LayerSpec& layer : layers) EXPECT_TRUE(spec.layers.push_back(layer));
  return spec;
}

// 52,138 parameters.
inline plan::ModelSpec digits_cnn() {
  return model({1, 28, 28}, 10,
               {conv(8, {3, 3}, {1, 1}, {1, 1}), relu(), max_pool({2, 2}, {2, 2}), conv(16, {3, 3}, {1, 1}, {1, 1}),
                relu(), max_pool({2, 2}, {2, 2}), flatten(), dense(64), relu(), dense(10)});
}

inline plan::ModelSpec digits_mlp() {
  return model({1, 28, 28}, 10, {flatten(), dense(64), relu(), dense(32), relu(), dense(10)});
}

inline std::vector<float> initial_parameters(const plan::ModelSpec& spec, uint64_t seed) {
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  EXPECT_TRUE(layout.ok()) << layout.failure().text();
  std::vector<float> parameters(layout->parameter_count);
  initialize_parameters(*layout, seed, parameters);
  return parameters;
}

class TestExamples : public data::ExampleSource {
 public:
  TestExamples(uint32_t input_count, uint32_t class_count) : input_count_(input_count), class_count_(class_count) {}

  void add(std::vector<float> values, uint32_t label) {
    values_.insert(values_.end(), values.begin(), values.end());
    labels_.push_back(label);
  }
  uint32_t example_count() const override { return static_cast<uint32_t>(labels_.size()); }
  uint32_t input_count() const override { return input_count_; }
  uint32_t class_count() const override { return class_count_; }
  uint32_t target_count() const override { return 1; }
  void read(uint32_t index, std::span<float> input, std::span<float> target) const override {
    for (size_t value = 0; value < input.size(); ++value) input[value] = values_[index * input_count_ + value];
    if (!target.empty()) target[0] = static_cast<float>(labels_[index]);
  }
  std::span<float> values(uint32_t index) {
    return std::span(values_).subspan(size_t{index} * input_count_, input_count_);
  }
  std::vector<uint32_t>& labels() { return labels_; }

 private:
  uint32_t input_count_;
  uint32_t class_count_;
  std::vector<float> values_;
  std::vector<uint32_t> labels_;
};

// Every class has a random prototype; an example is its class's prototype and noise. Easy for any model.
inline TestExamples prototype_examples(uint32_t input_count, uint32_t class_count, uint32_t count, double noise,
                                       uint64_t seed) {
  TestExamples examples(input_count, class_count);
  Rng prototype_rng(99);
  std::vector<std::vector<float>> prototypes(class_count, std::vector<float>(input_count));
  for (auto& prototype : prototypes) {
    for (float& value : prototype) value = static_cast<float>(prototype_rng.normal());
  }
  Rng rng(seed);
  for (uint32_t index = 0; index < count; ++index) {
    const auto label = static_cast<uint32_t>(rng.below(class_count));
    std::vector<float> values = prototypes[label];
    for (float& value : values) value += static_cast<float>(noise * rng.normal());
    examples.add(std::move(values), label);
  }
  return examples;
}

// A block of an exact size on a cache line, and an arena over it.
class TestMemory {
 public:
  explicit TestMemory(size_t bytes)
      : storage_(bytes + Arena::kAlignment),
        block_(storage_.data() + padding(storage_.data()), bytes),
        arena_(block_) {}
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;
  Arena& arena() { return arena_; }
  MutableByteView block() const { return block_; }

 private:
  static size_t padding(const uint8_t* data) {
    return (Arena::kAlignment - reinterpret_cast<uintptr_t>(data) % Arena::kAlignment) % Arena::kAlignment;
  }

  std::vector<uint8_t> storage_;
  MutableByteView block_;
  Arena arena_;
};

}  // namespace runnel::train
