#include "runtime/train/layer_passes.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/tensor/activation.h"
#include "runtime/tensor/dropout.h"
#include "runtime/tensor/join.h"
#include "runtime/tensor/pool2d.h"
#include "runtime/tensor/relu.h"
#include "runtime/train/layer_sizes.h"

namespace runnel::train {
namespace {

using plan::LayerKind;

// Tensor `which` of the layer; empty if the layer has fewer.
std::span<const float> tensor_of(const Layer& layer, std::span<const float> parameters, size_t which) {
  if (which >= layer.tensors.size()) return {};
  return parameters.subspan(layer.tensors[which].offset, layer.tensors[which].count);
}

std::span<float> gradient_of(const Layer& layer, const BackwardPass& pass, size_t which) {
  if (which >= layer.tensors.size() || pass.weight_gradient.empty()) return {};
  return pass.weight_gradient.subspan(layer.tensors[which].offset - layer.trained.offset, layer.tensors[which].count);
}

tensor::RecurrentWeights recurrent_weights(const Layer& layer, std::span<const float> parameters) {
  return {tensor_of(layer, parameters, 0), tensor_of(layer, parameters, 1), tensor_of(layer, parameters, 2),
          tensor_of(layer, parameters, 3)};
}

tensor::RecurrentGradients recurrent_gradients(const Layer& layer, const BackwardPass& pass) {
  return {gradient_of(layer, pass, 0), gradient_of(layer, pass, 1), gradient_of(layer, pass, 2),
          gradient_of(layer, pass, 3)};
}

tensor::Activation activation_of(const Layer& layer) {
  return layer.relu_follows ? tensor::Activation::kRelu : tensor::Activation::kNone;
}

void forward_batch_norm(const Layer& layer, const ForwardPass& pass) {
  const auto scale = tensor_of(layer, pass.parameters, 0);
  const auto shift = tensor_of(layer, pass.parameters, 1);
  if (!pass.training || layer.frozen()) {
    return tensor::batch_norm_inference(batch_norm_of(layer), pass.examples, pass.inputs[0], scale, shift,
                                        tensor_of(layer, pass.parameters, 2), tensor_of(layer, pass.parameters, 3),
                                        pass.output);
  }
  std::span<float> mean;
  std::span<float> variance;
  if (!pass.statistics.empty()) {
    mean = pass.statistics.subspan(layer.tensors[2].offset, layer.tensors[2].count);
    variance = pass.statistics.subspan(layer.tensors[3].offset, layer.tensors[3].count);
  }
  tensor::batch_norm_forward(batch_norm_of(layer), pass.examples, pass.inputs[0], scale, shift, mean, variance,
                             pass.output, pass.saved);
}

void backward_batch_norm(const Layer& layer, const BackwardPass& pass) {
  const auto scale = tensor_of(layer, pass.parameters, 0);
  if (layer.frozen()) {
    return tensor::batch_norm_inference_backward(batch_norm_of(layer), pass.examples, scale,
                                                 tensor_of(layer, pass.parameters, 3), pass.output_gradient,
                                                 pass.input_gradients[0]);
  }
  tensor::batch_norm_backward(batch_norm_of(layer), pass.examples, pass.input, scale, pass.saved, pass.output_gradient,
                              pass.scale, gradient_of(layer, pass, 0), gradient_of(layer, pass, 1),
                              pass.input_gradients[0]);
}

void forward_sum(const Layer& layer, const ForwardPass& pass) {
  tensor::add(pass.inputs[0], pass.inputs[1], pass.output);
  for (size_t which = 2; which < layer.sources.size(); ++which) tensor::add_into(pass.inputs[which], pass.output);
}

template <typename Visit>
void for_each_part(const Layer& layer, Visit visit) {
  tensor::ConcatPart part;
  part.total = static_cast<size_t>(layer.output.count());
  for (size_t which = 0; which < layer.sources.size(); ++which) {
    part.count = layer.source_counts[which];
    visit(which, part);
    part.offset += part.count;
  }
}

void forward_relu(const Layer& layer, const ForwardPass& pass) {
  if (layer.relu_done) return;
  if (pass.output.data() != pass.inputs[0].data()) std::ranges::copy(pass.inputs[0], pass.output.begin());
  tensor::relu_forward(pass.output);
}

}  // namespace

void forward_layer(const Layer& layer, const ForwardPass& pass) {
  const std::span<const float> input = pass.inputs[0];
  const std::span<const float> weight = tensor_of(layer, pass.parameters, 0);
  const std::span<const float> second = tensor_of(layer, pass.parameters, 1);
  switch (layer.kind()) {
    case LayerKind::kDense:
      if (pass.deferred != nullptr) {
        return tensor::dense_forward_deferred(dense_of(layer), pass.examples, *pass.deferred, input, weight, second,
                                              activation_of(layer), pass.output, pass.workspace);
      }
      return tensor::dense_forward(dense_of(layer), pass.examples, input, weight, second, activation_of(layer),
                                   pass.output, pass.workspace);
    case LayerKind::kConv2d:
      return tensor::conv2d_forward(conv2d_of(layer), pass.examples, input, weight, second, activation_of(layer),
                                    pass.output, pass.workspace);
    case LayerKind::kMaxPool2d:
      return tensor::max_pool2d_forward(window_of(layer), pass.examples, input, pass.output);
    case LayerKind::kAvgPool2d:
      return tensor::avg_pool2d_forward(window_of(layer), pass.examples, input, pass.output);
    case LayerKind::kGlobalAvgPool:
      return tensor::global_avg_pool_forward(global_pool_of(layer), pass.examples, input, pass.output);
    case LayerKind::kGlobalMaxPool:
      return tensor::global_max_pool_forward(global_pool_of(layer), pass.examples, input, pass.output);
    case LayerKind::kRelu:
      return forward_relu(layer, pass);
    case LayerKind::kRelu6:
      return tensor::relu6_forward(input, pass.output);
    case LayerKind::kLeakyRelu:
      return tensor::leaky_relu_forward(layer.spec.value, input, pass.output);
    case LayerKind::kTanh:
      return tensor::tanh_forward(input, pass.output);
    case LayerKind::kSigmoid:
      return tensor::sigmoid_forward(input, pass.output);
    case LayerKind::kGelu:
      return tensor::gelu_forward(input, pass.output);
    case LayerKind::kBatchNorm:
      return forward_batch_norm(layer, pass);
    case LayerKind::kGroupNorm:
      return tensor::group_norm_forward(group_norm_of(layer), pass.examples, input, weight, second, pass.output,
                                        pass.saved);
    case LayerKind::kLayerNorm:
      return tensor::layer_norm_forward(layer_norm_of(layer), pass.examples, input, weight, second, pass.output,
                                        pass.saved);
    case LayerKind::kDropout:
      if (pass.training) {
        tensor::dropout(layer.spec.value, pass.dropout_key, pass.dropout_first, input, pass.output);
      } else if (pass.output.data() != input.data()) {
        std::ranges::copy(input, pass.output.begin());
      }
      return;
    case LayerKind::kEmbedding:
      return tensor::embedding_forward(embedding_of(layer), pass.examples, input, weight, pass.output);
    case LayerKind::kGru:
      return tensor::gru_forward(gru_of(layer), pass.examples, input, recurrent_weights(layer, pass.parameters),
                                 pass.output, pass.saved, pass.workspace);
    case LayerKind::kLstm:
      return tensor::lstm_forward(lstm_of(layer), pass.examples, input, recurrent_weights(layer, pass.parameters),
                                  pass.output, pass.saved, pass.workspace);
    case LayerKind::kAdd:
      return forward_sum(layer, pass);
    case LayerKind::kConcat:
      return for_each_part(layer, [&](size_t which, const tensor::ConcatPart& part) {
        tensor::concat_forward(part, pass.examples, pass.inputs[which], pass.output);
      });
    case LayerKind::kFlatten:
    case LayerKind::kReshape:
      return;
  }
}

void backward_layer(const Layer& layer, const BackwardPass& pass) {
  const std::span<float> input_gradient = pass.input_gradients[0];
  const std::span<const float> weight = tensor_of(layer, pass.parameters, 0);
  const std::span<float> weight_gradient = gradient_of(layer, pass, 0);
  const std::span<float> second_gradient = gradient_of(layer, pass, 1);
  switch (layer.kind()) {
    case LayerKind::kDense:
      if (pass.deferred != nullptr) {
        return tensor::dense_backward_deferred(dense_of(layer), pass.examples, *pass.deferred, pass.input,
                                               pass.output_gradient, pass.scale, weight_gradient, second_gradient,
                                               input_gradient, pass.workspace);
      }
      return tensor::dense_backward(dense_of(layer), pass.examples, pass.input, weight, pass.output_gradient,
                                    pass.scale, weight_gradient, second_gradient, input_gradient, pass.workspace);
    case LayerKind::kConv2d:
      return tensor::conv2d_backward(conv2d_of(layer), pass.examples, pass.input, weight, pass.output_gradient,
                                     pass.scale, weight_gradient, second_gradient, input_gradient, pass.workspace);
    case LayerKind::kMaxPool2d:
      return tensor::max_pool2d_backward(window_of(layer), pass.examples, pass.input, pass.output_gradient,
                                         input_gradient, layer.passes_relu);
    case LayerKind::kAvgPool2d:
      return tensor::avg_pool2d_backward(window_of(layer), pass.examples, pass.output_gradient, input_gradient);
    case LayerKind::kGlobalAvgPool:
      return tensor::global_avg_pool_backward(global_pool_of(layer), pass.examples, pass.output_gradient,
                                              input_gradient);
    case LayerKind::kGlobalMaxPool:
      return tensor::global_max_pool_backward(global_pool_of(layer), pass.examples, pass.input, pass.output_gradient,
                                              input_gradient);
    case LayerKind::kRelu:
      if (layer.passes_relu) return;
      return tensor::relu_backward(pass.output, input_gradient);
    case LayerKind::kRelu6:
      return tensor::relu6_backward(pass.output, pass.output_gradient, input_gradient);
    case LayerKind::kLeakyRelu:
      return tensor::leaky_relu_backward(layer.spec.value, pass.output, pass.output_gradient, input_gradient);
    case LayerKind::kTanh:
      return tensor::tanh_backward(pass.output, pass.output_gradient, input_gradient);
    case LayerKind::kSigmoid:
      return tensor::sigmoid_backward(pass.output, pass.output_gradient, input_gradient);
    case LayerKind::kGelu:
      return tensor::gelu_backward(pass.input, pass.output_gradient, input_gradient);
    case LayerKind::kBatchNorm:
      return backward_batch_norm(layer, pass);
    case LayerKind::kGroupNorm:
      return tensor::group_norm_backward(group_norm_of(layer), pass.examples, pass.input, weight, pass.saved,
                                         pass.output_gradient, pass.scale, weight_gradient, second_gradient,
                                         input_gradient);
    case LayerKind::kLayerNorm:
      return tensor::layer_norm_backward(layer_norm_of(layer), pass.examples, pass.input, weight, pass.saved,
                                         pass.output_gradient, pass.scale, weight_gradient, second_gradient,
                                         input_gradient);
    case LayerKind::kDropout:
      return tensor::dropout(layer.spec.value, pass.dropout_key, pass.dropout_first, pass.output_gradient,
                             input_gradient);
    case LayerKind::kEmbedding:
      return tensor::embedding_backward(embedding_of(layer), pass.examples, pass.input, pass.output_gradient,
                                        pass.scale, weight_gradient);
    case LayerKind::kGru:
      return tensor::gru_backward(gru_of(layer), pass.examples, pass.input, recurrent_weights(layer, pass.parameters),
                                  pass.output_gradient, pass.scale, recurrent_gradients(layer, pass), input_gradient,
                                  pass.saved, pass.workspace);
    case LayerKind::kLstm:
      return tensor::lstm_backward(lstm_of(layer), pass.examples, pass.input, recurrent_weights(layer, pass.parameters),
                                   pass.output_gradient, pass.scale, recurrent_gradients(layer, pass), input_gradient,
                                   pass.saved, pass.workspace);
    case LayerKind::kConcat:
      return for_each_part(layer, [&](size_t which, const tensor::ConcatPart& part) {
        if (!pass.input_gradients[which].empty())
          tensor::concat_backward(part, pass.examples, pass.output_gradient, pass.input_gradients[which]);
      });
    case LayerKind::kAdd:
    case LayerKind::kFlatten:
    case LayerKind::kReshape:
      return;
  }
}

}  // namespace runnel::train
