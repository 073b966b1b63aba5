// The Walsh-Hadamard transform in vector registers. Additions of a butterfly network are only reordered between
// butterflies, never inside one, so that every sum has the bits of the plain reference: stages 1, 2, 4 .. one after the
// other, but three to six of them in one pass over memory.
#include "runtime/codec/rotation_fast.h"

#include <cmath>

#include "runtime/base/vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/codec/rotation_fast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace runnel::codec::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// At most eight lanes, so that the stages inside a vector are two or three.
using Tag = hn::CappedTag<float, 8>;
using V = hn::Vec<Tag>;

// Minus zero in the lanes i with a bit in common with bits[i].
V signs_where(const uint32_t* bits, uint32_t set) {
  const Tag d;
  const hn::RebindToUnsigned<Tag> du;
  const auto lane_bit = hn::LoadU(du, bits);
  const auto hit = hn::Ne(hn::And(hn::Set(du, set), lane_bit), hn::Zero(du));
  return hn::BitCast(d, hn::IfThenElseZero(hit, hn::Set(du, 0x80000000U)));
}

constexpr uint32_t kLaneBits[8] = {1, 2, 4, 8, 16, 32, 64, 128};

V flipped(V values, const uint16_t* signs, size_t index) {
  return hn::Xor(values, signs_where(kLaneBits, static_cast<uint32_t>(signs[index / 16]) >> (index % 16)));
}

void butterfly(V& a, V& b) {
  const V sum = hn::Add(a, b);
  b = hn::Sub(a, b);
  a = sum;
}

// Three stages between eight vectors.
void butterflies(V (&v)[8]) {
  for (size_t distance = 1; distance < 8; distance *= 2) {
    for (size_t k = 0; k < 8; ++k) {
      if ((k & distance) == 0) butterfly(v[k], v[k + distance]);
    }
  }
}

#if HWY_TARGET == HWY_SCALAR

// Nothing lies inside a vector of one lane.
template <bool kFlip>
size_t first_stages(float* values, size_t count, const uint16_t* signs) {
  const Tag d;
  for (size_t i = 0; kFlip && i < count; ++i) hn::StoreU(flipped(hn::LoadU(d, values + i), signs, i), d, values + i);
  return 1;
}

#else

// A stage inside a vector: `others` holds the partner of each lane, and the lanes with the higher index, which have a
// negative zero in `upper`, become partner - value. a - b and -b + a have the same bits.
V stage_inside(V values, V others, V upper) {
  return hn::Add(hn::Xor(values, upper), others);
}

constexpr uint32_t kLaneIndices[8] = {0, 1, 2, 3, 4, 5, 6, 7};

// The stages inside vectors and the three above, for eight vectors in a row.
template <bool kFlip>
void first_stages_at(float* values, const uint16_t* signs, size_t index) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  const V upper1 = signs_where(kLaneIndices, 1);
  const V upper2 = signs_where(kLaneIndices, 2);
  V v[8];
  for (size_t k = 0; k < 8; ++k) {
    v[k] = hn::LoadU(d, values + index + k * lanes);
    if (kFlip) v[k] = flipped(v[k], signs, index + k * lanes);
    v[k] = stage_inside(v[k], hn::Shuffle2301(v[k]), upper1);
    v[k] = stage_inside(v[k], hn::Shuffle1032(v[k]), upper2);
#if HWY_TARGET <= HWY_AVX2
    v[k] = stage_inside(v[k], hn::SwapAdjacentBlocks(v[k]), signs_where(kLaneIndices, 4));
#endif
  }
  butterflies(v);
  for (size_t k = 0; k < 8; ++k) hn::StoreU(v[k], d, values + index + k * lanes);
}

// Returns the distance of the stage that comes next.
template <bool kFlip>
size_t first_stages(float* values, size_t count, const uint16_t* signs) {
  const size_t block = 8 * hn::Lanes(Tag());
  for (size_t i = 0; i < count; i += block) first_stages_at<kFlip>(values, signs, i);
  return block;
}

#endif

// The stages of distances half, 2 half and 4 half.
void three_stages(float* values, size_t count, size_t half) {
  const Tag d;
  for (size_t block = 0; block < count; block += 8 * half) {
    for (size_t i = block; i < block + half; i += hn::Lanes(d)) {
      V v[8];
      for (size_t k = 0; k < 8; ++k) v[k] = hn::LoadU(d, values + i + k * half);
      butterflies(v);
      for (size_t k = 0; k < 8; ++k) hn::StoreU(v[k], d, values + i + k * half);
    }
  }
}

void one_stage(float* values, size_t count, size_t half) {
  const Tag d;
  for (size_t block = 0; block < count; block += 2 * half) {
    for (size_t i = block; i < block + half; i += hn::Lanes(d)) {
      V a = hn::LoadU(d, values + i);
      V b = hn::LoadU(d, values + i + half);
      butterfly(a, b);
      hn::StoreU(a, d, values + i);
      hn::StoreU(b, d, values + i + half);
    }
  }
}

template <bool kFlipBefore>
void transform(float* values, size_t count, const uint16_t* signs) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  size_t half = first_stages<kFlipBefore>(values, count, signs);
  for (; half * 8 <= count; half *= 8) three_stages(values, count, half);
  for (; half < count; half *= 2) one_stage(values, count, half);
  const V norm = hn::Set(d, 1.0F / std::sqrt(static_cast<float>(count)));
  for (size_t i = 0; i < count; i += lanes) {
    V value = hn::Mul(hn::LoadU(d, values + i), norm);
    if (!kFlipBefore) value = flipped(value, signs, i);
    hn::StoreU(value, d, values + i);
  }
}

void flip_and_transform(float* values, size_t count, const uint16_t* signs) {
  transform<true>(values, count, signs);
}
void transform_and_flip(float* values, size_t count, const uint16_t* signs) {
  transform<false>(values, count, signs);
}

}  // namespace
}  // namespace runnel::codec::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace runnel::codec {

HWY_EXPORT(flip_and_transform);
HWY_EXPORT(transform_and_flip);

void flip_and_transform_fast(std::span<float> values, const uint16_t* signs) {
  HWY_DYNAMIC_DISPATCH(flip_and_transform)(values.data(), values.size(), signs);
}

void transform_and_flip_fast(std::span<float> values, const uint16_t* signs) {
  HWY_DYNAMIC_DISPATCH(transform_and_flip)(values.data(), values.size(), signs);
}

}  // namespace runnel::codec
#endif
