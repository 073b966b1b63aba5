// How many bits QSGD takes: the paper's theorem and the corrected measurements of the reference note (section 1.3).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/codec/elias_bucket.h"
#include "runtime/codec/elias_omega.h"
#include "runtime/codec/quantizer.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

struct Lengths {
  double dense = 0.0;  // bits, mean over the draws, without the norm and the form bit
  double sparse = 0.0;
};

Lengths mean_lengths(const std::vector<float>& values, uint32_t levels, int draws) {
  Lengths mean;
  const Quantizer quantizer = {false, false, levels};
  const auto norm = static_cast<float>(bucket_norm(quantizer, values));
  for (int draw = 0; draw < draws; ++draw) {
    EliasLength length;
    length.add(symbols_of(quantizer, norm, values, 0, derive_key(31, static_cast<uint64_t>(draw))));
    mean.dense += static_cast<double>(length.dense_bits());
    mean.sparse += static_cast<double>(length.sparse_bits());
  }
  mean.dense /= draws;
  mean.sparse /= draws;
  return mean;
}

std::vector<float> vector_of(const std::string& kind, size_t count) {
  if (kind == "gauss") return gauss_vector(count, 21);
  if (kind == "laplace") return laplace_vector(count, 22);
  return flat_vector(count);
}

// Section 1.3 prints a sparse length that includes the norm, hence the 32. Its rows are single draws: where few values
// are nonzero, their number alone (817 for Gauss, 1024 for flat) spreads by its root, and two such deviations are
// allowed for.
TEST(QsgdLength, MatchesTheMeasuredRows) {
  constexpr size_t kCount = 1U << 20;
  constexpr double kN = kCount;
  struct Row {
    const char* kind;
    uint32_t levels;
    double nonzero_spread;  // relative, of one draw
    double sparse_bits, dense_per_value;
  };
  for (const Row& row :
       {Row{"gauss", 1, 1 / std::sqrt(817.0), 16306, 1.00}, Row{"flat", 1, 1 / 32.0, 19818, 1.00},
        Row{"gauss", 64, 0, 536219, 1.15}, Row{"flat", 64, 0, 631041, 1.19}, Row{"gauss", 1024, 0, 2.76 * kN, 2.94},
        Row{"laplace", 1024, 0, 2.55 * kN, 2.70}, Row{"flat", 1024, 0, 3.00 * kN, 4.00}}) {
    const Lengths lengths = mean_lengths(vector_of(row.kind, kCount), row.levels, row.levels == 1 ? 20 : 3);
    const double tolerance = 0.02 + 2 * row.nonzero_spread;
    EXPECT_NEAR(lengths.sparse + 32, row.sparse_bits, tolerance * row.sparse_bits) << row.kind << " " << row.levels;
    EXPECT_NEAR(lengths.dense / kN, row.dense_per_value, 0.02 * row.dense_per_value) << row.kind << " " << row.levels;
  }
}

// For a flat vector at one level each value is nonzero with p = 1 / sqrt(n), independently, so gaps are geometric and
// the mean length has a closed form: n p (E|omega(gap)| + sign + |omega(1)|), and the count in front.
TEST(QsgdLength, MatchesTheClosedFormOfAFlatVectorAtOneLevel) {
  constexpr uint32_t kCount = 1U << 20;
  constexpr double kP = 1.0 / 1024;
  double gap_bits = 0.0;
  double probability = kP;
  for (uint32_t gap = 1; gap < 100000; ++gap, probability *= 1 - kP) gap_bits += probability * omega_length(gap);
  const double expected = kCount * kP * (gap_bits + 2) + omega_length(1025);
  // 64 draws: the number of nonzero values then deviates by 32 / sqrt(64) of 1024, 0.4%.
  EXPECT_NEAR(mean_lengths(flat_vector(kCount), 1, 64).sparse, expected, 0.015 * expected);
}

TEST(QsgdLength, ThePayloadIsTheShorterMeasurePlusItsNormAndForm) {
  constexpr uint32_t kCount = 1U << 20;
  const std::vector<float> values = gauss_vector(kCount, 21);
  struct Row {
    uint32_t levels;
    double bits;
  };
  for (const Row row : {Row{64, 536219}, Row{1024, 2.76 * kCount}}) {
    const Encoded encoded = encode(qsgd_spec(row.levels, kCount), values, 4);
    EXPECT_NEAR(encoded.payload_bits(), row.bits, 0.02 * row.bits) << row.levels;
  }
}

// Theorem 3.2 with its o(1) dropped, plus 10%.
TEST(QsgdLength, SparseCodesKeepTheTheorem) {
  constexpr size_t kCount = 1U << 18;
  constexpr double kN = kCount;
  for (const char* kind : {"gauss", "laplace", "flat"}) {
    const std::vector<float> values = vector_of(kind, kCount);
    for (const uint32_t levels : {1U, 2U, 4U, 16U, 64U, 512U}) {
      const double s = levels;
      const double nonzero_max = s * (s + std::sqrt(kN));
      const double bound = (3 + 1.5 * std::log2(2 * (s * s + kN) / nonzero_max)) * nonzero_max + 32;
      const Lengths lengths = mean_lengths(values, levels, levels < 16 ? 20 : 3);
      EXPECT_LE(lengths.sparse + 32, 1.1 * bound) << kind << ", " << levels << " levels";
      EXPECT_GT(lengths.sparse, 32) << kind;
    }
  }
}

// 4 n + 32 and not the paper's 2.8 n + 32, which omega codes do not meet; the flat vector at s = sqrt(n) attains it.
TEST(QsgdLength, DenseCodesTakeAtMostFourBitsAValueUpToRootNLevels) {
  for (const uint32_t root : {3U, 8U, 32U, 128U}) {
    const size_t count = size_t{root} * root;
    const double bound = 4.0 * static_cast<double>(count) + 32;
    for (const char* kind : {"gauss", "laplace", "flat"}) {
      const std::vector<float> values = vector_of(kind, count);
      for (uint32_t levels = 1; levels <= root; levels += std::max(1U, root / 8)) {
        EXPECT_LE(mean_lengths(values, levels, 50).dense + 32, bound)
            << kind << " " << count << ", " << levels << " levels";
      }
      EXPECT_LE(mean_lengths(values, root, 50).dense + 32, bound) << kind << " " << count;
    }
    // Two sizes of values, in the proportion that makes the code longest.
    std::vector<float> two_sizes = flat_vector(count);
    for (size_t i = 0; i < count; i += 9) two_sizes[i] = 3.0F;
    EXPECT_LE(mean_lengths(two_sizes, root, 50).dense + 32, bound) << count;
  }
  const Lengths flat = mean_lengths(flat_vector(1U << 14), 128, 10);
  EXPECT_GT(flat.dense, 3.9 * (1U << 14)) << "2.8 n would be below what the code really takes";
}

TEST(QsgdLength, TheBoundHoldsAndIsReachedByTheWorstLevels) {
  // A single value is its own norm, so its level is s: nothing can take more.
  for (const uint32_t levels : {1U, 2U, 7U, 100U, 32767U}) {
    const std::vector<float> one = {1.0F};
    const plan::CodecSpec spec = qsgd_spec(levels, 8);
    EXPECT_LE(encode(spec, one, 1).tensor.payload.size(), encoded_bytes_max(spec, 1));
    EXPECT_GE(encode(spec, one, 1).tensor.payload.size() + 1, encoded_bytes_max(spec, 1));
  }
  for (const uint32_t bucket : {8U, 9U, 128U, 1048576U}) {
    for (const uint32_t count : {0U, 1U, 7U, 8U, 9U, 1000U, 4096U}) {
      const std::vector<float> values = gauss_vector(count, 6);
      const plan::CodecSpec spec = qsgd_spec(32767, bucket);
      EXPECT_LE(encode(spec, values, 1).tensor.payload.size(), encoded_bytes_max(spec, count));
    }
  }
}

}  // namespace
}  // namespace runnel::codec
