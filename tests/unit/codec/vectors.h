// Test vectors by distribution, and an encoder that owns its buffer.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/codec/quantizer.h"
#include "runtime/codec/update_codec.h"

namespace runnel::codec {

inline std::vector<float> gauss_vector(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

inline std::vector<float> laplace_vector(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    const double magnitude = -std::log(1.0 - rng.uniform());
    value = static_cast<float>(rng.below(2) == 0 ? magnitude : -magnitude);
  }
  return values;
}

inline std::vector<float> flat_vector(size_t count) {
  return std::vector<float>(count, 1.0F);
}

inline double squared_norm(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += double{value} * value;
  return sum;
}

// QSGD in the codes of its paper for every tensor, however small.
inline plan::CodecSpec qsgd_spec(uint32_t levels, uint32_t bucket) {
  return {plan::CodecId::kQsgd, levels, bucket, 0, plan::Coder::kElias};
}

// The symbols of the values that begin at coordinate `first` of a tensor and share a norm.
inline std::vector<int16_t> symbols_of(const Quantizer& quantizer, float norm, std::span<const float> values,
                                       size_t first, uint64_t seed) {
  std::vector<int16_t> symbols(values.size());
  std::vector<uint16_t> numbers(LaneRng::kChunk);
  for (size_t at = 0; at < values.size();) {
    const size_t place = (first + at) % LaneRng::kChunk;
    const size_t count = std::min(values.size() - at, LaneRng::kChunk - place);
    draw_numbers(LaneRng(seed), (first + at) / LaneRng::kChunk, LaneRng::kChunk, numbers);
    quantize(quantizer, norm, values.subspan(at, count), std::span<const uint16_t>(numbers).subspan(place, count),
             std::span(symbols).subspan(at, count));
    at += count;
  }
  return symbols;
}

// An encoded tensor together with the bytes that it borrows.
struct Encoded {
  std::vector<uint8_t> buffer;
  plan::EncodedTensor tensor;
  Failure failure = Error::kOk;
  double payload_bits() const { return 8.0 * static_cast<double>(tensor.payload.size()); }
};

inline Encoded encode(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed) {
  Encoded encoded;
  encoded.buffer.resize(encoded_bytes_max(spec, static_cast<uint32_t>(values.size())));
  std::vector<float> scratch(encode_scratch_count(spec, static_cast<uint32_t>(values.size())));
  Result<plan::EncodedTensor> result = encode_tensor(spec, "tensor", values, seed, encoded.buffer, scratch);
  if (result.ok()) {
    encoded.tensor = *result;
  } else {
    encoded.failure = result.failure();
  }
  return encoded;
}

}  // namespace runnel::codec
