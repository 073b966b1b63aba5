// Probabilities of quantization indices for values of a given scale: what the model coder looks up.
//
// A value x is seen in steps, and its index is floor(x + u) for a dither u that both ends know. If x has the
// distribution function F, the index k has the probability F(k + 1 - u) - F(k - u): the less is known of x, the more u
// says about k. Values are taken as Gaussian with an uncertain scale (a mixture with log-normal weights): its spread,
// the `shape`, covers Gaussian, Laplace and heavier tails. A `class` is one scale of a logarithmic grid.
//
// All arithmetic is + - * / on IEEE doubles, so that both ends have the same integers whatever they run on.
// Memory: about 36 KiB, no heap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace runnel::codec {

inline constexpr size_t kGroup = 16;  // coordinates that share a class, with dithers 1/16 apart
inline constexpr unsigned kProbabilityBits = 15;
inline constexpr uint32_t kProbabilityOne = 1U << kProbabilityBits;
inline constexpr unsigned kShapes = 8;
inline constexpr unsigned kClasses = 29;  // scales with a table of their own
inline constexpr unsigned kClassesAll =
    kClasses + 4 * 14;  // above: the same tables, with low bits left out of the model

// How values fall into indices.
struct Cells {
  bool dithered = true;
  // If not dithered, index k > 0 holds x in [k - rounding, k + 1 - rounding), the same below zero, and 0 the rest.
  float rounding = 0.5F;
};

// Of a class, the table that serves it, and how many low bits of an index it leaves out.
struct ScaledClass {
  unsigned table;
  unsigned shift;
};
constexpr ScaledClass scaled_class(unsigned c) {
  if (c < kClasses) return {c, 0};
  return {kClasses - 4 + (c - kClasses) % 4, (c - kClasses) / 4 + 1};
}

class ModelTables {
 public:
  ModelTables(unsigned shape, const Cells& cells);

  // Makes the table that serves class c, unless it is there. Before that, nothing below may be asked for it.
  void prepare(unsigned c) {
    const unsigned table = scaled_class(c).table;
    if (classes_[table].reach == 0) make(table);
  }

  // Symbol k of table t stands for an index of its own from -reach(t) + 1 to reach(t); -reach(t) holds all below too,
  // and reach(t) + 1 all above.
  int reach(unsigned t) const { return classes_[t].reach; }

  // The thresholds of k: of the 15-bit slots, those below thresholds(t, k)[-v] belong to indices below k, for dither
  // (v + 1/2) / 16 in [0, 31/16). REQUIRES: -reach(t) < k <= reach(t) + 1.
  const uint16_t* thresholds(unsigned t, int k) const { return &pool_[classes_[t].zero] + 16 * k - 1; }

  // The class whose mean of |index| is nearest to `mean`, on a logarithmic scale; at most kClassesAll - 1.
  unsigned class_of(float mean) const;

 private:
  struct Class {
    uint16_t zero = 0;  // where in the pool the threshold of x = 1/32 step stands
    int16_t reach = 0;  // 0 = not made
  };
  static constexpr int kReachMax = 26;
  void make(unsigned table);

  unsigned shape_;
  Cells cells_;
  size_t used_ = 0;  // of the pool
  std::array<Class, kClasses> classes_{};
  std::array<float, kClassesAll> upper_;  // class_of: the mean below which a class is chosen
  std::array<uint16_t, 17408> pool_;      // enough for all tables of the widest shape
};

}  // namespace runnel::codec
