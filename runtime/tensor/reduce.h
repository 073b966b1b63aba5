// Reductions of float vectors in a fixed order, written so that a compiler turns them into vector code.
#pragma once

#include <cstdint>
#include <span>

namespace runnel::tensor {

// The sum, in eight interleaved partial sums: the same order on every machine.
float sum(std::span<const float> values);

// False if any value is NaN or infinite.
bool all_finite(std::span<const float> values);

}  // namespace runnel::tensor
