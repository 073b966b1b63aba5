#include "runtime/codec/trellis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "runtime/codec/trellis_coder.h"
#include "runtime/codec/trellis_search.h"

namespace runnel::codec {
namespace {

constexpr size_t kFactorBytes = sizeof(float);
constexpr float kScaledMax = 1048576.0F;  // of |value| / step: beyond it the values travel as they are
constexpr float kPointMax = 4194304.0F;   // no point that a decoder accepts is larger

// Sums over the tensor of x^2, x i and i^2, in a fixed order on every machine.
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

// Finite for every point, so that the decoder will accept it.
bool usable(float factor, float step) {
  return factor > 0.0F && std::isfinite(factor * step * kPointMax);
}

plan::EncodedTensor described(const plan::CodecSpec& spec, size_t count, ByteView payload, plan::Coder coder) {
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kTrellis;
  tensor.count = static_cast<uint32_t>(count);
  tensor.bits = 0;
  tensor.scale = spec.step;
  tensor.coder = coder;
  tensor.payload = payload;
  return tensor;
}

plan::EncodedTensor encode_raw(const plan::CodecSpec& spec, std::span<const float> values, MutableByteView out) {
  if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
  return described(spec, values.size(), out.first(values.size_bytes()), plan::Coder::kRaw);
}

}  // namespace

uint64_t trellis_bytes_max(const plan::CodecSpec& /*spec*/, uint32_t count) {
  return kFactorBytes + uint64_t{count} * kTrellisSymbolBytes + kTrellisPackSlackBytes;
}

Result<plan::EncodedTensor> encode_trellis(const plan::CodecSpec& spec, std::span<const float> values,
                                           uint64_t /*seed*/, MutableByteView out) {
  if (Failure failure = check_finite(values); !failure.ok()) return failure;
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  const float inverse_step = 1.0F / spec.step;
  if (!(largest * inverse_step <= kScaledMax)) return encode_raw(spec, values, out);

  const MutableByteView work = out.subspan(kFactorBytes, values.size() * kTrellisSymbolBytes + kTrellisPackSlackBytes);
  search_trellis(values, inverse_step, work);
  const Moments moments = moments_of(values, work.data());
  if (moments.points == 0.0) return described(spec, values.size(), out.first(0), plan::Coder::kModel);

  const bool unbiased = spec.rotate && !spec.error_feedback;
  const double step = spec.step;
  const auto factor = static_cast<float>(unbiased ? moments.values / (moments.product * step)
                                                  : moments.product / (moments.points * step));
  if (!usable(factor, spec.step)) return encode_raw(spec, values, out);
  const ByteView packed = pack_trellis(choose_trellis_model(work, values.size()), work, values.size());
  if (packed.empty() || kFactorBytes + packed.size() >= values.size_bytes()) return encode_raw(spec, values, out);
  std::memmove(out.data() + kFactorBytes, packed.data(), packed.size());
  store_le(out.data(), factor);
  return described(spec, values.size(), out.first(kFactorBytes + packed.size()), plan::Coder::kModel);
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
  if (tensor.payload.size() < kFactorBytes) return fail(Error::kTruncated, "payload ends inside its factor");
  const auto factor = load_le<float>(tensor.payload.data());
  if (!usable(factor, tensor.scale)) {
    return fail(std::isfinite(factor) ? Error::kOutOfRange : Error::kNotFinite, "factor %g with step %g",
                static_cast<double>(factor), static_cast<double>(tensor.scale));
  }
  return unpack_trellis(tensor.payload.subspan(kFactorBytes), factor * tensor.scale, values);
}

double predict_trellis_bytes(const plan::CodecSpec& spec, std::span<const float> values, uint64_t /*seed*/) {
  const double raw_bytes = static_cast<double>(values.size_bytes());
  const double bytes = predict_packed_trellis_bytes(values, 1.0F / spec.step);
  return bytes == 0.0 ? 0.0 : std::min(raw_bytes, bytes + kFactorBytes);
}

}  // namespace runnel::codec
