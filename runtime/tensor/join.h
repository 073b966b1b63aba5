// What joins branches of a graph: sums, and tensors one behind the other; and the sum of gradients where a branch
// began.
#pragma once

#include <cstddef>
#include <span>

namespace runnel::tensor {

// to += from. One length. The gradient of a sum is copied to, or added into, each of its inputs'.
void add_into(std::span<const float> from, std::span<float> to);

// output = a + b. One length; the output may be the memory of either.
void add(std::span<const float> a, std::span<const float> b, std::span<float> output);

// One input of a concatenation along the channels: its `count` values stand at `offset` of each example's `total`.
struct ConcatPart {
  size_t offset = 0;
  size_t count = 0;
  size_t total = 0;
};

// Copies input [examples][count] to its places in output [examples][total]; other places stay.
void concat_forward(const ConcatPart& part, size_t examples, std::span<const float> input, std::span<float> output);

// Overwrites input_gradient [examples][count].
void concat_backward(const ConcatPart& part, size_t examples, std::span<const float> output_gradient,
                     std::span<float> input_gradient);

}  // namespace runnel::tensor
