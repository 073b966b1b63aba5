#include "runtime/codec/sign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/crc32c.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

plan::CodecSpec sign_spec(plan::CodecId codec, uint32_t bucket) {
  plan::CodecSpec spec;
  spec.codec = codec;
  spec.bucket = bucket;
  spec.exact_coordinates_max = 0;
  return spec;
}

std::vector<float> decode_of(const Encoded& encoded) {
  std::vector<float> values(encoded.tensor.count);
  const Failure failure = decode_tensor("t", encoded.tensor, values);
  EXPECT_TRUE(failure.ok()) << failure.text();
  return values;
}

double error_of(std::span<const float> values, std::span<const float> decoded) {
  double sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += (double{values[i]} - decoded[i]) * (double{values[i]} - decoded[i]);
  }
  return sum;
}

TEST(Sign, HasTheErrorOfOneBit) {
  const std::vector<float> gauss = gauss_vector(1 << 18, 31);
  const std::vector<float> laplace = laplace_vector(1 << 18, 32);
  const plan::CodecSpec spec = sign_spec(plan::CodecId::kSign, 8192);
  EXPECT_NEAR(error_of(gauss, decode_of(encode(spec, gauss, 1))) / squared_norm(gauss), 0.3634, 0.004);
  const Encoded encoded = encode(spec, laplace, 1);
  EXPECT_NEAR(error_of(laplace, decode_of(encoded)) / squared_norm(laplace), 0.500, 0.005);
  EXPECT_EQ(encoded.tensor.payload.size(), (1U << 15) + 4 * 32);
}

TEST(Sign, EveryBucketHasItsOwnScale) {
  std::vector<float> values(20, -2.0F);
  for (size_t i = 8; i < 16; ++i) values[i] = 0.5F;
  EXPECT_EQ(decode_of(encode(sign_spec(plan::CodecId::kSign, 8), values, 1)), values);
}

TEST(SignDithered, IsUnbiasedWithTheVarianceOfItsNoise) {
  const std::vector<float> values = gauss_vector(700, 33);
  const plan::CodecSpec spec = sign_spec(plan::CodecId::kSignDithered, 100);
  constexpr int kRuns = 2000;
  std::vector<double> mean(values.size());
  double error = 0.0;
  double expected = 0.0;
  for (int run = 0; run < kRuns; ++run) {
    const std::vector<float> decoded = decode_of(encode(spec, values, static_cast<uint64_t>(run)));
    error += error_of(values, decoded) / kRuns;
    for (size_t i = 0; i < values.size(); ++i) mean[i] += double{decoded[i]} / kRuns;
    if (run > 0) continue;
    // The receiver has +-m, so the variance of a coordinate is m^2 - x^2.
    for (size_t i = 0; i < values.size(); ++i) {
      expected += double{decoded[i]} * decoded[i] - double{values[i]} * values[i];
    }
  }
  EXPECT_NEAR(error / expected, 1.0, 0.01);
  double bias = 0.0;
  for (size_t i = 0; i < values.size(); ++i) bias += (mean[i] - values[i]) * (mean[i] - values[i]);
  EXPECT_NEAR(bias / (expected / kRuns), 1.0, 0.25);
}

TEST(SignDithered, TheLargestAlwaysKeepsItsSign) {
  std::vector<float> values(16, 0.0F);
  values[3] = -1.0F;
  values[11] = 5.0F;
  const plan::CodecSpec spec = sign_spec(plan::CodecId::kSignDithered, 8);
  int negative = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const std::vector<float> decoded = decode_of(encode(spec, values, seed));
    EXPECT_EQ(decoded[3], -1.0F);
    EXPECT_EQ(decoded[11], 5.0F);
    negative += decoded[0] < 0.0F ? 1 : 0;
  }
  EXPECT_GT(negative, 60);
  EXPECT_LT(negative, 140);
}

TEST(Sign, GoldenBytes) {
  Rng rng(34);
  std::vector<float> values(3000);
  for (float& value : values) value = static_cast<float>(static_cast<int64_t>(rng.below(20001)) - 10000);
  const Encoded plain = encode(sign_spec(plan::CodecId::kSign, 128), values, 5);
  EXPECT_EQ(crc32c(plain.tensor.payload), 2450203968U);
  const Encoded dithered = encode(sign_spec(plan::CodecId::kSignDithered, 128), values, 5);
  EXPECT_EQ(crc32c(dithered.tensor.payload), 926670292U);
}

TEST(Sign, RefusesWhatIsNotAPayload) {
  const Encoded encoded = encode(sign_spec(plan::CodecId::kSign, 16), gauss_vector(101, 35), 1);
  std::vector<float> values(101);
  for (size_t bytes = 0; bytes < encoded.tensor.payload.size(); ++bytes) {
    plan::EncodedTensor cut = encoded.tensor;
    cut.payload = encoded.tensor.payload.first(bytes);
    EXPECT_EQ(decode_sign(cut, values).error(), Error::kTruncated);
  }
  for (size_t bit = 0; bit < 8 * encoded.tensor.payload.size(); ++bit) {
    std::vector<uint8_t> flipped(encoded.tensor.payload.begin(), encoded.tensor.payload.end());
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    plan::EncodedTensor other = encoded.tensor;
    other.payload = flipped;
    if (!decode_sign(other, values).ok()) continue;
    for (const float value : values) ASSERT_LE(std::abs(value), encoded.tensor.scale);
  }
  plan::EncodedTensor other = encoded.tensor;
  other.bucket = 0;
  EXPECT_EQ(decode_sign(other, values).error(), Error::kOutOfRange);
  other = encoded.tensor;
  other.levels = 1;
  EXPECT_EQ(decode_sign(other, values).error(), Error::kMalformed);
}

}  // namespace
}  // namespace runnel::codec
