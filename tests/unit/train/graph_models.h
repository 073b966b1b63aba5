// Layers of every kind, small graphs of them, and random ones, for the training tests.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "tests/unit/train/test_models.h"

namespace runnel::train {

inline plan::LayerSpec plain(plan::LayerKind kind, float value = 0.0F) {
  plan::LayerSpec layer;
  layer.kind = kind;
  layer.value = value;
  return layer;
}
inline plan::LayerSpec grouped_conv(uint32_t units, plan::Extent kernel, uint32_t groups, plan::Extent padding,
                                    bool bias = true) {
  plan::LayerSpec layer = conv(units, kernel, {1, 1}, padding);
  layer.groups = groups;
  layer.bias = bias;
  return layer;
}
inline plan::LayerSpec batch_norm() {
  return plain(plan::LayerKind::kBatchNorm, 1e-3F);
}
inline plan::LayerSpec group_norm(uint32_t groups) {
  plan::LayerSpec layer = plain(plan::LayerKind::kGroupNorm, 1e-3F);
  layer.groups = groups;
  return layer;
}
inline plan::LayerSpec layer_norm() {
  return plain(plan::LayerKind::kLayerNorm, 1e-3F);
}
inline plan::LayerSpec embedding(uint32_t vocabulary, uint32_t units) {
  plan::LayerSpec layer = plain(plan::LayerKind::kEmbedding);
  layer.vocabulary = vocabulary;
  layer.units = units;
  return layer;
}
inline plan::LayerSpec recurrent(plan::LayerKind kind, uint32_t units, bool every_step, bool bias = true) {
  plan::LayerSpec layer = plain(kind);
  layer.units = units;
  layer.every_step = every_step;
  layer.bias = bias;
  return layer;
}
inline plan::LayerSpec reshape(plan::Shape shape) {
  plan::LayerSpec layer = plain(plan::LayerKind::kReshape);
  layer.shape = shape;
  return layer;
}
// The same layer reading given values: 0 = the model's input, i + 1 = layer i.
inline plan::LayerSpec from(plan::LayerSpec layer, std::initializer_list<uint16_t> inputs) {
  for (const uint16_t input : inputs) EXPECT_TRUE(layer.inputs.push_back(input));
  return layer;
}
inline plan::LayerSpec kept(plan::LayerSpec layer, plan::Sharing sharing) {
  layer.sharing = sharing;
  return layer;
}
inline plan::ModelSpec with_loss(plan::ModelSpec spec, plan::LossKind kind, plan::TargetKind target) {
  spec.loss.kind = kind;
  spec.loss.target = target;
  return spec;
}

// A model and the values that a network of it needs: parameters that suit every kind, inputs and targets for the loss.
struct GraphCase {
  GraphCase(const char* case_name, plan::ModelSpec model_spec) : name(case_name), spec(model_spec) {}

  std::vector<float> parameters(uint64_t seed) const {
    const Result<plan::ModelLayout> layout = plan::make_layout(spec);
    EXPECT_TRUE(layout.ok()) << name << ": " << layout.failure().text();
    Rng rng(seed);
    std::vector<float> values(layout->parameter_count);
    for (float& value : values) value = static_cast<float>(0.6 * rng.normal());  // biases too
    for (const plan::TensorInfo& tensor : layout->tensors) {
      const std::string_view full = tensor.name.view();
      if (full.substr(full.rfind('.') + 1) != "variance") continue;
      for (uint32_t i = 0; i < tensor.count; ++i)
        values[tensor.offset + i] = 0.5F + std::abs(values[tensor.offset + i]);
    }
    return values;
  }

  bool reads_symbols() const { return spec.layers[0].kind == plan::LayerKind::kEmbedding; }

  std::vector<float> inputs(size_t examples, uint64_t seed) const {
    Rng rng(seed + 1);
    std::vector<float> values(examples * spec.input.count());
    const bool answers = spec.loss.kind == plan::LossKind::kBinaryCrossEntropy;
    for (float& value : values) {
      value = static_cast<float>(reads_symbols() ? static_cast<double>(rng.below(spec.layers[0].vocabulary))
                                 : answers       ? rng.uniform()
                                                 : rng.normal());
    }
    return values;
  }

  std::vector<float> targets(size_t examples, uint64_t seed) const {
    Rng rng(seed + 2);
    std::vector<float> values(examples * plan::make_layout(spec)->target_count);
    for (float& value : values) {
      const bool labels = spec.loss.target == plan::TargetKind::kLabels;
      const bool answers = spec.loss.kind == plan::LossKind::kBinaryCrossEntropy;
      value = static_cast<float>(labels    ? static_cast<double>(rng.below(spec.classes))
                                 : answers ? static_cast<double>(rng.below(2))
                                           : 2.0 * rng.normal());
    }
    return values;
  }

  std::string name;
  plan::ModelSpec spec;
};

// Examples for a case's model.
class CaseExamples : public data::ExampleSource {
 public:
  CaseExamples(const GraphCase& one, uint32_t count, uint64_t seed)
      : spec_(one.spec), count_(count), inputs_(one.inputs(count, seed)), targets_(one.targets(count, seed)) {}
  uint32_t example_count() const override { return count_; }
  uint32_t input_count() const override { return static_cast<uint32_t>(spec_.input.count()); }
  uint32_t target_count() const override { return static_cast<uint32_t>(targets_.size() / count_); }
  uint32_t class_count() const override { return spec_.loss.target == plan::TargetKind::kLabels ? spec_.classes : 0; }
  void read(uint32_t index, std::span<float> input, std::span<float> target) const override {
    std::copy_n(inputs_.begin() + static_cast<ptrdiff_t>(index * input.size()), input.size(), input.begin());
    std::copy_n(targets_.begin() + static_cast<ptrdiff_t>(index * target.size()), target.size(), target.begin());
  }

 private:
  plan::ModelSpec spec_;
  uint32_t count_;
  std::vector<float> inputs_;
  std::vector<float> targets_;
};

std::vector<GraphCase> chain_cases();
std::vector<GraphCase> graph_cases();

// A random graph of up to `layers` layers on small images, with joins, branches, and views; always with something to
// train, and with a head for 3 classes.
GraphCase random_graph(uint64_t seed, uint32_t layers);

}  // namespace runnel::train
