#include "coordinator/engine/robust_rules.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "runtime/base/error.h"

namespace runnel::coordinator {
namespace {

// Coordinates that are sorted side by side: a row of the block is one update's values, two cache lines of them.
constexpr size_t kBlock = 32;
using Row = std::array<int32_t, kBlock>;

// A whole number in the order of the numbers, and back: the sign bit decides, and below zero the rest counts downwards.
// The vector units compare and choose whole numbers without asking about NaN.
int32_t key_of(float value) {
  const auto bits = std::bit_cast<int32_t>(value);
  return bits ^ ((bits >> 31) & 0x7FFFFFFF);
}
float value_of(int32_t key) {
  return std::bit_cast<float>(key ^ ((key >> 31) & 0x7FFFFFFF));
}

// The smaller values into `low`, the larger ones into `high`.
void order(int32_t* __restrict low, int32_t* __restrict high) {
  for (size_t i = 0; i < kBlock; ++i) {
    const int32_t smaller = std::min(low[i], high[i]);
    high[i] = std::max(low[i], high[i]);
    low[i] = smaller;
  }
}

// Sorts every column at once. Batcher's odd-even merge sort (Knuth 5.2.2, algorithm M): which rows are compared depends
// on their number alone, so there is no branch to mispredict, and no library's own order of equal values in the result.
void sort_columns(std::vector<Row>& rows) {
  const size_t count = rows.size();
  for (size_t p = 1; p < count; p *= 2) {
    for (size_t k = p; k >= 1; k /= 2) {
      for (size_t j = k % p; j + k < count; j += 2 * k) {
        const size_t end = std::min(j + k, count - k);
        for (size_t i = j; i < end; ++i) {
          if ((i ^ (i + k)) < 2 * p) order(rows[i].data(), rows[i + k].data());
        }
      }
    }
  }
}

// Calls take(place, number of coordinates, sorted rows) for every block of [first, first + length).
template <typename Take>
void for_sorted_blocks(Updates updates, size_t first, size_t length, Take take) {
  std::vector<Row> rows(updates.size());
  for (size_t begin = 0; begin < length; begin += kBlock) {
    const size_t count = std::min(kBlock, length - begin);
    for (size_t r = 0; r < rows.size(); ++r) {
      rows[r].fill(0);
      for (size_t i = 0; i < count; ++i) rows[r][i] = key_of(updates[r][first + begin + i]);
    }
    sort_columns(rows);
    take(begin, count, rows);
  }
}

double real(int32_t key) {
  return static_cast<double>(value_of(key));
}

// Zeros of both signs are equal, so which one a sort leaves in the middle is chance; a sum with +0 is always +0.
double without_sign_of_zero(double value) {
  return value + 0.0;
}

double squared_distance(std::span<const float> a, std::span<const float> b) {
  constexpr size_t kLanes = 8;  // sums that the compiler can keep side by side, always added up in the same order
  std::array<double, kLanes> sums{};
  const size_t whole = a.size() - a.size() % kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const double difference = static_cast<double>(a[i + lane]) - static_cast<double>(b[i + lane]);
      sums[lane] += difference * difference;
    }
  }
  for (size_t i = whole; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sums[0] += difference * difference;
  }
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

constexpr size_t kStretch = 1024;  // coordinates of all updates that stay in the cache while every pair is visited

}  // namespace

void coordinate_median(Updates updates, size_t first, std::span<double> result) {
  RUNNEL_ASSERT(!updates.empty() && first + result.size() <= updates.front().size());
  for_sorted_blocks(updates, first, result.size(), [&](size_t begin, size_t count, const std::vector<Row>& rows) {
    const Row& low = rows[(rows.size() - 1) / 2];
    const Row& high = rows[rows.size() / 2];
    for (size_t i = 0; i < count; ++i) {
      result[begin + i] = without_sign_of_zero((real(low[i]) + real(high[i])) / 2.0);
    }
  });
}

size_t trimmed_count(double trim, size_t count) {
  // A product that is whole in decimals must not be lost to its binary rounding: 0.29 * 100.
  return static_cast<size_t>(trim * static_cast<double>(count) + 1e-9);
}

void trimmed_mean(Updates updates, size_t left_out, size_t first, std::span<double> result) {
  RUNNEL_ASSERT(2 * left_out < updates.size() && first + result.size() <= updates.front().size());
  const auto kept = static_cast<double>(updates.size() - 2 * left_out);
  for_sorted_blocks(updates, first, result.size(), [&](size_t begin, size_t count, const std::vector<Row>& rows) {
    std::array<double, kBlock> sums{};
    for (size_t r = left_out; r + left_out < rows.size(); ++r) {
      for (size_t i = 0; i < kBlock; ++i) sums[i] += real(rows[r][i]);
    }
    for (size_t i = 0; i < count; ++i) result[begin + i] = without_sign_of_zero(sums[i] / kept);
  });
}

size_t krum_tolerated(size_t count, uint32_t byzantine) {
  return count < 3 ? 0 : std::min<size_t>(byzantine, (count - 3) / 2);
}

SquaredDistances::SquaredDistances(Updates updates)
    : updates_(updates.begin(), updates.end()), distances_(updates.size() * updates.size(), 0.0) {}

bool SquaredDistances::step(uint64_t coordinates) {
  const size_t count = updates_.size();
  const size_t length = updates_.empty() ? 0 : updates_.front().size();
  uint64_t done = 0;
  for (; begin_ < length; begin_ += kStretch, row_ = 0) {
    const size_t stretch = std::min(kStretch, length - begin_);
    for (; row_ < count; ++row_) {
      if (done >= coordinates && done > 0) return false;
      const std::span<const float> own = updates_[row_].subspan(begin_, stretch);
      for (size_t j = row_ + 1; j < count; ++j) {
        distances_[row_ * count + j] += squared_distance(own, updates_[j].subspan(begin_, stretch));
      }
      done += (count - row_ - 1) * stretch;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < i; ++j) distances_[i * count + j] = distances_[j * count + i];
  }
  return true;
}

std::vector<size_t> krum(Updates updates, uint32_t byzantine, uint32_t keep) {
  RUNNEL_ASSERT(!updates.empty());
  SquaredDistances distances(updates);
  static_cast<void>(distances.step(UINT64_MAX));
  return krum(distances, byzantine, keep);
}

std::vector<size_t> krum(const SquaredDistances& distances, uint32_t byzantine, uint32_t keep) {
  const size_t count = distances.size();
  RUNNEL_ASSERT(count > 0);
  if (count == 1) return {0};
  const size_t nearest = std::max<size_t>(1, count - std::min(count, krum_tolerated(count, byzantine) + 2));
  std::vector<std::pair<double, size_t>> scores;
  std::vector<double> others;
  for (size_t i = 0; i < count; ++i) {
    others.clear();
    for (size_t j = 0; j < count; ++j) {
      if (j != i) others.push_back(distances.at(i, j));
    }
    std::sort(others.begin(), others.end());
    double score = 0.0;
    for (size_t j = 0; j < nearest; ++j) score += others[j];
    scores.emplace_back(score, i);
  }
  std::sort(scores.begin(), scores.end());
  std::vector<size_t> kept;
  for (size_t i = 0; i < std::min<size_t>(keep, nearest); ++i) kept.push_back(scores[i].second);
  std::sort(kept.begin(), kept.end());
  return kept;
}

}  // namespace runnel::coordinator
