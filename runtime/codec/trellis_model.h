// How probable an index of the trellis quantizer is, given how large its neighbours were: the tables behind its coder.
//
// The magnitudes of the coordinates already coded give the local scale, by an exponential average over groups of 16
// coordinates, and the scale falls into one of kTrellisClasses classes, from almost nothing but zeros to indices of
// twenty bits. Within a class the points i of the grid that a state allows have the probability of a sampled density of
// that scale: Gaussian (which fits a rotated vector to 0.0001 bit, trellis paths being that smooth), Laplace, or one
// with heavy tails. No table travels. Indices of the upper classes are split: the part above the scale's lowest bits
// has a table, the bits below are uniform.
//
// Everything follows from + - * / and comparisons, so that both ends have the same tables on every machine.
//
// Memory: 70 KiB, made at the first call (some milliseconds); const after that, from any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace runnel::codec {

enum class TrellisShape : uint8_t { kGaussian = 0, kLaplace = 1, kHeavy = 2 };
inline constexpr size_t kTrellisShapes = 3;

inline constexpr unsigned kTrellisTableBits = 14;  // the frequencies of a table add up to 2^14
inline constexpr size_t kTrellisGroup = 16;        // coordinates that share a class

// Classes by mean magnitude t: half octaves from 2^-11 to 1/2, quarter octaves to 16, each with tables of its own;
// above that the tables of the last octave again, with one more uniform bit an octave.
inline constexpr unsigned kTrellisSparseClasses = 20;
inline constexpr unsigned kTrellisTableClasses = 40;
inline constexpr unsigned kTrellisUniformBitsMax = 12;
inline constexpr unsigned kTrellisClasses = kTrellisTableClasses + 4 * kTrellisUniformBitsMax;

// Symbols are 0, -1, 1, -2, 2 .. largest and then the escape.
struct TrellisTable {
  const uint16_t* starts;  // symbols + 1 of them, from 0 to 2^14
  const uint16_t* costs;   // -log2 of the probability in 1/4096 bit
  const uint8_t* pivots;   // the symbol at every 128th of the 2^14 slots
  uint32_t escape;         // its symbol, which is the largest
};

class TrellisModel {
 public:
  static const TrellisModel& instance();

  // REQUIRES: row < kTrellisTableClasses, odd <= 1.
  TrellisTable table(TrellisShape shape, unsigned row, unsigned odd) const {
    const size_t which = (static_cast<size_t>(shape) * kTrellisTableClasses + row) * 2 + odd;
    const size_t at = static_cast<size_t>(shape) * 2 * kPool + 2 * offsets_[row] + odd * (escapes_[row] + 2U);
    return {&starts_[at], &costs_[at], pivots_[which].data(), escapes_[row]};
  }

  // The smallest level that belongs to class c + 1 and no longer to class c.
  int64_t upper_level(unsigned c) const { return upper_levels_[c]; }

 private:
  static constexpr size_t kPool = 1600;  // entries of all tables of one shape and parity

  TrellisModel();
  void fill(TrellisShape shape, unsigned row, unsigned odd, double parameter);

  std::array<int64_t, kTrellisClasses> upper_levels_{};
  std::array<uint32_t, kTrellisTableClasses> offsets_{};
  std::array<uint8_t, kTrellisTableClasses> escapes_{};
  std::array<uint16_t, kTrellisShapes * 2 * kPool> starts_{};
  std::array<uint16_t, kTrellisShapes * 2 * kPool> costs_{};
  std::array<std::array<uint8_t, 128>, kTrellisShapes * kTrellisTableClasses * 2> pivots_{};
};

// Which table a class uses, and how many uniform bits lie below it.
constexpr unsigned trellis_row(unsigned c) {
  return c < kTrellisTableClasses ? c : kTrellisTableClasses - 4 + (c - kTrellisTableClasses) % 4;
}
constexpr unsigned trellis_uniform_bits(unsigned c) {
  return c < kTrellisTableClasses ? 0 : 1 + (c - kTrellisTableClasses) / 4;
}

// What a coordinate contributes to the scale: |i|, less the 1 that an odd i has at least.
constexpr uint32_t trellis_magnitude(int32_t k, unsigned odd) {
  const int32_t point = 2 * k + static_cast<int32_t>(odd);
  return static_cast<uint32_t>(point < 0 ? -point : point) - odd;
}

// The local scale, kept the same way by encoder and decoder.
class TrellisScale {
 public:
  static constexpr int64_t kUnit = 1 << 14;  // of the level: one group whose magnitudes add up to 1

  TrellisScale(const TrellisModel& model, unsigned first_class, unsigned rate)
      : model_(&model), level_(model.upper_level(first_class) - 1), rate_(rate), class_(first_class) {}

  unsigned current() const { return class_; }

  // `sum` of the magnitudes of a whole group, each at most 2^22.
  void add(uint32_t sum) {
    level_ += (int64_t{sum} * kUnit - level_) >> rate_;
    while (level_ >= model_->upper_level(class_) && class_ + 1 < kTrellisClasses) ++class_;
    while (class_ > 0 && level_ < model_->upper_level(class_ - 1)) --class_;
  }

 private:
  const TrellisModel* model_;
  int64_t level_;
  unsigned rate_;
  unsigned class_;
};

}  // namespace runnel::codec
