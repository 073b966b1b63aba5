#include "runtime/tensor/activation.h"

#include "runtime/base/error.h"
#include "runtime/tensor/lanes.h"
#include "runtime/tensor/math.h"

namespace runnel::tensor {
namespace {

void check_sizes(std::span<const float> a, std::span<const float> b, std::span<const float> c) {
  RUNNEL_ASSERT(a.size() == b.size() && b.size() == c.size());
}

}  // namespace

void relu6_forward(std::span<const float> input, std::span<float> output) {
  check_sizes(input, input, output);
  map(input, output, [](float x) {
    const float above = x < 0.0F ? 0.0F : x;
    return above > 6.0F ? 6.0F : above;
  });
}

void relu6_backward(std::span<const float> output, std::span<const float> output_gradient,
                    std::span<float> input_gradient) {
  check_sizes(output, output_gradient, input_gradient);
  map(output, output_gradient, input_gradient, [](float y, float dy) {
    const float above = y > 0.0F ? dy : 0.0F;
    return y < 6.0F ? above : 0.0F;
  });
}

void leaky_relu_forward(float slope, std::span<const float> input, std::span<float> output) {
  check_sizes(input, input, output);
  map(input, output, [slope](float x) { return x > 0.0F ? x : slope * x; });
}

void leaky_relu_backward(float slope, std::span<const float> output, std::span<const float> output_gradient,
                         std::span<float> input_gradient) {
  check_sizes(output, output_gradient, input_gradient);
  map(output, output_gradient, input_gradient, [slope](float y, float dy) { return y > 0.0F ? dy : slope * dy; });
}

void tanh_forward(std::span<const float> input, std::span<float> output) {
  check_sizes(input, input, output);
  map(input, output, [](float x) { return math::tanh(x); });
}

void tanh_backward(std::span<const float> output, std::span<const float> output_gradient,
                   std::span<float> input_gradient) {
  check_sizes(output, output_gradient, input_gradient);
  map(output, output_gradient, input_gradient, [](float y, float dy) { return dy * (1.0F - y * y); });
}

void sigmoid_forward(std::span<const float> input, std::span<float> output) {
  check_sizes(input, input, output);
  map(input, output, [](float x) { return math::sigmoid(x); });
}

void sigmoid_backward(std::span<const float> output, std::span<const float> output_gradient,
                      std::span<float> input_gradient) {
  check_sizes(output, output_gradient, input_gradient);
  map(output, output_gradient, input_gradient, [](float y, float dy) { return dy * (y * (1.0F - y)); });
}

void gelu_forward(std::span<const float> input, std::span<float> output) {
  check_sizes(input, input, output);
  constexpr float kRootHalf = 0.707106781F;
  map(input, output, [](float x) { return x * (0.5F * (1.0F + math::erf(x * kRootHalf))); });
}

void gelu_backward(std::span<const float> input, std::span<const float> output_gradient,
                   std::span<float> input_gradient) {
  check_sizes(input, output_gradient, input_gradient);
  constexpr float kRootHalf = 0.707106781F;
  constexpr float kDensity = 0.398942280F;  // 1 / sqrt(2 pi)
  map(input, output_gradient, input_gradient, [](float x, float dy) {
    const float below = 0.5F * (1.0F + math::erf(x * kRootHalf));
    return dy * (below + x * (kDensity * math::exp(-0.5F * x * x)));
  });
}

}  // namespace runnel::tensor
