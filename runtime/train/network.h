// A model's layers over one block of memory: forward and backward passes for a batch. Trainer and Evaluator share it.
//
// Memory: nothing is allocated. plan() reserves pieces of a block that does not exist yet; bind() gives the block. ReLU
// and flatten work in place on the buffer of the layer before them. In training every other layer keeps its output for
// the backward pass, gradients of activations alternate between two buffers, each as large as the largest it holds, and
// no gradient is computed below the first layer with weights. For inference, activations alternate between two buffers
// too. Threads: one at a time. Determinism: see tensor/product.h; bits do not depend on where the block stands.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"
#include "runtime/plan/model_spec.h"
#include "runtime/tensor/dense.h"
#include "runtime/tensor/window2d.h"
#include "runtime/train/block_layout.h"

namespace runnel::train {

class Network {
 public:
  enum class Use { kInference, kTraining };

  // Reserves what batches of up to `batch_size` examples need. Fails as plan::make_layout does.
  static Result<Network> plan(const plan::ModelSpec& spec, uint32_t batch_size, Use use, BlockLayout& block_layout);

  // Must be called once, before the passes. REQUIRES: see Piece::in.
  void bind(MutableByteView block);

  // Where to write example `example` of the batch before forward(); forward() may overwrite it.
  std::span<float> input(uint32_t example);

  // Logits of the first `examples` inputs. REQUIRES: parameters.size() == parameter_count().
  void forward(std::span<const float> parameters, uint32_t examples);

  // [examples][classes]; valid after forward().
  std::span<const float> logits(uint32_t examples) const;

  // Where to write d(loss)/d(logits) before backward(). Training only.
  std::span<float> logit_gradient(uint32_t examples);

  // Adds d(loss)/d(parameters) to `gradient`. Call after forward() with the same parameters and number of
  // examples; overwrites logit_gradient(). Training only.
  void backward(std::span<const float> parameters, uint32_t examples, std::span<float> gradient);

  uint32_t parameter_count() const { return parameter_count_; }
  uint32_t input_count() const { return input_count_; }
  uint32_t classes() const { return classes_; }
  uint64_t activation_bytes() const { return activation_bytes_; }  // inputs, activations and their gradients
  uint64_t workspace_bytes() const { return workspace_bytes_; }

 private:
  struct Layer {
    plan::LayerKind kind = plan::LayerKind::kRelu;
    tensor::Window2d window;  // convolution and pooling
    uint32_t units = 0;       // dense and convolution
    size_t input_count = 0;   // values of one example
    size_t output_count = 0;
    size_t weight_offset = 0;
    size_t weight_count = 0;
    size_t bias_offset = 0;
    Piece<float> input;
    Piece<float> output;
    Piece<float> output_gradient;
    Piece<float> input_gradient;  // the same piece as output_gradient where the layer works in place
    bool relu_follows = false;    // and is applied by this layer
    bool relu_done = false;       // by the layer before
    bool wants_input_gradient = false;

    bool in_place() const { return kind == plan::LayerKind::kRelu || kind == plan::LayerKind::kFlatten; }
    bool has_weights() const { return kind == plan::LayerKind::kDense || kind == plan::LayerKind::kConv2d; }
    tensor::Activation activation() const {
      return relu_follows ? tensor::Activation::kRelu : tensor::Activation::kNone;
    }
  };

  void place_activations(uint32_t batch_size, Use use, BlockLayout& block_layout);
  void place_gradients(uint32_t batch_size, BlockLayout& block_layout);
  uint64_t workspace_floats(uint32_t batch_size) const;
  void forward_layer(const Layer& layer, std::span<const float> parameters, uint32_t examples);
  void backward_layer(const Layer& layer, std::span<const float> parameters, uint32_t examples,
                      std::span<float> gradient);

  // The part of a piece that `examples` examples of `count` values use.
  std::span<float> part(const Piece<float>& piece, uint32_t examples, size_t count) const {
    return piece.in(block_).first(examples * count);
  }

  StaticVector<Layer, plan::kLayersMax> layers_;
  uint32_t first_trainable_ = 0;
  uint32_t parameter_count_ = 0;
  uint32_t input_count_ = 0;
  uint32_t classes_ = 0;
  uint64_t activation_bytes_ = 0;
  uint64_t workspace_bytes_ = 0;
  Piece<float> input_;
  Piece<float> workspace_;
  MutableByteView block_;
};

}  // namespace runnel::train
