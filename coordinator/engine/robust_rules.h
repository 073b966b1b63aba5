// Aggregation rules of which a bounded number of updates may be lies: docs/aggregation.md.
//
// All are unweighted, as in the papers: a liar could claim any number of examples. The result depends on the order of
// `updates` only where Krum meets equal scores (the first wins), so callers pass them in an order of their own, not in
// that of arrival. Sums are made in a fixed order, in double: the same updates give the same bits.
// REQUIRES of all: at least one update, all of the same length, every value finite.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace runnel::coordinator {

using Updates = std::span<const std::span<const float>>;

// The first two take a stretch of coordinates, so that a caller may do other things in between: [begin, begin + count)
// of every update, into as many places of `result`.

// Each coordinate's middle value, the mean of both for an even number. With fewer than half of the updates lies, every
// coordinate stays within the honest ones' range. Yin et al. 2018, definition 1.
void coordinate_median(Updates updates, size_t begin, std::span<double> result);
inline void coordinate_median(Updates updates, std::span<double> result) {
  coordinate_median(updates, 0, result);
}

// Updates that are left out at each end: floor(trim * count), which is below count / 2 for trim < 1/2.
size_t trimmed_count(double trim, size_t count);

// Each coordinate's mean without its `left_out` smallest and largest values; with at most that many lies it stays
// within the honest ones' range. REQUIRES: 2 * left_out < count. Yin et al. 2018, definition 2.
void trimmed_mean(Updates updates, size_t left_out, size_t begin, std::span<double> result);
inline void trimmed_mean(Updates updates, size_t left_out, std::span<double> result) {
  trimmed_mean(updates, left_out, 0, result);
}

// Of how many lies among `count` updates Krum can be sure, up to `byzantine`: count >= 2 f + 3.
size_t krum_tolerated(size_t count, uint32_t byzantine);

// The squared distances between all updates, a slice at a time. Memory: 8 bytes a pair, both ways. The updates must
// outlive it.
class SquaredDistances {
 public:
  explicit SquaredDistances(Updates updates);

  // Works on about that many pairs of coordinates, at least on one update's with the others. True once all is there;
  // the bits do not depend on the slices.
  bool step(uint64_t coordinates);
  // REQUIRES: step() was true.
  double at(size_t i, size_t j) const { return distances_[i * updates_.size() + j]; }
  size_t size() const { return updates_.size(); }

 private:
  std::vector<std::span<const float>> updates_;
  std::vector<double> distances_;
  size_t begin_ = 0;  // of the stretch of coordinates
  size_t row_ = 0;    // whose distances in that stretch are next
};

// The indexes of the `keep` updates with the lowest scores, ascending by index. An update's score is the sum of its
// squared distances to its count - f - 2 nearest others, f = krum_tolerated(). At most count - f - 2 are kept, at least
// one. Takes time count^2 * length. Blanchard et al. 2017, section 4 (keep = 1) and 6 (multi-Krum).
std::vector<size_t> krum(const SquaredDistances& distances, uint32_t byzantine, uint32_t keep);
std::vector<size_t> krum(Updates updates, uint32_t byzantine, uint32_t keep);

}  // namespace runnel::coordinator
