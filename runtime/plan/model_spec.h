// What a model is, apart from its weights: the vocabulary shared by the trainer, the wire and the coordinator.
//
// A ModelSpec is a plain value of bounded size. It is not trusted until make_layout() has accepted it: that is where
// shapes are worked out and every limit is checked.
#pragma once

#include <cstdint>

#include "runtime/base/fixed_string.h"
#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"

namespace runnel::plan {

inline constexpr uint32_t kLayersMax = 64;
inline constexpr uint32_t kTensorsMax = 128;
inline constexpr uint32_t kDimensionMax = 1U << 20;   // of an input or an activation
inline constexpr uint32_t kParametersMax = 1U << 26;  // 256 MiB of fp32: far above any device this is for
inline constexpr uint32_t kActivationMax = 1U << 24;  // elements of one layer's output for one example

// Numbers are on the wire: never renumber, only add.
enum class LayerKind : uint8_t {
  kDense = 1,      // units
  kConv2d = 2,     // units (output channels), kernel, stride, padding
  kMaxPool2d = 3,  // kernel, stride
  kAvgPool2d = 4,  // kernel, stride
  kRelu = 5,
  kFlatten = 6,
};

// Height and width, in elements.
struct Extent {
  uint32_t height = 0;
  uint32_t width = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

struct LayerSpec {
  LayerKind kind = LayerKind::kRelu;
  uint32_t units = 0;
  Extent kernel{0, 0};
  Extent stride{1, 1};
  Extent padding{0, 0};  // zeros on each side; convolution only
  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

// Channels x height x width, row-major. A flat vector of n values is {n, 1, 1}.
struct Shape {
  uint32_t channels = 0;
  uint32_t height = 1;
  uint32_t width = 1;
  uint64_t count() const { return uint64_t{channels} * height * width; }
  friend bool operator==(const Shape&, const Shape&) = default;
};

// A classifier: the last layer's output are the logits of a softmax over `classes`; the loss is cross-entropy.
struct ModelSpec {
  FixedString<47> name;
  Shape input;
  uint32_t classes = 0;
  StaticVector<LayerSpec, kLayersMax> layers;
};

// One trainable tensor. Row-major; a dense weight is [out][in], a convolution's is [out][in][kernel_h][kernel_w].
struct TensorInfo {
  FixedString<31> name;  // "3.conv2d.weight": the layer's index, its kind, the part
  uint32_t layer = 0;    // index into ModelSpec::layers
  uint32_t offset = 0;   // of the first element in the parameter vector
  uint32_t count = 0;    // elements
  uint32_t fan_in = 0;   // inputs of one output unit, for the initialisation; 0 for a bias
};

// Where everything stands in one flat parameter vector, and each layer's output shape for one example.
struct ModelLayout {
  StaticVector<TensorInfo, kTensorsMax> tensors;
  StaticVector<Shape, kLayersMax> outputs;
  uint32_t parameter_count = 0;
};

// Works out all shapes. Fails with the layer's index and kind when a layer does not fit its input, a number is out of
// range, or the last output is not `classes` values.
Result<ModelLayout> make_layout(const ModelSpec& spec);

// "conv2d" and so on; never null.
const char* layer_kind_name(LayerKind kind);

}  // namespace runnel::plan
