#include "runtime/codec/eden.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/base/lane_rng.h"
#include "runtime/codec/bit_reader.h"
#include "runtime/codec/bit_writer.h"

namespace runnel::codec {
namespace {

constexpr uint64_t kWidthPart = 0xEDE7;
constexpr size_t kHeadBytes = sizeof(float);
constexpr float kWidthMin = 0.1F;
constexpr float kWidthMax = 4.0F;

// Lloyd-Max centroids of the half normal distribution, for 1 to 4 bits with the sign.
constexpr float kCentroids[4][8] = {{0.7978845608F},
                                    {0.4527800399F, 1.5104176087F},
                                    {0.2450941631F, 0.7560052490F, 1.3439092614F, 2.1519456699F},
                                    {0.1283950167F, 0.3880482345F, 0.6567589958F, 0.9423402689F, 1.2562309480F,
                                     1.6180460517F, 2.0690167302F, 2.7325888041F}};

// The nearest centroid of a magnitude, for `width` bits with the sign.
uint32_t nearest_centroid(float magnitude, unsigned width) {
  const float* centroids = kCentroids[width - 1];
  uint32_t index = 0;
  for (uint32_t k = 1; k < 1U << (width - 1); ++k) {
    index += magnitude > 0.5F * (centroids[k - 1] + centroids[k]) ? 1U : 0U;
  }
  return index;
}

// How many bits each coordinate takes, one coordinate after the other; both ends draw the same.
class Widths {
 public:
  Widths(float bits, uint64_t seed)
      : rng_(derive_key(seed, kWidthPart)),
        low_(static_cast<unsigned>(bits)),
        share_(static_cast<uint32_t>((bits - static_cast<float>(low_)) * 65536.0F)) {}

  unsigned next() {
    if (index_ % LaneRng::kChunk == 0) state_ = rng_.start(index_ / LaneRng::kChunk);
    if (index_ % LaneRng::kStep == 0) LaneRng::step(state_, numbers_);
    return low_ + (numbers_[index_++ % LaneRng::kStep] < share_ ? 1U : 0U);
  }

  // What the coordinates that are sent stand for: 1, or more if some take no bit at all.
  double weight() const { return low_ > 0 ? 1.0 : 65536.0 / share_; }

 private:
  LaneRng rng_;
  unsigned low_;
  uint32_t share_;  // of 65536 coordinates, how many take one bit more
  LaneRng::State state_{};
  std::array<uint16_t, LaneRng::kStep> numbers_{};
  uint64_t index_ = 0;
};

}  // namespace

uint64_t eden_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  const auto width = static_cast<uint64_t>(std::floor(spec.bits)) + 1;
  return kHeadBytes + (count * std::min<uint64_t>(width, 4) + 7) / 8;
}

Result<plan::EncodedTensor> encode_eden(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed,
                                        MutableByteView out) {
  if (Failure failure = check_finite(values); !failure.ok()) return failure;
  plan::EncodedTensor tensor;
  tensor.codec = plan::CodecId::kEden;
  tensor.count = static_cast<uint32_t>(values.size());
  tensor.bits = 0;
  tensor.seed = seed;
  tensor.payload = out.first(0);
  double squares = 0.0;
  for (const float value : values) squares += double{value} * value;
  if (squares == 0.0) return tensor;

  const double to_unit = std::sqrt(static_cast<double>(values.size()) / squares);
  BitWriter writer(out.subspan(kHeadBytes));
  Widths widths(spec.bits, seed);
  double product = 0.0;
  for (const float value : values) {
    const unsigned width = widths.next();
    // A coordinate that is not sent counts in the factor like one that is: which ones are is not the data's doing.
    const unsigned used = std::max(width, 1U);
    const uint32_t index = nearest_centroid(static_cast<float>(std::fabs(value) * to_unit), used);
    product += double{kCentroids[used - 1][index]} * std::fabs(value);
    if (width > 0) writer.put((value < 0.0F ? 1U << (width - 1) : 0U) | index, width);
  }
  const auto factor = static_cast<float>(squares / product * widths.weight());
  if (!std::isfinite(factor * kWidthMax)) return fail(Error::kOutOfRange, "norm %g is beyond fp32", std::sqrt(squares));
  tensor.scale = factor;
  store_le(out.data(), spec.bits);
  tensor.payload = out.first(kHeadBytes + writer.finish());
  return tensor;
}

Failure decode_eden(const plan::EncodedTensor& tensor, std::span<float> values) {
  if (tensor.bits != 0 || tensor.levels != 0 || tensor.bucket != 0 || tensor.coder != plan::Coder::kAuto) {
    return fail(Error::kMalformed, "eden has no bits, levels, bucket and coder, not %u, %u, %u and %u",
                unsigned{tensor.bits}, tensor.levels, tensor.bucket, static_cast<unsigned>(tensor.coder));
  }
  if (tensor.payload.empty()) {
    std::fill(values.begin(), values.end(), 0.0F);
    return Error::kOk;
  }
  if (tensor.payload.size() < kHeadBytes) return fail(Error::kTruncated, "payload ends inside its head");
  const auto bits = load_le<float>(tensor.payload.data());
  if (!(bits >= kWidthMin && bits <= kWidthMax)) {
    return fail(Error::kOutOfRange, "width %g is not %g..%g", static_cast<double>(bits), static_cast<double>(kWidthMin),
                static_cast<double>(kWidthMax));
  }
  if (!std::isfinite(tensor.scale * kWidthMax)) {
    return fail(Error::kOutOfRange, "scale %g is too large", static_cast<double>(tensor.scale));
  }
  const ByteView codes = tensor.payload.subspan(kHeadBytes);
  BitReader reader(codes);
  Widths widths(bits, tensor.seed);
  for (float& value : values) {
    const unsigned width = widths.next();
    value = 0.0F;
    if (width == 0) continue;
    const uint32_t code = reader.peek32() >> (32 - width);
    reader.skip(width);
    const uint32_t sign = 1U << (width - 1);
    const float magnitude = kCentroids[width - 1][code & (sign - 1)] * tensor.scale;
    value = (code & sign) != 0 ? -magnitude : magnitude;
  }
  if (reader.overrun()) return fail(Error::kTruncated, "payload ends inside its indices");
  const uint64_t used_bytes = (reader.used_bits() + 7) / 8;
  if (used_bytes < codes.size()) {
    return fail(Error::kMalformed, "%zu trailing bytes", static_cast<size_t>(codes.size() - used_bytes));
  }
  const auto padding_bits = static_cast<unsigned>(used_bytes * 8 - reader.used_bits());
  if (padding_bits > 0 && reader.peek32() >> (32 - padding_bits) != 0) {
    return fail(Error::kMalformed, "padding is not zero");
  }
  return Error::kOk;
}

}  // namespace runnel::codec
