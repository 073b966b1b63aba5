// A model as a safetensors file: 8 bytes of header length (little-endian), a JSON header, then the numbers.
//
// The format is Hugging Face's (github.com/huggingface/safetensors): for each tensor its type, shape and byte range.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

// Row-major: [out, in] for dense, [out, in / groups, kernel_h, kernel_w] for convolutions, [vocabulary, units] for
// embeddings, [gates * units, in] and [gates * units, units] for recurrent layers; everything else is one row.
std::vector<uint32_t> tensor_shape(const plan::ModelSpec& spec, const plan::TensorInfo& tensor);

// The whole file. The header also says the model's name, its version, `sha256`, and the model file's text. REQUIRES:
// layout is make_layout(spec)'s, parameters.size() == layout.parameter_count.
std::vector<uint8_t> encode_safetensors(const plan::ModelSpec& spec, const plan::ModelLayout& layout, uint64_t version,
                                        const std::string& sha256, std::span<const float> parameters);

}  // namespace runnel::coordinator
