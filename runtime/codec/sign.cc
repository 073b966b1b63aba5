#include "runtime/codec/sign.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/base/lane_rng.h"

namespace runnel::codec {
namespace {

constexpr uint64_t kNoisePart = 0x51619;

constexpr uint32_t buckets_of(uint32_t count, uint32_t bucket) {
  return static_cast<uint32_t>((uint64_t{count} + bucket - 1) / bucket);
}

constexpr uint64_t payload_bytes(uint32_t count, uint32_t bucket) {
  return uint64_t{buckets_of(count, bucket)} * sizeof(float) + (uint64_t{count} + 7) / 8;
}

float scale_of(plan::CodecId codec, std::span<const float> values) {
  float largest = 0.0F;
  double sum = 0.0;
  for (const float value : values) {
    largest = std::max(largest, std::fabs(value));
    sum += std::fabs(value);
  }
  if (codec == plan::CodecId::kSignDithered) return largest;
  return static_cast<float>(sum / static_cast<double>(values.size()));
}

// Numbers of the coordinates in order, in (-1, 1) and symmetric around zero: 16 bits each, so that a sign's probability
// is right to 2^-17.
class Noise {
 public:
  explicit Noise(uint64_t seed) : rng_(derive_key(seed, kNoisePart)) {}

  float next() {
    if (index_ % LaneRng::kChunk == 0) state_ = rng_.start(index_ / LaneRng::kChunk);
    if (index_ % LaneRng::kStep == 0) LaneRng::step(state_, numbers_);
    const int32_t number = numbers_[index_++ % LaneRng::kStep];
    return static_cast<float>(2 * number - 65535) * 0x1.0p-16F;
  }

 private:
  LaneRng rng_;
  LaneRng::State state_{};
  std::array<uint16_t, LaneRng::kStep> numbers_{};
  uint64_t index_ = 0;
};

}  // namespace

uint64_t sign_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  return payload_bytes(count, spec.bucket);
}

Result<plan::EncodedTensor> encode_sign(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out) {
  if (Failure failure = check_finite(values); !failure.ok()) return failure;
  const auto count = static_cast<uint32_t>(values.size());
  const uint64_t bits_from = uint64_t{buckets_of(count, spec.bucket)} * sizeof(float);
  const ByteView payload = out.first(static_cast<size_t>(payload_bytes(count, spec.bucket)));
  std::fill(out.begin() + static_cast<ptrdiff_t>(bits_from), out.begin() + static_cast<ptrdiff_t>(payload.size()),
            uint8_t{0});
  Noise noise(seed);
  float largest_scale = 0.0F;
  for (uint32_t first = 0, b = 0; first < count; first += std::min(spec.bucket, count - first), ++b) {
    const std::span<const float> bucket = values.subspan(first, std::min(spec.bucket, count - first));
    const float scale = scale_of(spec.codec, bucket);
    store_le(out.data() + b * sizeof(float), scale);
    largest_scale = std::max(largest_scale, scale);
    for (size_t i = 0; i < bucket.size(); ++i) {
      bool negative = std::signbit(bucket[i]);
      if (spec.codec == plan::CodecId::kSignDithered) {
        // The noise is drawn where it has no effect too: coordinate n has number n.
        const double dither = noise.next();
        negative = bucket[i] + dither * scale < 0.0;
      }
      uint8_t& byte = out[static_cast<size_t>(bits_from) + (first + i) / 8];
      byte = static_cast<uint8_t>(byte | (negative ? 1U : 0U) << ((first + i) % 8));
    }
  }
  plan::EncodedTensor tensor;
  tensor.codec = spec.codec;
  tensor.count = count;
  tensor.bits = 1;
  tensor.bucket = spec.bucket;
  tensor.scale = largest_scale;
  tensor.payload = payload;
  return tensor;
}

Failure decode_sign(const plan::EncodedTensor& tensor, std::span<float> values) {
  plan::CodecSpec spec;
  spec.codec = tensor.codec;
  spec.bucket = tensor.bucket;
  RUNNEL_TRY(plan::check(spec));
  if (tensor.bits != 1 || tensor.levels != 0 || tensor.coder != plan::Coder::kAuto) {
    return fail(Error::kMalformed, "a sign has one bit, no levels and no coder, not %u, %u and %u",
                unsigned{tensor.bits}, tensor.levels, static_cast<unsigned>(tensor.coder));
  }
  if (const uint64_t bytes = payload_bytes(tensor.count, tensor.bucket); tensor.payload.size() != bytes) {
    return fail(tensor.payload.size() < bytes ? Error::kTruncated : Error::kMalformed, "payload is %zu bytes, not %llu",
                tensor.payload.size(), static_cast<unsigned long long>(bytes));
  }
  const uint32_t buckets = buckets_of(tensor.count, tensor.bucket);
  const uint8_t* bits = tensor.payload.data() + buckets * sizeof(float);
  if (tensor.count % 8 != 0 && bits[tensor.count / 8] >> (tensor.count % 8) != 0) {
    return fail(Error::kMalformed, "padding is not zero");
  }
  for (uint32_t b = 0; b < buckets; ++b) {
    const auto scale = load_le<float>(tensor.payload.data() + b * sizeof(float));
    if (!valid_norm(scale) || scale > tensor.scale) {
      return fail(std::isfinite(scale) ? Error::kOutOfRange : Error::kNotFinite, "bucket %u: scale %g is not 0..%g", b,
                  static_cast<double>(scale), static_cast<double>(tensor.scale));
    }
    const uint32_t first = b * tensor.bucket;
    const uint32_t end = first + std::min(tensor.bucket, tensor.count - first);
    for (uint32_t i = first; i < end; ++i) values[i] = (bits[i / 8] >> (i % 8) & 1) != 0 ? -scale : scale;
  }
  return Error::kOk;
}

}  // namespace runnel::codec
