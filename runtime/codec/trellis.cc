#include "runtime/codec/trellis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "runtime/codec/bfloat16.h"
#include "runtime/codec/rotation.h"
#include "runtime/codec/trellis_coder.h"
#include "runtime/codec/trellis_search.h"

namespace runnel::codec {
namespace {

constexpr size_t kFactorBytes = sizeof(uint16_t);
constexpr float kScaledMax = 1048576.0F;  // of |value| / step: beyond it the values travel as they are
constexpr float kPointMax = 4194304.0F;   // no point that a decoder accepts is larger

// Sums over a chunk of x^2, x i and i^2, in a fixed order on every machine.
struct Moments {
  double values = 0.0;
  double product = 0.0;
  double points = 0.0;
};

Moments moments_of(std::span<const float> values, const uint8_t* symbols) {
  std::array<Moments, 4> parts{};
  for (size_t n = 0; n < values.size(); ++n) {
    const auto word = load_le<int32_t>(symbols + n * kTrellisSymbolBytes);
    const double point = 2 * (word >> 8) + (word >> 7 & 1);
    const double value = values[n];
    Moments& part = parts[n % 4];
    part.values += value * value;
    part.product += value * point;
    part.points += point * point;
  }
  Moments sum;
  for (const Moments& part : parts) {
    sum.values += part.values;
    sum.product += part.product;
    sum.points += part.points;
  }
  return sum;
}

// How many coordinates share a factor, and how many factors there are.
struct Chunks {
  Chunks(size_t count, bool rotated)
      : size(rotated ? kRotationChunk : std::max<size_t>(count, 1)), bytes((count + size - 1) / size * kFactorBytes) {}
  size_t size;
  size_t bytes;
};

// The largest factor that an encoder makes. A chunk of which next to nothing is left would have one of 100 and more,
// and an error as many times as large as what it stands for; a Gaussian chunk at 0.25 bit has 4.5.
constexpr double kFactorMax = 8.0;

// Finite for every point, so that the decoder will accept it.
bool usable(float factor, float step) {
  return factor > 0.0F && std::isfinite(factor * step * kPointMax);
}

float factor_of(const Moments& moments, const plan::CodecSpec& spec) {
  if (moments.points == 0.0) return 1.0F;
  const double step = spec.step;
  if (spec.rotate && !spec.error_feedback) {
    const double factor = moments.values / (moments.product * step);
    return static_cast<float>(std::min(factor, kFactorMax));
  }
  return static_cast<float>(moments.product / (moments.points * step));
}

plan::EncodedTensor described(const plan::CodecSpec& spec, size_t count, ByteView payload, plan::Coder coder) {
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kTrellis;
  tensor.count = static_cast<uint32_t>(count);
  tensor.bits = 0;
  tensor.scale = spec.step;
  tensor.coder = coder;
  tensor.rotated = spec.rotate;
  tensor.payload = payload;
  return tensor;
}

plan::EncodedTensor encode_raw(const plan::CodecSpec& spec, std::span<const float> values, MutableByteView out) {
  if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
  return described(spec, values.size(), out.first(values.size_bytes()), plan::Coder::kRaw);
}

}  // namespace

uint64_t trellis_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  return Chunks(count, spec.rotate).bytes + uint64_t{count} * kTrellisSymbolBytes + kTrellisPackSlackBytes;
}

Result<plan::EncodedTensor> encode_trellis(const plan::CodecSpec& spec, std::span<const float> values,
                                           uint64_t /*seed*/, MutableByteView out) {
  if (Failure failure = check_finite(values); !failure.ok()) return failure;
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  const float inverse_step = 1.0F / spec.step;
  if (!(largest * inverse_step <= kScaledMax)) return encode_raw(spec, values, out);

  const Chunks chunks(values.size(), spec.rotate);
  const MutableByteView work = out.subspan(chunks.bytes, values.size() * kTrellisSymbolBytes + kTrellisPackSlackBytes);
  search_trellis(values, inverse_step, work);
  bool all_zero = true;
  uint8_t* factors = out.data();
  for (size_t first = 0; first < values.size(); first += chunks.size, factors += kFactorBytes) {
    const std::span<const float> chunk = values.subspan(first, std::min(chunks.size, values.size() - first));
    const Moments moments = moments_of(chunk, work.data() + first * kTrellisSymbolBytes);
    all_zero = all_zero && moments.points == 0.0;
    const uint16_t factor = to_bfloat16(factor_of(moments, spec));
    if (!usable(from_bfloat16(factor), spec.step)) return encode_raw(spec, values, out);
    store_le(factors, factor);
  }
  if (all_zero) return described(spec, values.size(), out.first(0), plan::Coder::kModel);

  const ByteView packed = pack_trellis(choose_trellis_model(work, values.size()), work, values.size());
  if (packed.empty() || chunks.bytes + packed.size() >= values.size_bytes()) return encode_raw(spec, values, out);
  std::memmove(out.data() + chunks.bytes, packed.data(), packed.size());
  return described(spec, values.size(), out.first(chunks.bytes + packed.size()), plan::Coder::kModel);
}

Failure decode_trellis(const plan::EncodedTensor& tensor, std::span<float> values) {
  if (tensor.bits != 0 || tensor.levels != 0 || tensor.bucket != 0) {
    return fail(Error::kMalformed, "trellis has no bits, levels and bucket, not %u, %u and %u", unsigned{tensor.bits},
                tensor.levels, tensor.bucket);
  }
  if (tensor.coder == plan::Coder::kRaw) {
    if (tensor.payload.size() != values.size_bytes()) {
      return fail(tensor.payload.size() < values.size_bytes() ? Error::kTruncated : Error::kMalformed,
                  "payload is %zu bytes, not %zu", tensor.payload.size(), values.size_bytes());
    }
    if (!values.empty()) std::memcpy(values.data(), tensor.payload.data(), values.size_bytes());
    return check_finite(values);
  }
  if (tensor.coder != plan::Coder::kModel) {
    return fail(Error::kUnsupported, "trellis has no coder %u", static_cast<unsigned>(tensor.coder));
  }
  if (tensor.payload.empty()) {
    std::fill(values.begin(), values.end(), 0.0F);
    return Error::kOk;
  }
  const Chunks chunks(values.size(), tensor.rotated);
  if (tensor.payload.size() < chunks.bytes) return fail(Error::kTruncated, "payload ends inside its factors");
  RUNNEL_TRY(unpack_trellis(tensor.payload.subspan(chunks.bytes), values));
  const uint8_t* factors = tensor.payload.data();
  for (size_t first = 0; first < values.size(); first += chunks.size, factors += kFactorBytes) {
    const float factor = from_bfloat16(load_le<uint16_t>(factors));
    if (!usable(factor, tensor.scale)) {
      return fail(std::isfinite(factor) ? Error::kOutOfRange : Error::kNotFinite, "factor %g with step %g",
                  static_cast<double>(factor), static_cast<double>(tensor.scale));
    }
    const float unit = factor * tensor.scale;
    for (float& value : values.subspan(first, std::min(chunks.size, values.size() - first))) value *= unit;
  }
  return Error::kOk;
}

double predict_trellis_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t /*seed*/) {
  const auto raw_bytes = static_cast<double>(values.size_bytes());
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  if (!(largest * (1.0F / spec.step) <= kScaledMax)) return raw_bytes;
  const double bytes = predict_packed_trellis_bytes(values, 1.0F / spec.step);
  return bytes == 0.0 ? 0.0
                      : std::min(raw_bytes, bytes + static_cast<double>(Chunks(values.size(), spec.rotate).bytes));
}

}  // namespace runnel::codec
