#include "runtime/train/network.h"

#include <algorithm>

#include "runtime/tensor/conv2d.h"
#include "runtime/tensor/pool2d.h"
#include "runtime/tensor/relu.h"

namespace runnel::train {
namespace {

using plan::LayerKind;

tensor::Window2d window_of(const plan::LayerSpec& layer, const plan::Shape& input) {
  return {input.channels,      input.height,       input.width,          layer.kernel.height, layer.kernel.width,
          layer.stride.height, layer.stride.width, layer.padding.height, layer.padding.width};
}

}  // namespace

Result<Network> Network::plan(const plan::ModelSpec& spec, uint32_t batch_size, Use use, BlockLayout& block_layout) {
  const Result<plan::ModelLayout> model = plan::make_layout(spec);
  if (!model) return model.failure();
  for (const plan::LayerSpec& layer : spec.layers) {
    if (layer.kind > LayerKind::kFlatten || !layer.inputs.empty() || layer.groups != 1 || !layer.bias ||
        layer.sharing != plan::Sharing::kShared) {
      return fail(Error::kUnsupported, "a layer of kind %s", plan::layer_kind_name(layer.kind));
    }
  }
  if (spec.loss != plan::LossSpec{} || model->target_count != 1) return fail(Error::kUnsupported, "the loss");
  Network network;
  network.parameter_count_ = model->parameter_count;
  network.input_count_ = static_cast<uint32_t>(spec.input.count());
  network.classes_ = spec.classes;
  network.first_trainable_ = model->tensors[0].layer;

  plan::Shape shape = spec.input;
  for (uint32_t index = 0; index < spec.layers.size(); ++index) {
    Layer layer;
    layer.kind = spec.layers[index].kind;
    layer.window = window_of(spec.layers[index], shape);
    layer.units = spec.layers[index].units;
    layer.input_count = shape.count();
    shape = model->outputs[index];
    layer.output_count = shape.count();
    layer.wants_input_gradient = index > network.first_trainable_;
    if (layer.kind == LayerKind::kRelu && index > 0 && network.layers_.back().has_weights()) {
      network.layers_.back().relu_follows = true;
      layer.relu_done = true;
    }
    RUNNEL_ASSERT(network.layers_.push_back(layer));
  }
  for (const plan::TensorInfo& tensor : model->tensors) {
    Layer& layer = network.layers_[tensor.layer];
    if (tensor.fan_in != 0) {
      layer.weight_offset = tensor.offset;
      layer.weight_count = tensor.count;
    } else {
      layer.bias_offset = tensor.offset;
    }
  }

  const uint64_t before_bytes = block_layout.bytes();
  network.place_activations(batch_size, use, block_layout);
  if (use == Use::kTraining) network.place_gradients(batch_size, block_layout);
  network.activation_bytes_ = block_layout.bytes() - before_bytes;
  network.workspace_ = block_layout.add<float>(network.workspace_floats(batch_size));
  network.workspace_bytes_ = block_layout.bytes() - before_bytes - network.activation_bytes_;
  return network;
}

void Network::place_activations(uint32_t batch_size, Use use, BlockLayout& block_layout) {
  if (use == Use::kTraining) {
    input_ = block_layout.add<float>(uint64_t{batch_size} * input_count_);
    Piece<float> current = input_;
    for (Layer& layer : layers_) {
      layer.input = current;
      if (!layer.in_place()) current = block_layout.add<float>(uint64_t{batch_size} * layer.output_count);
      layer.output = current;
    }
    return;
  }
  uint64_t counts[2] = {input_count_, 0};
  uint32_t side = 0;
  for (const Layer& layer : layers_) {
    if (!layer.in_place()) side ^= 1U;
    counts[side] = std::max<uint64_t>(counts[side], layer.output_count);
  }
  const Piece<float> sides[2] = {block_layout.add<float>(batch_size * counts[0]),
                                 block_layout.add<float>(batch_size * counts[1])};
  input_ = sides[0];
  side = 0;
  for (Layer& layer : layers_) {
    layer.input = sides[side];
    if (!layer.in_place()) side ^= 1U;
    layer.output = sides[side];
  }
}

void Network::place_gradients(uint32_t batch_size, BlockLayout& block_layout) {
  // From the logits back to the first layer with weights, whose output gradient is the last one needed.
  uint64_t counts[2] = {classes_, 0};
  uint32_t side = 0;
  for (size_t index = layers_.size() - 1; index > first_trainable_; --index) {
    if (!layers_[index].in_place()) side ^= 1U;
    counts[side] = std::max<uint64_t>(counts[side], layers_[index].input_count);
  }
  const Piece<float> sides[2] = {block_layout.add<float>(batch_size * counts[0]),
                                 block_layout.add<float>(batch_size * counts[1])};
  side = 0;
  for (size_t index = layers_.size(); index-- > first_trainable_;) {
    Layer& layer = layers_[index];
    layer.output_gradient = sides[side];
    if (!layer.in_place()) side ^= 1U;
    layer.input_gradient = sides[side];
  }
}

uint64_t Network::workspace_floats(uint32_t batch_size) const {
  size_t floats = 0;
  for (const Layer& layer : layers_) {
    if (layer.kind == LayerKind::kDense) {
      floats = std::max(floats, tensor::dense_workspace({layer.input_count, layer.units}, batch_size));
    } else if (layer.kind == LayerKind::kConv2d) {
      floats = std::max(floats, tensor::conv2d_workspace({layer.window, layer.units}));
    }
  }
  return floats;
}

void Network::bind(MutableByteView block) {
  block_ = block;
}

std::span<float> Network::input(uint32_t example) {
  return input_.in(block_).subspan(size_t{example} * input_count_, input_count_);
}

std::span<const float> Network::logits(uint32_t examples) const {
  return part(layers_.back().output, examples, classes_);
}

std::span<float> Network::logit_gradient(uint32_t examples) {
  return part(layers_.back().output_gradient, examples, classes_);
}

void Network::forward(std::span<const float> parameters, uint32_t examples) {
  RUNNEL_ASSERT(parameters.size() == parameter_count_);
  for (const Layer& layer : layers_) forward_layer(layer, parameters, examples);
}

void Network::backward(std::span<const float> parameters, uint32_t examples, std::span<float> gradient) {
  RUNNEL_ASSERT(parameters.size() == parameter_count_ && gradient.size() == parameter_count_);
  for (size_t index = layers_.size(); index-- > first_trainable_;)
    backward_layer(layers_[index], parameters, examples, gradient);
}

void Network::forward_layer(const Layer& layer, std::span<const float> parameters, uint32_t examples) {
  const std::span<const float> input = part(layer.input, examples, layer.input_count);
  const std::span<float> output = part(layer.output, examples, layer.output_count);
  const std::span<const float> weight = parameters.subspan(layer.weight_offset, layer.weight_count);
  const std::span<const float> bias = parameters.subspan(layer.bias_offset, layer.has_weights() ? layer.units : 0);
  switch (layer.kind) {
    case LayerKind::kDense:
      return tensor::dense_forward({layer.input_count, layer.units}, examples, input, weight, bias, layer.activation(),
                                   output, workspace_.in(block_));
    case LayerKind::kConv2d:
      return tensor::conv2d_forward({layer.window, layer.units}, examples, input, weight, bias, layer.activation(),
                                    output, workspace_.in(block_));
    case LayerKind::kMaxPool2d:
      return tensor::max_pool2d_forward(layer.window, examples, input, output);
    case LayerKind::kAvgPool2d:
      return tensor::avg_pool2d_forward(layer.window, examples, input, output);
    case LayerKind::kRelu:
      if (!layer.relu_done) tensor::relu_forward(output);
      return;
    default:
      return;
  }
}

void Network::backward_layer(const Layer& layer, std::span<const float> parameters, uint32_t examples,
                             std::span<float> gradient) {
  const std::span<const float> input = part(layer.input, examples, layer.input_count);
  const std::span<float> output_gradient = part(layer.output_gradient, examples, layer.output_count);
  const std::span<float> input_gradient =
      layer.wants_input_gradient ? part(layer.input_gradient, examples, layer.input_count) : std::span<float>{};
  const std::span<const float> weight = parameters.subspan(layer.weight_offset, layer.weight_count);
  const std::span<float> weight_gradient = gradient.subspan(layer.weight_offset, layer.weight_count);
  const std::span<float> bias_gradient = gradient.subspan(layer.bias_offset, layer.has_weights() ? layer.units : 0);
  switch (layer.kind) {
    case LayerKind::kDense:
      return tensor::dense_backward({layer.input_count, layer.units}, examples, input, weight, output_gradient, 1.0F,
                                    weight_gradient, bias_gradient, input_gradient, workspace_.in(block_));
    case LayerKind::kConv2d:
      return tensor::conv2d_backward({layer.window, layer.units}, examples, input, weight, output_gradient, 1.0F,
                                     weight_gradient, bias_gradient, input_gradient, workspace_.in(block_));
    case LayerKind::kMaxPool2d:
      return tensor::max_pool2d_backward(layer.window, examples, input, output_gradient, input_gradient);
    case LayerKind::kAvgPool2d:
      return tensor::avg_pool2d_backward(layer.window, examples, output_gradient, input_gradient);
    case LayerKind::kRelu:
      return tensor::relu_backward(part(layer.output, examples, layer.output_count), output_gradient);
    default:
      return;
  }
}

}  // namespace runnel::train
