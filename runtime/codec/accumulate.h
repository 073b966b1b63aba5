// Encoded tensors added up without ever being vectors themselves: acc[i] += weight * value[i], as a coordinator does
// with every update of a round. The product and the sum are rounded to fp32 one after the other, so the result is what
// decoding and adding would give, bit for bit.
//
// Memory: the caller's; chunks of values lie on the stack. Threads: no state. Trust: takes anyone's bytes, as decoding
// does.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/plan/encoded_tensor.h"

namespace runnel::codec {

// Floats of scratch that accumulate_tensor() takes for this tensor: none for the bucketed schemes, unless the tensor is
// rotated, only a share of it was sent, or an Elias code has buckets of more than 4096; else its count.
size_t accumulate_scratch_count(const plan::EncodedTensor& tensor);

// Fails as decode_tensor, and with kNoMemory for too little scratch. After a failure acc is unspecified if the tensor
// takes no scratch, because its values were added as they were decoded; otherwise acc is unchanged.
Failure accumulate_tensor(std::string_view name, const plan::EncodedTensor& tensor, float weight, std::span<float> acc,
                          std::span<float> scratch = {});

// Adds up many tensors of equal count with the coder kFixed, all of them piece by piece, so that a piece of acc stays
// in the nearest cache. acc is unchanged after a failure, which says which tensor: everything is checked before
// anything is added. kInvalidArgument unless there are as many weights as tensors; kUnsupported for another coder.
Failure accumulate_fixed(std::span<const plan::EncodedTensor> tensors, std::span<const float> weights,
                         std::span<float> acc);

}  // namespace runnel::codec
