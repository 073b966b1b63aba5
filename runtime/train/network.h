// A model's layers over one block of memory: forward and backward passes for a batch. Trainer and Evaluator share it.
//
// Memory: nothing is allocated. reserve() reserves a block that does not exist yet; bind() gives it. What stands where
// in it, and when, is in schedule.h. Threads: one at a time. Determinism: see tensor/product.h; bits depend neither on
// where the block stands nor on whether activations are kept or made again.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/result.h"
#include "runtime/plan/model_spec.h"
#include "runtime/train/block_layout.h"
#include "runtime/train/graph.h"
#include "runtime/train/layer_passes.h"
#include "runtime/train/schedule.h"

namespace runnel::train {

class Network {
 public:
  enum class Use { kInference, kTraining };

  // First of all; `layout` is make_layout's of `spec`. Fails as make_graph does.
  Failure take(const plan::ModelSpec& spec, const plan::ModelLayout& layout, Use use);

  // Reserves what batches of up to `options.batch_size` examples need; again, with another layout of the block, to try
  // other options. Fails as make_schedule does.
  Failure reserve(const ScheduleOptions& options, BlockLayout& block_layout);

  // Both at once.
  static Result<Network> plan(const plan::ModelSpec& spec, const ScheduleOptions& options, Use use,
                              BlockLayout& block_layout);

  // Must be called once, before the passes. REQUIRES: see Piece::in.
  void bind(MutableByteView block);

  // Where to write example `example` of the batch before forward(); forward() may overwrite it, unless the loss
  // compares with it.
  std::span<float> input(uint32_t example);

  // The first `examples` inputs, where forward() leaves them alone.
  std::span<const float> inputs(uint32_t examples) const;

  // kOutOfRange when a symbol for an embedding among the first `examples` inputs is not one of its vocabulary. Call
  // before forward().
  Failure check_input(uint32_t examples) const;

  // Which values dropout drops: the key differs from minibatch to minibatch, and this batch begins with the minibatch's
  // example `first_example`. Before forward() in training.
  void begin_minibatch(uint64_t key, uint32_t first_example);

  // The outputs of the first `examples` inputs. In training, `statistics` is the memory of `parameters` when running
  // statistics are to move with this batch. REQUIRES: parameters.size() == parameter_count().
  void forward(std::span<const float> parameters, uint32_t examples, std::span<float> statistics = {});

  // [examples][output_count()]; valid after forward().
  std::span<const float> outputs(uint32_t examples) const;

  // Where to write d(loss)/d(outputs) before the backward passes. Training only.
  std::span<float> output_gradient(uint32_t examples);

  // The backward passes, layer by layer from the last to the first, after forward() with the same parameters and number
  // of examples. begin_backward() comes before each layer's: it makes activations again where that is due, and says
  // whether the layer has a backward pass. backward_layer() adds `scale` times the gradient of what the layer trains to
  // `weight_gradient`, which is as long as trained(layer) says and may be the parameters' own memory.
  bool begin_backward(uint32_t layer, std::span<const float> parameters, uint32_t examples);
  void backward_layer(uint32_t layer, std::span<const float> parameters, uint32_t examples,
                      std::span<float> weight_gradient, float scale);

  // All of them: adds d(loss)/d(parameters) to `gradient`, which is as long as `parameters`, or only as what is
  // trained.
  void backward(std::span<const float> parameters, uint32_t examples, std::span<float> gradient);

  // With ScheduleOptions::defers_steps, backward passes that go straight to the weights leave some steps of large dense
  // layers to wait (tensor/dense_deferred.h). The first applies them, which must happen before anybody else looks at
  // the parameters; the second forgets them, before other parameters are trained.
  void apply_deferred_steps(std::span<float> parameters);
  void forget_deferred_steps();

  // How many of the next examples' inputs a layer that lets steps wait can make use of at once, whole minibatches; 0:
  // none, or not now. Written to ahead_input(0), (1), ..., they are made use of by look_ahead(). forward() still wants
  // each minibatch at input(0), (1), ...
  uint32_t wants_ahead() const;
  std::span<float> ahead_input(uint32_t example);
  void look_ahead(std::span<const float> parameters, uint32_t examples);

  // With ScheduleOptions::layer_gradients: memory for the gradient of one layer, free until its backward pass.
  std::span<float> layer_gradient(uint32_t layer) const;

  uint32_t layer_count() const { return static_cast<uint32_t>(graph_.layers.size()); }
  bool has_backward(uint32_t layer) const { return graph_.layers[layer].has_backward; }
  ParameterRange trained(uint32_t layer) const { return graph_.layers[layer].trained; }
  uint32_t parameter_count() const { return graph_.parameter_count; }
  uint32_t input_count() const { return graph_.input_count; }
  uint32_t output_count() const { return graph_.output_count; }
  uint32_t segment_count() const { return static_cast<uint32_t>(schedule_.segment_starts.size()); }
  uint64_t block_bytes() const { return block_bytes_; }
  uint64_t alive_bytes() const;  // the most that is in use at one moment; the rest is lost between buffers

 private:
  struct DeferredLayer {
    uint32_t layer = 0;
    Piece<float> piece;
    tensor::DeferredSteps steps;
  };
  // Null where the layer's steps do not wait.
  tensor::DeferredSteps* deferred_of(uint32_t layer);
  // The first of them, if it reads the model's input; or null.
  const DeferredLayer* reader_of_input() const;

  void run_forward(uint32_t layer, std::span<const float> parameters, uint32_t examples, std::span<float> statistics,
                   bool again);

  // `floats` floats from a line of the block on; nothing from nowhere.
  std::span<float> at(Place place, size_t floats) const;
  uint64_t dropout_key(uint32_t layer) const;
  uint32_t dropout_first(uint32_t layer) const;

  Graph graph_;
  Schedule schedule_;
  std::array<uint32_t, plan::kLayersMax> saved_floats_{};
  std::array<uint32_t, plan::kLayersMax> workspace_floats_{};
  Piece<float> piece_;
  StaticVector<DeferredLayer, 4> deferred_;
  uint64_t block_bytes_ = 0;
  uint64_t minibatch_key_ = 0;
  uint32_t first_example_ = 0;
  std::span<float> block_;
};

}  // namespace runnel::train
