// Updates to bytes and back: every scheme behind one pair of functions for a tensor and one for a whole update.
//
// An encoded tensor describes itself, so decoding needs no CodecSpec. Encoding is a function of its arguments: same
// values, same seed, same bytes, on every machine with IEEE arithmetic.
//
// Memory: nothing but the caller's buffers. Threads: no state; calls on different buffers may run side by side.
// Trust: decoding takes anyone's bytes. Every outcome is finite values or an error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"
#include "runtime/plan/encoded_tensor.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"

namespace runnel::codec {

using EncodedTensors = StaticVector<plan::EncodedTensor, plan::kTensorsMax>;

// Upper bound of the payload, in bytes, for any `count` values, and what the output buffer must hold. 0 for a spec that
// plan::check refuses; SIZE_MAX if the bound does not fit.
size_t encoded_bytes_max(const plan::CodecSpec& spec, uint32_t count);

// Floats of scratch that encoding `count` values takes: none, unless they are rotated or only a share of them is sent.
size_t encode_scratch_count(const plan::CodecSpec& spec, uint32_t count);

// Encodes one tensor of at most plan::kParametersMax values. A tensor of at most spec.exact_coordinates_max coordinates
// is sent as fp32, unless the scheme has a step. All randomness derives from `seed`. The payload lies at the start of
// `out`. Fails with kNotFinite and the index ("3.conv2d.weight: value 17 is nan"), with kOutOfRange if the spec is
// invalid or a norm is beyond fp32, and with kNoMemory if `out` is smaller than encoded_bytes_max or `scratch` than
// encode_scratch_count, whatever this payload would have taken. The content of `out` is then unspecified.
Result<plan::EncodedTensor> encode_tensor(const plan::CodecSpec& spec, std::string_view name,
                                          std::span<const float> values, uint64_t seed, MutableByteView out,
                                          std::span<float> scratch = {});

// Total: any header and bytes give values or an error, in time O(count + payload bytes) and with no memory beyond
// `values`. kShape unless values.size() == tensor.count. After a failure the content of `values` is unspecified.
Failure decode_tensor(std::string_view name, const plan::EncodedTensor& tensor, std::span<float> values);

// Upper bound of a whole update, in bytes, and what the output buffer must hold; and the scratch it takes.
size_t encoded_update_bytes_max(const plan::CodecSpec& spec, const plan::ModelLayout& layout);
size_t encode_update_scratch_count(const plan::CodecSpec& spec, const plan::ModelLayout& layout);

// A whole update. A scheme with a step takes all tensors as one run, since one step serves them all; the others take
// one tensor at a time, tensor k with derive_key(seed, k). The payloads lie one after another in `out`. Returns how
// many bytes of it they take. kShape unless update.size() == layout.parameter_count; otherwise fails as encode_tensor.
// After a failure `tensors` is empty.
Result<size_t> encode_update(const plan::CodecSpec& spec, const plan::ModelLayout& layout,
                             std::span<const float> update, uint64_t seed, MutableByteView out, EncodedTensors& tensors,
                             std::span<float> scratch = {});

// The same with a step of its own for each tensor: tensor k with steps[k] and derive_key(seed, k). kInvalidArgument
// unless the scheme has a step; kShape unless there are as many steps as tensors.
size_t encoded_layers_bytes_max(const plan::CodecSpec& spec, const plan::ModelLayout& layout);
Result<size_t> encode_update_layers(const plan::CodecSpec& spec, std::span<const float> steps,
                                    const plan::ModelLayout& layout, std::span<const float> update, uint64_t seed,
                                    MutableByteView out, EncodedTensors& tensors, std::span<float> scratch = {});

// The way back. kShape names the tensor that differs from the layout, before anything is decoded; otherwise fails as
// decode_tensor. After a failure the content of `update` is unspecified.
Failure decode_update(const plan::ModelLayout& layout, std::span<const plan::EncodedTensor> tensors,
                      std::span<float> update);

// The rate model, for schemes with a step: the payload's bytes if `values` were encoded with spec.step, within 1 %, in
// one pass without encoding. REQUIRES: finite values, plan::has_step(spec.codec); scratch as for encode_tensor.
double predict_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                     std::span<float> scratch = {});

// The finest step whose predicted payload is at most `bytes_max`, by bisection on a logarithmic grid of 1/32 octave, or
// of 1/256 where that leaves more than 3 % unused; the coarsest step tried (the payload of all zeros) if none is. Same
// requirements.
float step_for_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, double bytes_max,
                     std::span<float> scratch = {});

// Payload bits per coordinate over all the tensors, for reports; 0 if there are no coordinates.
double bits_per_coordinate(std::span<const plan::EncodedTensor> tensors);

}  // namespace runnel::codec
