// The statements of QSGD's Lemma 3.1 and their sharper forms, as assertions with fixed seeds.
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/codec/quantizer.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

constexpr int kDraws = 2000;

struct Case {
  const char* name;
  std::vector<float> values;
  uint32_t levels;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const uint32_t levels : {1U, 2U, 5U, 7U, 64U, 1000U}) {
    all.push_back({"gauss", gauss_vector(96, levels), levels});
    all.push_back({"laplace", laplace_vector(96, levels), levels});
    all.push_back({"flat", flat_vector(50), levels});
  }
  all.push_back({"one large", {100.0F, 0.01F, -0.02F, 0.0F, 1e-6F, -1.0F}, 3});
  all.push_back({"denormal", {1e-40F, -2e-40F, 3e-41F, 1.4e-45F}, 4});
  all.push_back({"huge", {1e38F, -2e38F, 3e37F, 1.0F}, 4});
  return all;
}

// Fractions f_i = frac(s |v_i| / ||v||) with the norm that is sent.
std::vector<double> scaled(const Case& test, double norm) {
  std::vector<double> x;
  for (const float value : test.values) x.push_back(std::abs(double{value}) / norm * test.levels);
  return x;
}

TEST(QsgdNoise, IsUnbiasedWithExactlyTheVarianceOfTheFormula) {
  for (const Case& test : cases()) {
    SCOPED_TRACE(testing::Message() << test.name << ", " << test.levels << " levels");
    const size_t count = test.values.size();
    const double s = test.levels;
    std::vector<double> sums(count, 0.0);
    double error_sum = 0.0;
    double error_square_sum = 0.0;
    double nonzero_sum = 0.0;
    float norm = 0.0F;
    std::vector<float> decoded(count);
    for (int draw = 0; draw < kDraws; ++draw) {
      const Encoded encoded =
          encode(qsgd_spec(test.levels, 1024), test.values, derive_key(77, static_cast<uint64_t>(draw)));
      ASSERT_TRUE(encoded.failure.ok()) << encoded.failure.text();
      ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
      norm = encoded.tensor.scale;
      double error = 0.0;
      for (size_t i = 0; i < count; ++i) {
        sums[i] += decoded[i];
        const double difference = (double{decoded[i]} - test.values[i]) / norm;
        error += difference * difference;
        nonzero_sum += decoded[i] != 0.0F ? 1 : 0;
      }
      error_sum += error;
      error_square_sum += error * error;
    }

    const std::vector<double> x = scaled(test, norm);
    double variance = 0.0;
    double nonzero_expected = 0.0;
    double nonzero_variance = 0.0;
    for (size_t i = 0; i < count; ++i) {
      const double fraction = x[i] - std::floor(x[i]);
      const double step = double{norm} / test.levels;
      const double one_variance = step * step * fraction * (1 - fraction);
      // 5 sigma, plus what fp32 rounds away of v, and the resolution of the random numbers.
      const double slack = std::abs(test.values[i]) * 0x1.0p-22 + step * 0x1.0p-16 + 1.5e-45;
      EXPECT_NEAR(sums[i] / kDraws, test.values[i], 5 * std::sqrt(one_variance / kDraws) + slack) << "value " << i;
      variance += fraction * (1 - fraction) / (s * s);
      const double nonzero = std::min(1.0, x[i]);
      nonzero_expected += nonzero;
      nonzero_variance += nonzero * (1 - nonzero);
    }
    const double mean = error_sum / kDraws;
    const double spread = std::sqrt(std::max(0.0, error_square_sum / kDraws - mean * mean) / kDraws);
    EXPECT_NEAR(mean, variance, 5 * spread + 1e-4 * variance + 1e-12);
    EXPECT_NEAR(nonzero_sum / kDraws, nonzero_expected, 5 * std::sqrt(nonzero_variance / kDraws) + 1e-3);

    const double n = static_cast<double>(count);
    EXPECT_LE(mean, std::min(n / (s * s), std::sqrt(n) / s) + 5 * spread);
    EXPECT_LE(mean, n / (4 * s * s) + 5 * spread);
    EXPECT_LE(nonzero_sum / kDraws, s * (s + std::sqrt(n)) + 1e-9);
  }
}

// As a Monte Carlo computation of first-order entropies has them, buckets of 512.
TEST(QsgdNoise, MatchesTheMeasuredErrorOfBucketedQsgd) {
  constexpr size_t kCount = 1U << 20;
  struct Row {
    uint32_t levels;
    double gauss, laplace;
  };
  const std::vector<float> gauss = gauss_vector(kCount, 1);
  const std::vector<float> laplace = laplace_vector(kCount, 2);
  std::vector<float> decoded(kCount);
  const auto error_of = [&](const std::vector<float>& values, uint32_t levels) {
    const Encoded encoded = encode(qsgd_spec(levels, 512), values, 3);
    EXPECT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
    double sum = 0.0;
    for (size_t i = 0; i < kCount; ++i) {
      const double difference = double{decoded[i]} - values[i];
      sum += difference * difference;
    }
    return sum / squared_norm(values);
  };
  for (const Row row : {Row{1, 17.07, 14.96}, Row{7, 1.582, 1.332}, Row{15, .3798, .3532}, Row{23, .1616, .1564},
                        Row{127, .00530, .00528}}) {
    EXPECT_NEAR(error_of(gauss, row.levels), row.gauss, 0.02 * row.gauss) << row.levels << " levels";
    EXPECT_NEAR(error_of(laplace, row.levels), row.laplace, 0.02 * row.laplace) << row.levels << " levels";
  }
}

TEST(QsgdNoise, LevelsNeverExceedTheirMaximum) {
  Rng rng(8);
  for (int round = 0; round < 3000; ++round) {
    // Few values, one of them nearly the whole norm, at every magnitude that fp32 has.
    std::vector<float> values(1 + rng.below(4));
    const int exponent = static_cast<int>(rng.below(270)) - 149;
    for (float& value : values) value = static_cast<float>(std::ldexp(rng.uniform() + 1e-9, exponent));
    if (values.size() > 1) values[1] *= 1e-4F;
    const bool exponential = rng.below(2) == 0;
    const auto levels = static_cast<uint32_t>(1 + rng.below(exponential ? 30 : rng.below(2) == 0 ? 128 : 32767));
    const Quantizer quantizer = {rng.below(2) == 0, exponential, levels};
    const auto norm = static_cast<float>(bucket_norm(quantizer, values));
    if (norm == 0.0F) continue;
    const auto most = static_cast<int32_t>(quantizer.symbol_max());
    for (const int16_t symbol : symbols_of(quantizer, norm, values, 0, rng.next_u64())) ASSERT_LE(symbol, most);
    ASSERT_LE(LevelValues(quantizer, norm)(most), norm);
  }
}

// The definition in quantizer.h, in double, one coordinate at a time.
TEST(QsgdNoise, EachCoordinateUsesItsOwnNumber) {
  const std::vector<float> values = gauss_vector(9000, 4);
  const Quantizer quantizer = {false, false, 1000};
  const auto norm = static_cast<float>(bucket_norm(quantizer, values));
  const std::vector<int16_t> symbols = symbols_of(quantizer, norm, values, 0, 99);
  LaneRng::State state{};
  uint16_t numbers[LaneRng::kStep];
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % LaneRng::kChunk == 0) state = LaneRng(99).start(i / LaneRng::kChunk);
    if (i % LaneRng::kStep == 0) LaneRng::step(state, numbers);
    const double t = std::nearbyint(values[i] * (1000.0 * 65536.0 / norm));
    ASSERT_EQ(symbols[i], static_cast<int>(std::floor((t + numbers[i % LaneRng::kStep]) / 65536.0))) << i;
  }
  const std::vector<int16_t> part = symbols_of(quantizer, norm, std::span(values).subspan(3000, 2000), 3000, 99);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), symbols.begin() + 3000));
}

}  // namespace
}  // namespace runnel::codec
