#include "runtime/codec/eden.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/codec/bfloat16.h"
#include "runtime/codec/bit_reader.h"
#include "runtime/codec/bit_writer.h"
#include "runtime/codec/quantizer.h"
#include "runtime/codec/rotation.h"

namespace runnel::codec {
namespace {

constexpr uint64_t kWidthPart = 0xEDE7;
constexpr size_t kHeadBytes = sizeof(float);
constexpr size_t kFactorBytes = sizeof(uint16_t);
constexpr size_t kChunk = kRotationChunk;  // coordinates that one rotation mixes, and that hence share a factor
constexpr float kWidthMin = 0.1F;
constexpr float kWidthMax = 4.0F;
constexpr unsigned kWidths = 4;
constexpr size_t kLanes = 8;  // partial sums, whatever vectors the machine has
static_assert(kChunk == LaneRng::kChunk);

// Lloyd-Max centroids of the half normal distribution, for 1 to 4 bits with the sign.
constexpr float kCentroids[kWidths][8] = {{0.7978845608F},
                                          {0.4527800399F, 1.5104176087F},
                                          {0.2450941631F, 0.7560052490F, 1.3439092614F, 2.1519456699F},
                                          {0.1283950167F, 0.3880482345F, 0.6567589958F, 0.9423402689F, 1.2562309480F,
                                           1.6180460517F, 2.0690167302F, 2.7325888041F}};

// What each code of one width stands for, in units of the factor.
using Points = std::array<float, size_t{1} << kWidths>;

Points points_of(unsigned width) {
  Points points{};
  const size_t half = size_t{1} << (width - 1);
  for (size_t k = 0; k < half; ++k) {
    points[k] = kCentroids[width - 1][k];
    points[half + k] = -points[k];
  }
  return points;
}

// The code of the nearest point to value * to_unit for each value: the sign, then the centroid.
template <unsigned kWidth>
void nearest_codes(std::span<const float> values, double to_unit, uint8_t* codes) {
  constexpr uint32_t kHalf = 1U << (kWidth - 1);
  float middles[kHalf] = {};
  for (uint32_t k = 1; k < kHalf; ++k) middles[k] = 0.5F * (kCentroids[kWidth - 1][k - 1] + kCentroids[kWidth - 1][k]);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto magnitude = static_cast<float>(std::fabs(double{values[i]}) * to_unit);
    uint32_t code = values[i] < 0.0F ? kHalf : 0U;
    for (uint32_t k = 1; k < kHalf; ++k) code += magnitude > middles[k] ? 1U : 0U;
    codes[i] = static_cast<uint8_t>(code);
  }
}

using Codes = std::array<uint8_t, kChunk>;

void nearest_codes(unsigned width, std::span<const float> values, double to_unit, Codes& codes) {
  switch (width) {
    case 1:
      return nearest_codes<1>(values, to_unit, codes.data());
    case 2:
      return nearest_codes<2>(values, to_unit, codes.data());
    case 3:
      return nearest_codes<3>(values, to_unit, codes.data());
    default:
      return nearest_codes<4>(values, to_unit, codes.data());
  }
}

double folded(const std::array<double, kLanes>& lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// The sum of term(i), in the same order on every machine.
template <typename Term>
double sum_of(size_t count, Term&& term) {
  std::array<double, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (size_t lane = 0; i < count; ++i, ++lane) lanes[lane] += term(i);
  return folded(lanes);
}

// How many bits each coordinate takes: `low`, or one more where its number is below `share`; both ends draw the same.
class Widths {
 public:
  Widths(float bits, uint64_t seed)
      : rng_(derive_key(seed, kWidthPart)),
        low_(static_cast<unsigned>(bits)),
        share_(static_cast<uint32_t>((bits - static_cast<float>(low_)) * 65536.0F)) {}

  void draw(uint64_t chunk, size_t count) { draw_numbers(rng_, chunk, count, numbers_); }
  unsigned high(size_t i) const { return numbers_[i] < share_ ? 1U : 0U; }

  unsigned low() const { return low_; }
  bool mixed() const { return share_ > 0; }

  // What the coordinates that are sent stand for: 1, or more if some take no bit at all.
  double weight() const { return low_ > 0 ? 1.0 : 65536.0 / share_; }

 private:
  LaneRng rng_;
  unsigned low_;
  uint32_t share_;  // of 65536 coordinates, how many take one bit more
  std::array<uint16_t, kChunk> numbers_{};
};

// Eight codes, a byte each, as one number of 8 * width bits, the first of them highest; and the way back.
uint32_t packed_codes(const uint8_t* codes, unsigned width) {
  uint64_t x = __builtin_bswap64(load_le<uint64_t>(codes));
  x = (x | x >> (8 - width)) & (0x0001000100010001ULL * ((1U << 2 * width) - 1));
  x = (x | x >> (16 - 2 * width)) & (0x0000000100000001ULL * ((1U << 4 * width) - 1));
  return static_cast<uint32_t>(x | x >> (32 - 4 * width));
}
uint64_t unpacked_codes(uint32_t packed, unsigned width) {
  uint64_t x = packed;
  x = (x | x << (32 - 4 * width)) & (0x0000000100000001ULL * ((1U << 4 * width) - 1));
  x = (x | x << (16 - 2 * width)) & (0x0001000100010001ULL * ((1U << 2 * width) - 1));
  x = (x | x << (8 - width)) & (0x0101010101010101ULL * ((1U << width) - 1));
  return __builtin_bswap64(x);
}

void put_codes(BitWriter& writer, std::span<const uint8_t> codes, unsigned width) {
  size_t i = 0;
  const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << (8 * width)) - 1);
  for (; i + 8 <= codes.size(); i += 8) writer.put(packed_codes(codes.data() + i, width) & mask, 8 * width);
  for (; i < codes.size(); ++i) writer.put(codes[i], width);
}

void take_codes(BitReader& reader, const Points& points, unsigned width, std::span<float> values) {
  size_t i = 0;
  for (; i + 8 <= values.size(); i += 8) {
    const uint64_t codes = unpacked_codes(reader.peek32() >> (32 - 8 * width), width);
    reader.skip(8 * width);
    for (size_t k = 0; k < 8; ++k) values[i + k] = points[codes >> (8 * k) & 15U];
  }
  for (; i < values.size(); ++i) {
    values[i] = points[reader.peek32() >> (32 - width)];
    reader.skip(width);
  }
}

void take_mixed_codes(BitReader& reader, const Widths& widths, const Points (&points)[2], std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const unsigned high = widths.high(i);
    const unsigned width = widths.low() + high;
    values[i] = points[high][uint64_t{reader.peek32()} >> (32 - width)];
    reader.skip(width);
  }
}

// One chunk: writes its codes and returns its factor.
class ChunkEncoder {
 public:
  ChunkEncoder(float bits, uint64_t seed, MutableByteView out) : widths_(bits, seed), writer_(out) {
    // A coordinate that is not sent counts in the factor like one that is: which ones are is not the data's doing.
    const Points low = points_of(std::max(widths_.low(), 1U));
    std::copy(low.begin(), low.end(), points_.begin());
    if (!widths_.mixed()) return;
    const Points high = points_of(widths_.low() + 1);
    std::copy(high.begin(), high.end(), points_.begin() + kHigh);
  }

  // In the format that travels; 0, and no codes, if the chunk is all zeros.
  uint16_t put(uint64_t chunk, std::span<const float> values) {
    const size_t count = values.size();
    const double squares = sum_of(count, [&](size_t i) { return double{values[i]} * values[i]; });
    if (squares == 0.0) return 0;
    const double to_unit = std::sqrt(static_cast<double>(count) / squares);
    nearest_codes(std::max(widths_.low(), 1U), values, to_unit, codes_);
    if (widths_.mixed()) {
      nearest_codes(widths_.low() + 1, values, to_unit, high_codes_);
      widths_.draw(chunk, count);
      for (size_t i = 0; i < count; ++i) {
        const auto high = static_cast<uint8_t>(high_codes_[i] | kHigh);
        codes_[i] = widths_.high(i) != 0 ? high : codes_[i];
      }
    }
    const double product = sum_of(count, [&](size_t i) { return double{points_[codes_[i]]} * values[i]; });
    const uint16_t factor = to_bfloat16(static_cast<float>(squares / product * widths_.weight()));
    if (factor == 0) return 0;
    if (widths_.mixed()) {
      put_mixed_codes(std::span(codes_).first(count));
    } else {
      put_codes(writer_, std::span(codes_).first(count), widths_.low());
    }
    return factor;
  }

  size_t finish() { return writer_.finish(); }

 private:
  static constexpr uint8_t kHigh = 1U << kWidths;  // marks the code of a coordinate with one bit more

  void put_mixed_codes(std::span<const uint8_t> codes) {
    const unsigned low = widths_.low();
    const uint8_t low_mask = low > 0 ? kHigh - 1 : 0;
    for (const uint8_t code : codes) {
      const unsigned high = code / kHigh;
      writer_.put(code & (high != 0 ? kHigh - 1U : low_mask), low + high);
    }
  }

  Widths widths_;
  BitWriter writer_;
  std::array<float, 2 * kHigh> points_{};
  Codes codes_;
  Codes high_codes_;
};

size_t chunks_of(size_t count) {
  return (count + kChunk - 1) / kChunk;
}

}  // namespace

uint64_t eden_bytes_max(const plan::CodecSpec& spec, uint32_t count) {
  const auto width = static_cast<uint64_t>(std::floor(spec.bits)) + 1;
  return kHeadBytes + kFactorBytes * chunks_of(count) + (count * std::min<uint64_t>(width, kWidths) + 7) / 8;
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
  const size_t codes_from = kHeadBytes + kFactorBytes * chunks_of(values.size());
  ChunkEncoder encoder(spec.bits, seed, out.subspan(codes_from));
  for (size_t first = 0, chunk = 0; first < values.size(); first += kChunk, ++chunk) {
    const uint16_t packed = encoder.put(chunk, values.subspan(first, std::min(kChunk, values.size() - first)));
    const float factor = from_bfloat16(packed);
    if (!std::isfinite(factor * kWidthMax)) {
      return fail(Error::kOutOfRange, "the norm from value %zu on is beyond fp32", first);
    }
    store_le(out.data() + kHeadBytes + kFactorBytes * chunk, packed);
    tensor.scale = std::max(tensor.scale, factor);
  }
  if (tensor.scale == 0.0F) return tensor;
  store_le(out.data(), spec.bits);
  tensor.payload = out.first(codes_from + encoder.finish());
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
  const size_t codes_from = kHeadBytes + kFactorBytes * chunks_of(values.size());
  if (tensor.payload.size() < codes_from) return fail(Error::kTruncated, "payload ends inside its head");
  const auto bits = load_le<float>(tensor.payload.data());
  if (!(bits >= kWidthMin && bits <= kWidthMax)) {
    return fail(Error::kOutOfRange, "width %g is not %g..%g", static_cast<double>(bits), static_cast<double>(kWidthMin),
                static_cast<double>(kWidthMax));
  }
  if (!std::isfinite(tensor.scale * kWidthMax)) {
    return fail(Error::kOutOfRange, "scale %g is too large", static_cast<double>(tensor.scale));
  }
  BitReader reader(tensor.payload.subspan(codes_from));
  Widths widths(bits, tensor.seed);
  Points points[2] = {};  // a width of 0 stands for zero
  if (widths.low() > 0) points[0] = points_of(widths.low());
  if (widths.mixed()) points[1] = points_of(widths.low() + 1);
  for (size_t first = 0, chunk = 0; first < values.size(); first += kChunk, ++chunk) {
    const std::span<float> part = values.subspan(first, std::min(kChunk, values.size() - first));
    const float factor = from_bfloat16(load_le<uint16_t>(tensor.payload.data() + kHeadBytes + kFactorBytes * chunk));
    if (!valid_norm(factor) || factor > tensor.scale) {
      return fail(std::isfinite(factor) ? Error::kOutOfRange : Error::kNotFinite, "chunk %zu: factor %g is not 0..%g",
                  chunk, static_cast<double>(factor), static_cast<double>(tensor.scale));
    }
    if (factor == 0.0F) {
      std::fill(part.begin(), part.end(), 0.0F);
      continue;
    }
    Points scaled[2];
    for (size_t high = 0; high < 2; ++high) {
      for (size_t code = 0; code < scaled[high].size(); ++code) scaled[high][code] = points[high][code] * factor;
    }
    if (widths.mixed()) {
      widths.draw(chunk, part.size());
      take_mixed_codes(reader, widths, scaled, part);
    } else {
      take_codes(reader, scaled[0], widths.low(), part);
    }
    if (reader.overrun()) return fail(Error::kTruncated, "payload ends inside its indices");
  }
  const size_t codes_bytes = tensor.payload.size() - codes_from;
  const uint64_t used_bytes = (reader.used_bits() + 7) / 8;
  if (used_bytes < codes_bytes) {
    return fail(Error::kMalformed, "%zu trailing bytes", static_cast<size_t>(codes_bytes - used_bytes));
  }
  const auto padding_bits = static_cast<unsigned>(used_bytes * 8 - reader.used_bits());
  if (padding_bits > 0 && reader.peek32() >> (32 - padding_bits) != 0) {
    return fail(Error::kMalformed, "padding is not zero");
  }
  return Error::kOk;
}

}  // namespace runnel::codec
