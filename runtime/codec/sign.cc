#include "runtime/codec/sign.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "runtime/codec/quantizer.h"

namespace runnel::codec {
namespace {

constexpr uint64_t kNoisePart = 0x51619;

constexpr uint32_t buckets_of(uint32_t count, uint32_t bucket) {
  return static_cast<uint32_t>((uint64_t{count} + bucket - 1) / bucket);
}

constexpr uint64_t payload_bytes(uint32_t count, uint32_t bucket) {
  return uint64_t{buckets_of(count, bucket)} * sizeof(float) + (uint64_t{count} + 7) / 8;
}

// Coordinates at a time: what the vector kernels draw numbers for at once, and little where the stack is a board's.
#ifdef RUNNEL_FAST_KERNELS
constexpr uint32_t kPiece = LaneRng::kChunk;
#else
constexpr uint32_t kPiece = 256;
#endif
static_assert(LaneRng::kChunk % kPiece == 0 && kPiece % LaneRng::kStep == 0);

constexpr size_t kLanes = 8;  // partial results, whatever vectors the machine has

float largest_of(std::span<const float> values) {
  std::array<float, kLanes> lanes{};
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = std::max(lanes[lane], std::fabs(values[i + lane]));
  }
  for (size_t i = whole; i < values.size(); ++i) lanes[0] = std::max(lanes[0], std::fabs(values[i]));
  return *std::max_element(lanes.begin(), lanes.end());
}

float mean_magnitude(std::span<const float> values) {
  std::array<double, kLanes> lanes{};
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += std::fabs(values[i + lane]);
  }
  for (size_t i = whole; i < values.size(); ++i) lanes[i - whole] += std::fabs(values[i]);
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  return static_cast<float>(sum / static_cast<double>(values.size()));
}

// The random numbers of coordinates from the first on, one piece after the other.
class Numbers {
 public:
  explicit Numbers(const LaneRng& rng) : rng_(rng) {}

  void draw(uint32_t first, size_t count, std::span<uint16_t, kPiece> out) {
    if constexpr (kPiece == LaneRng::kChunk) return draw_numbers(rng_, first / LaneRng::kChunk, count, out);
    if (first % LaneRng::kChunk == 0) state_ = rng_.start(first / LaneRng::kChunk);
    for (size_t i = 0; i < count; i += LaneRng::kStep)
      LaneRng::step(state_, LaneRng::Numbers(out.data() + i, LaneRng::kStep));
  }

 private:
  const LaneRng& rng_;
  LaneRng::State state_{};
};

// A byte for each value, 1 for negative, or negative after the noise: numbers in (-1, 1) times the scale, symmetric
// around zero, of 16 bits each, so that a sign's probability is right to 2^-17.
void sign_of(std::span<const float> values, uint8_t* negative) {
  for (size_t i = 0; i < values.size(); ++i) negative[i] = std::signbit(values[i]) ? 1 : 0;
}
void sign_of(std::span<const float> values, float scale, const uint16_t* numbers, uint8_t* negative) {
  const double unit = 0x1.0p-16 * scale;
  for (size_t i = 0; i < values.size(); ++i) {
    const double noise = 2 * int32_t{numbers[i]} - 65535;
    negative[i] = values[i] + noise * unit < 0.0 ? 1 : 0;
  }
}

// Eight bytes of 0 or 1 to the bits of one, the first lowest.
uint8_t packed_bits(const uint8_t* bits) {
  return static_cast<uint8_t>(load_le<uint64_t>(bits) * 0x0102040810204080ULL >> 56);
}

// scale or -scale for the bits from number `first` on.
void spread_signs(const uint8_t* bits, float scale, size_t first, std::span<float> values) {
  const auto magnitude = std::bit_cast<uint32_t>(scale);
  const auto value_at = [&](uint32_t byte, size_t bit) {
    return std::bit_cast<float>(magnitude | (byte >> bit & 1U) << 31);
  };
  size_t i = 0;
  for (; i < values.size() && (first + i) % 8 != 0; ++i) values[i] = value_at(bits[(first + i) / 8], (first + i) % 8);
  for (; i + 8 <= values.size(); i += 8) {
    const uint32_t byte = bits[(first + i) / 8];
    for (size_t bit = 0; bit < 8; ++bit) values[i + bit] = value_at(byte, bit);
  }
  for (; i < values.size(); ++i) values[i] = value_at(bits[(first + i) / 8], (first + i) % 8);
}

}  // namespace

uint64_t sign_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  return payload_bytes(count, spec.bucket);
}

Result<plan::EncodedTensor> encode_sign(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out) {
  if (Failure failure = check_finite(values); !failure.ok()) return failure;
  const auto count = static_cast<uint32_t>(values.size());
  const bool dithered = spec.codec == plan::CodecId::kSignDithered;
  const ByteView payload = out.first(static_cast<size_t>(payload_bytes(count, spec.bucket)));
  float largest_scale = 0.0F;
  for (uint32_t first = 0, b = 0; first < count; first += std::min(spec.bucket, count - first), ++b) {
    const std::span<const float> bucket = values.subspan(first, std::min(spec.bucket, count - first));
    const float scale = dithered ? largest_of(bucket) : mean_magnitude(bucket);
    store_le(out.data() + b * sizeof(float), scale);
    largest_scale = std::max(largest_scale, scale);
  }
  const LaneRng rng(derive_key(seed, kNoisePart));
  Numbers source(rng);
  std::array<uint16_t, kPiece> numbers;
  std::array<uint8_t, kPiece> negative;
  uint8_t* bits = out.data() + size_t{buckets_of(count, spec.bucket)} * sizeof(float);
  for (uint32_t first = 0; first < count; first += std::min(kPiece, count - first)) {
    const std::span<const float> piece = values.subspan(first, std::min(kPiece, count - first));
    if (dithered) {
      source.draw(first, piece.size(), numbers);
      for (size_t at = 0; at < piece.size();) {
        const size_t b = (first + at) / spec.bucket;
        const size_t size = std::min(piece.size() - at, (b + 1) * spec.bucket - (first + at));
        const auto scale = load_le<float>(out.data() + b * sizeof(float));
        sign_of(piece.subspan(at, size), scale, numbers.data() + at, negative.data() + at);
        at += size;
      }
    } else {
      sign_of(piece, negative.data());
    }
    std::fill(negative.begin() + static_cast<ptrdiff_t>(piece.size()), negative.end(), uint8_t{0});
    for (size_t i = 0; i < piece.size(); i += 8) *bits++ = packed_bits(negative.data() + i);
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
    spread_signs(bits, scale, first, values.subspan(first, end - first));
  }
  return Error::kOk;
}

}  // namespace runnel::codec
