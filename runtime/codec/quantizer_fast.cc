#include "runtime/codec/quantizer_fast.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/codec/fixed_width.h"

#include "runtime/base/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/codec/quantizer_fast.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::codec {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors of at most eight lanes, whatever the machine has more: groups and lanes are laid out in eights.
using Floats = hn::CappedTag<float, 8>;
using Ints = hn::Rebind<int32_t, Floats>;
using Words = hn::Rebind<uint32_t, Floats>;
using Halves = hn::Rebind<uint16_t, Floats>;
using Symbols = hn::Rebind<int16_t, Floats>;

float SumOfSquares(const float* HWY_RESTRICT values, size_t count) {
  const hn::CappedTag<float, kNormLanes> d;
  const size_t n = hn::Lanes(d);
  alignas(64) float lanes[kNormLanes];
  auto a = hn::Zero(d);
  auto b = hn::Zero(d);
  auto c = hn::Zero(d);
  auto e = hn::Zero(d);
  size_t i = 0;
  if (4 * n == kNormLanes) {
    for (; i + kNormLanes <= count; i += kNormLanes) {
      const auto v0 = hn::LoadU(d, values + i);
      const auto v1 = hn::LoadU(d, values + i + n);
      const auto v2 = hn::LoadU(d, values + i + 2 * n);
      const auto v3 = hn::LoadU(d, values + i + 3 * n);
      a = hn::Add(a, hn::Mul(v0, v0));
      b = hn::Add(b, hn::Mul(v1, v1));
      c = hn::Add(c, hn::Mul(v2, v2));
      e = hn::Add(e, hn::Mul(v3, v3));
    }
    hn::Store(a, d, lanes);
    hn::Store(b, d, lanes + n);
    hn::Store(c, d, lanes + 2 * n);
    hn::Store(e, d, lanes + 3 * n);
  } else {
    std::fill(lanes, lanes + kNormLanes, 0.0F);
    for (; i + kNormLanes <= count; i += kNormLanes) {
      for (size_t lane = 0; lane < kNormLanes; lane += n) {
        const auto v = hn::LoadU(d, values + i + lane);
        hn::Store(hn::Add(hn::Load(d, lanes + lane), hn::Mul(v, v)), d, lanes + lane);
      }
    }
  }
  for (size_t lane = 0; i < count; ++i, ++lane) lanes[lane] += values[i] * values[i];
  for (size_t width = kNormLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

uint32_t LargestMagnitudeBits(const float* HWY_RESTRICT values, size_t count) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int32_t, decltype(d)> di;
  const size_t n = hn::Lanes(d);
  const auto mask = hn::Set(di, 0x7FFFFFFF);
  auto largest = hn::Zero(di);
  auto other = hn::Zero(di);
  size_t i = 0;
  for (; i + 2 * n <= count; i += 2 * n) {
    largest = hn::Max(largest, hn::And(mask, hn::BitCast(di, hn::LoadU(d, values + i))));
    other = hn::Max(other, hn::And(mask, hn::BitCast(di, hn::LoadU(d, values + i + n))));
  }
  int32_t result = hn::GetLane(hn::MaxOfLanes(di, hn::Max(largest, other)));
  for (; i < count; ++i) result = std::max(result, std::bit_cast<int32_t>(values[i]) & 0x7FFFFFFF);
  return static_cast<uint32_t>(result);
}

void Quantize(const Quantizer& quantizer, float norm, std::span<const float> values, std::span<const uint16_t> numbers,
              std::span<int16_t> symbols) {
  const Floats d;
  const Ints di;
  const Words du;
  const Halves dh;
  const Symbols ds;
  const size_t n = hn::Lanes(d);
  const uint32_t levels = quantizer.levels;
  size_t i = 0;
  if (quantizer.exponential) {
    const auto factor = hn::Set(d, static_cast<float>(uint64_t{1} << levels) / norm);
    const auto one = hn::Set(d, 1.0F);
    for (; i + n <= values.size(); i += n) {
      const auto value = hn::LoadU(d, values.data() + i);
      const auto x = hn::Mul(hn::Abs(value), factor);
      const auto z = hn::BitCast(di, hn::Add(x, hn::Max(x, one)));
      const auto number = hn::BitCast(di, hn::PromoteTo(du, hn::LoadU(dh, numbers.data() + i)));
      const auto carried = hn::Add(hn::Add(z, hn::Set(di, 64)), hn::ShiftLeft<7>(number));
      const auto index = hn::Sub(hn::ShiftRight<23>(carried), hn::Set(di, 127));
      const auto sign = hn::ShiftRight<31>(hn::BitCast(di, value));
      hn::StoreU(hn::DemoteTo(ds, hn::Sub(hn::Xor(index, sign), sign)), ds, symbols.data() + i);
    }
  } else {
    const int fraction_bits = levels < 64 ? 16 : 15;
    const auto factor = hn::Set(d, static_cast<float>(levels << fraction_bits) / norm);
    const auto addend = hn::Set(d, kRoundingAddend);
    const auto base = hn::Set(di, static_cast<int32_t>(kRoundingAddendBits));
    const auto rounded = [&](size_t at) HWY_ATTR {
      return hn::Sub(hn::BitCast(di, hn::Add(hn::Mul(hn::LoadU(d, values.data() + at), factor), addend)), base);
    };
    const auto number = [&](size_t at)
                            HWY_ATTR { return hn::BitCast(di, hn::PromoteTo(du, hn::LoadU(dh, numbers.data() + at))); };
    if (fraction_bits == 16) {
      for (; i + n <= values.size(); i += n) {
        hn::StoreU(hn::DemoteTo(ds, hn::ShiftRight<16>(hn::Add(rounded(i), number(i)))), ds, symbols.data() + i);
      }
    } else {
      for (; i + n <= values.size(); i += n) {
        const auto half = hn::ShiftRight<1>(number(i));
        hn::StoreU(hn::DemoteTo(ds, hn::ShiftRight<15>(hn::Add(rounded(i), half))), ds, symbols.data() + i);
      }
    }
  }
  quantize_reference(quantizer, norm, values.subspan(i), numbers.subspan(i), symbols.subspan(i));
}

#if HWY_TARGET == HWY_SCALAR  // no lanes to speak of: the plain loops

void DrawNumbers(LaneRng::State& state, size_t count, uint16_t* HWY_RESTRICT out) {
  for (size_t i = 0; i < count; i += LaneRng::kStep) LaneRng::step(state, LaneRng::Numbers(out + i, LaneRng::kStep));
}

void CountNibbles(const uint8_t* HWY_RESTRICT codes, size_t bytes, uint32_t* HWY_RESTRICT counts) {
  for (size_t i = 0; i < bytes; ++i) {
    ++counts[codes[i] & 15U];
    ++counts[codes[i] >> 4];
  }
}

void QuantizeNibbles(uint32_t levels, float norm, const float* HWY_RESTRICT values, size_t count,
                     const uint16_t* HWY_RESTRICT numbers, uint8_t* HWY_RESTRICT out) {
  for (size_t group = 0; group < count; group += 64) {
    int16_t symbols[64];
    quantize_reference({false, false, levels}, norm, {values + group, 64}, {numbers + group, 64}, symbols);
    pack_fixed(levels, symbols, {out + group / 2, 32});
  }
}

#else

// Four codes at a time, each in a vector of bytes that counts at most 2 a step and is emptied before it could overflow.
void CountNibbles(const uint8_t* HWY_RESTRICT codes, size_t bytes, uint32_t* HWY_RESTRICT counts) {
  const hn::CappedTag<uint8_t, 32> d;
  const hn::Repartition<uint64_t, decltype(d)> d64;
  const size_t n = hn::Lanes(d);
  const auto low = hn::Set(d, 15);
  for (size_t begin = 0; begin < bytes; begin += 120 * n) {
    const size_t end = std::min(bytes, begin + 120 * n);
    for (uint32_t code = 0; code < 16; code += 4) {
      const auto c0 = hn::Set(d, static_cast<uint8_t>(code));
      const auto c1 = hn::Set(d, static_cast<uint8_t>(code + 1));
      const auto c2 = hn::Set(d, static_cast<uint8_t>(code + 2));
      const auto c3 = hn::Set(d, static_cast<uint8_t>(code + 3));
      auto n0 = hn::Zero(d);
      auto n1 = hn::Zero(d);
      auto n2 = hn::Zero(d);
      auto n3 = hn::Zero(d);
      for (size_t i = begin; i < end; i += n) {
        const auto both = hn::LoadU(d, codes + i);
        const auto a = hn::And(both, low);
        const auto b = hn::And(hn::ShiftRight<4>(both), low);
        n0 = hn::Sub(hn::Sub(n0, hn::VecFromMask(d, hn::Eq(a, c0))), hn::VecFromMask(d, hn::Eq(b, c0)));
        n1 = hn::Sub(hn::Sub(n1, hn::VecFromMask(d, hn::Eq(a, c1))), hn::VecFromMask(d, hn::Eq(b, c1)));
        n2 = hn::Sub(hn::Sub(n2, hn::VecFromMask(d, hn::Eq(a, c2))), hn::VecFromMask(d, hn::Eq(b, c2)));
        n3 = hn::Sub(hn::Sub(n3, hn::VecFromMask(d, hn::Eq(a, c3))), hn::VecFromMask(d, hn::Eq(b, c3)));
      }
      counts[code] += static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(d64, hn::SumsOf8(n0))));
      counts[code + 1] += static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(d64, hn::SumsOf8(n1))));
      counts[code + 2] += static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(d64, hn::SumsOf8(n2))));
      counts[code + 3] += static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(d64, hn::SumsOf8(n3))));
    }
  }
}

void DrawNumbers(LaneRng::State& state, size_t count, uint16_t* HWY_RESTRICT out) {
  const hn::CappedTag<uint64_t, LaneRng::kLanes> d;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const size_t n = hn::Lanes(d);
  // The generators of a vector run together; two vectors at a time hide each other's latency.
  const auto run = [&](size_t lane, size_t vectors) HWY_ATTR {
    auto x0 = hn::Load(d, state.first + lane);
    auto y0 = hn::Load(d, state.second + lane);
    const size_t next = vectors == 2 ? lane + n : lane;
    auto x1 = hn::Load(d, state.first + next);
    auto y1 = hn::Load(d, state.second + next);
    for (size_t i = 0; i < count; i += LaneRng::kStep) {
      x0 = hn::Xor(x0, hn::ShiftLeft<23>(x0));
      x1 = hn::Xor(x1, hn::ShiftLeft<23>(x1));
      const auto z0 = hn::Xor(hn::Xor(x0, hn::ShiftRight<18>(x0)), hn::Xor(y0, hn::ShiftRight<5>(y0)));
      const auto z1 = hn::Xor(hn::Xor(x1, hn::ShiftRight<18>(x1)), hn::Xor(y1, hn::ShiftRight<5>(y1)));
      hn::StoreU(hn::BitCast(d16, hn::Add(z0, y0)), d16, out + i + 4 * lane);
      if (vectors == 2) hn::StoreU(hn::BitCast(d16, hn::Add(z1, y1)), d16, out + i + 4 * next);
      x0 = y0;
      x1 = y1;
      y0 = z0;
      y1 = z1;
    }
  };
  if (n == LaneRng::kLanes) {
    run(0, 1);
  } else {
    for (size_t lane = 0; lane < LaneRng::kLanes; lane += 2 * n) run(lane, 2);
  }
}

void QuantizeNibbles(uint32_t levels, float norm, const float* HWY_RESTRICT values, size_t count,
                     const uint16_t* HWY_RESTRICT numbers, uint8_t* HWY_RESTRICT out) {
  const Floats d;
  const Words du;
  const Halves dh;
  const hn::Repartition<uint16_t, Words> d16;
  const hn::Repartition<uint8_t, Words> d8;
  const size_t n = hn::Lanes(d);
  const auto factor = hn::Set(d, static_cast<float>(levels << 16) / norm);
  // With this addend the sum's upper half is 0x4B40 plus the code; what that constant leaves behind in a word is
  // taken out by one xor, since shifts and xors commute.
  const auto addend = hn::Set(d, kRoundingAddend + static_cast<float>(levels << 16));
  const uint32_t top = kRoundingAddendBits >> 16;
  const uint32_t left_over = (top ^ (top << 4) ^ (top << 8) ^ (top << 12)) & 0xFFFF;
  const auto correction = hn::Set(d16, static_cast<uint16_t>(left_over));
  for (size_t group = 0; group < count; group += 64) {
    for (size_t j = 0; j < 8; j += n) {
      const float* from = values + group + j;
      const uint16_t* draw = numbers + group + j;
      const auto sum = [&](size_t k) HWY_ATTR {
        const auto t = hn::BitCast(du, hn::Add(hn::Mul(hn::LoadU(d, from + 8 * k), factor), addend));
        return hn::Add(t, hn::PromoteTo(du, hn::LoadU(dh, draw + 8 * k)));
      };
      // Coordinates 8k + j in the lower half of word j, 8 (k + 4) + j in the upper.
      const auto pair = [&](size_t k) HWY_ATTR {
        return hn::OddEven(hn::BitCast(d16, sum(k + 4)), hn::BitCast(d16, hn::ShiftRight<16>(sum(k))));
      };
      hwy::Prefetch(from + 512);
      hwy::Prefetch(from + 512 + 16);
      hwy::Prefetch(from + 512 + 32);
      hwy::Prefetch(from + 512 + 48);
      const auto low = hn::Xor(pair(0), hn::ShiftLeft<4>(pair(1)));
      const auto high = hn::Xor(hn::ShiftLeft<8>(pair(2)), hn::ShiftLeft<12>(pair(3)));
      const auto word = hn::Xor(hn::Xor(low, high), correction);
      hn::StoreU(hn::BitCast(d8, word), d8, out + group / 2 + 4 * j);
    }
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace runnel::codec
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {
namespace {
HWY_EXPORT(SumOfSquares);
HWY_EXPORT(LargestMagnitudeBits);
HWY_EXPORT(DrawNumbers);
HWY_EXPORT(Quantize);
HWY_EXPORT(QuantizeNibbles);
HWY_EXPORT(CountNibbles);
}  // namespace

float sum_of_squares_fast(std::span<const float> values) {
  return HWY_DYNAMIC_DISPATCH(SumOfSquares)(values.data(), values.size());
}

uint32_t largest_magnitude_bits_fast(std::span<const float> values) {
  return HWY_DYNAMIC_DISPATCH(LargestMagnitudeBits)(values.data(), values.size());
}

void draw_numbers_fast(LaneRng::State& state, size_t count, std::span<uint16_t> out) {
  HWY_DYNAMIC_DISPATCH(DrawNumbers)(state, count, out.data());
}

void quantize_fast(const Quantizer& quantizer, float norm, std::span<const float> values,
                   std::span<const uint16_t> numbers, std::span<int16_t> symbols) {
  HWY_DYNAMIC_DISPATCH(Quantize)(quantizer, norm, values, numbers, symbols);
}

void quantize_nibbles_fast(uint32_t levels, float norm, std::span<const float> values,
                           std::span<const uint16_t> numbers, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(QuantizeNibbles)(levels, norm, values.data(), values.size(), numbers.data(), out);
}

void count_nibbles_fast(ByteView groups, std::span<uint32_t, 16> counts) {
  HWY_DYNAMIC_DISPATCH(CountNibbles)(groups.data(), groups.size(), counts.data());
}

}  // namespace runnel::codec
#endif
