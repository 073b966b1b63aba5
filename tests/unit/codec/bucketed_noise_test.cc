// The bucketed schemes against their theory: unbiased, bounded error, and the measured rows of the reference note.
#include <gtest/gtest.h>

#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

using plan::CodecId;
using plan::Coder;

plan::CodecSpec spec_of(CodecId codec, Coder coder, uint32_t levels, uint32_t bucket) {
  plan::CodecSpec spec = qsgd_spec(levels, bucket);
  spec.codec = codec;
  spec.coder = coder;
  return spec;
}

double squared_error(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, size_t* bytes) {
  const Encoded encoded = encode(spec, values, seed);
  EXPECT_TRUE(encoded.failure.ok()) << encoded.failure.text();
  std::vector<float> decoded(values.size());
  EXPECT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
  double sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double difference = double{decoded[i]} - values[i];
    sum += difference * difference;
  }
  if (bytes != nullptr) *bytes = encoded.tensor.payload.size();
  return sum / squared_norm(values);
}

// As a Monte Carlo computation of first-order entropies has them, buckets of 512: bits a coordinate with the norms, and
// the error, for Gauss and Laplace.
TEST(BucketedNoise, MatchesTheMeasuredRatesAndErrors) {
  constexpr size_t kCount = 1U << 20;
  struct Row {
    CodecId codec;
    uint32_t levels;
    double gauss_bits, laplace_bits, gauss_error, laplace_error;
  };
  const Row rows[] = {
      {CodecId::kQsgd, 1, .318, .294, 17.07, 14.96},      {CodecId::kQsgd, 7, 1.116, 1.050, 1.582, 1.332},
      {CodecId::kQsgd, 23, 2.241, 2.181, .1616, .1564},   {CodecId::kQsgd, 127, 4.602, 4.503, .00530, .00528},
      {CodecId::kQsgdInf, 1, 1.120, .825, 1.586, 2.415},  {CodecId::kQsgdInf, 3, 2.143, 1.668, .1967, .4054},
      {CodecId::kQsgdInf, 7, 3.264, 2.664, .0361, .0805}, {CodecId::kQsgdInf, 127, 7.414, 6.756, .00011, .00025},
      {CodecId::kNuqsgd, 2, .789, .733, 3.507, 3.005},    {CodecId::kNuqsgd, 6, 3.065, 3.048, .0875, .0890},
      {CodecId::kNuqsgd, 14, 3.648, 3.916, .0822, .0820},
  };
  const std::vector<float> gauss = gauss_vector(kCount, 1);
  const std::vector<float> laplace = laplace_vector(kCount, 2);
  for (const Row& row : rows) {
    SCOPED_TRACE(testing::Message() << plan::codec_name(row.codec) << ", " << row.levels << " levels");
    const plan::CodecSpec spec = spec_of(row.codec, Coder::kRans, row.levels, 512);
    const auto expect = [&](std::span<const float> values, double bits, double error) {
      size_t bytes = 0;
      // Rows are printed with two digits where the error is smallest.
      EXPECT_NEAR(squared_error(spec, values, 3, &bytes), error, std::max(0.02 * error, 5e-6));
      const double expected_bytes = bits * kCount / 8;
      EXPECT_NEAR(static_cast<double>(bytes), expected_bytes, 0.01 * expected_bytes + 64);
    };
    expect(gauss, row.gauss_bits, row.gauss_error);
    expect(laplace, row.laplace_bits, row.laplace_error);
  }
}

TEST(BucketedNoise, IsUnbiased) {
  constexpr int kDraws = 3000;
  for (const CodecId codec :
       {CodecId::kQsgd, CodecId::kQsgdInf, CodecId::kNuqsgd, CodecId::kNuqsgdInf, CodecId::kTerngrad}) {
    for (const uint32_t levels : {1U, 4U, 100U}) {
      const bool exponential = codec == CodecId::kNuqsgd || codec == CodecId::kNuqsgdInf;
      const plan::CodecSpec spec = spec_of(codec, Coder::kFixed, exponential ? std::min(levels, 30U) : levels, 64);
      SCOPED_TRACE(testing::Message() << plan::codec_name(codec) << ", " << levels << " levels");
      const std::vector<float> values = laplace_vector(96, levels);
      std::vector<double> sums(values.size(), 0.0);
      std::vector<double> squares(values.size(), 0.0);
      std::vector<float> decoded(values.size());
      float scale = 0.0F;
      for (int draw = 0; draw < kDraws; ++draw) {
        const Encoded encoded = encode(spec, values, derive_key(5, static_cast<uint64_t>(draw)));
        ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
        scale = encoded.tensor.scale;
        for (size_t i = 0; i < values.size(); ++i) {
          sums[i] += decoded[i];
          squares[i] += double{decoded[i]} * decoded[i];
        }
      }
      for (size_t i = 0; i < values.size(); ++i) {
        const double mean = sums[i] / kDraws;
        const double spread = std::sqrt(std::max(0.0, squares[i] / kDraws - mean * mean) / kDraws);
        // 5 sigma; a coordinate that was never rounded away by chance may still be, once in all draws.
        EXPECT_NEAR(mean, values[i], 5 * spread + double{scale} * 5e-4 + 1e-6) << i;
      }
    }
  }
}

// E ||Q - v||^2 <= 1/8 + 2^(-2s-2) d for d < 2^(2s+2), else 2^-s sqrt(d) - 7/8, times ||v||^2.
TEST(BucketedNoise, NuqsgdKeepsItsBoundAndItsFloor) {
  for (const uint32_t levels : {1U, 2U, 3U, 5U}) {
    for (const uint32_t count : {8U, 64U, 1U << (2 * levels + 1), 1U << (2 * levels + 2), 1U << (2 * levels + 4)}) {
      if (count < 8) continue;
      const double d = count;
      const double step = std::ldexp(1.0, -static_cast<int>(levels));
      const double bound = d < 4 / (step * step) ? 0.125 + step * step / 4 * d : step * std::sqrt(d) - 0.875;
      const std::vector<float> flat(count, 1.0F);
      for (const std::vector<float>& values : {gauss_vector(count, 1), laplace_vector(count, 2), flat}) {
        double sum = 0.0;
        double squares = 0.0;
        constexpr int kDraws = 400;
        for (uint64_t draw = 0; draw < kDraws; ++draw) {
          const double error =
              squared_error(spec_of(CodecId::kNuqsgd, Coder::kAuto, levels, 1U << 20), values, draw, nullptr);
          sum += error;
          squares += error * error;
        }
        const double mean = sum / kDraws;
        const double spread = std::sqrt(std::max(0.0, squares / kDraws - mean * mean) / kDraws);
        EXPECT_LE(mean, bound + 5 * spread) << levels << " levels, " << count << " values";
      }
    }
  }
  const std::vector<float> values = gauss_vector(1U << 18, 4);
  EXPECT_NEAR(squared_error(spec_of(CodecId::kNuqsgd, Coder::kFixed, 30, 512), values, 1, nullptr), 0.082, 0.002);
}

}  // namespace
}  // namespace runnel::codec
