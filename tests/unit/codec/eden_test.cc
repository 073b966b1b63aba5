#include "runtime/codec/eden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/crc32c.h"
#include "runtime/codec/rotation.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

plan::CodecSpec eden_spec(float bits) {
  plan::CodecSpec spec;
  spec.codec = plan::CodecId::kEden;
  spec.bits = bits;
  spec.exact_coordinates_max = 0;
  return spec;
}

// Over the whole way, rotation included: the squared error as a share of the squared norm.
double nmse_of(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed, double* bits = nullptr) {
  std::vector<uint8_t> out(encoded_bytes_max(spec, static_cast<uint32_t>(values.size())));
  std::vector<float> scratch(values.size());
  const auto tensor = encode_tensor(spec, "t", values, seed, out, scratch);
  EXPECT_TRUE(tensor.ok()) << tensor.failure().text();
  std::vector<float> decoded(values.size());
  const Failure failure = decode_tensor("t", *tensor, decoded);
  EXPECT_TRUE(failure.ok()) << failure.text();
  if (bits != nullptr) *bits = 8.0 * static_cast<double>(tensor->payload.size()) / static_cast<double>(values.size());
  double sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += (double{values[i]} - decoded[i]) * (double{values[i]} - decoded[i]);
  }
  return sum / squared_norm(values);
}

TEST(Eden, HasTheErrorOfTheLloydMaxCentroids) {
  const std::vector<float> gauss = gauss_vector(1 << 18, 21);
  const std::vector<float> laplace = laplace_vector(1 << 18, 22);
  const struct {
    float bits;
    double nmse;
  } rows[] = {{1.0F, 0.5708}, {2.0F, 0.1332}, {3.0F, 0.03578}, {4.0F, 0.00959}};
  for (const auto& row : rows) {
    for (const auto& values : {gauss, laplace}) {
      double bits = 0.0;
      EXPECT_NEAR(nmse_of(eden_spec(row.bits), values, 1, &bits) / row.nmse, 1.0, 0.02) << row.bits;
      EXPECT_NEAR(bits, double{row.bits} + 16.0 / 4096.0, 0.001);
    }
  }
}

TEST(Eden, FractionsLieBetween) {
  const std::vector<float> values = gauss_vector(1 << 18, 23);
  double bits = 0.0;
  // D = (1 - p) D_low + p D_high, and then D / (1 - D).
  const double lossy = 0.75 * 0.3634 + 0.25 * 0.1175;
  EXPECT_NEAR(nmse_of(eden_spec(1.25F), values, 2, &bits) / (lossy / (1.0 - lossy)), 1.0, 0.02);
  EXPECT_NEAR(bits, 1.25, 0.01);
  // Below one bit: pi / (2 b) - 1.
  EXPECT_NEAR(nmse_of(eden_spec(0.5F), values, 3, &bits) / (3.14159265 - 1.0), 1.0, 0.02);
  EXPECT_NEAR(bits, 0.5, 0.01);
  EXPECT_NEAR(nmse_of(eden_spec(0.1F), values, 4, &bits) / (31.4159265 / 2.0 - 1.0), 1.0, 0.03);
  EXPECT_NEAR(bits, 0.1, 0.01);
}

// Relative squared bias over many seeds, with the pure variance that an unbiased code would leave.
struct Bias {
  double bias;
  double variance;
};

// `rounds` of the transform around the scheme by itself, on chunks of a power of two.
Bias bias_of(int rounds) {
  constexpr size_t kCount = 4096;
  constexpr int kRuns = 400;
  std::vector<float> values(kCount);
  values[0] = 1.0F;
  values[1] = 0.5F;
  std::vector<double> mean(kCount);
  double error = 0.0;
  std::vector<uint8_t> out(eden_bytes_max(eden_spec(1.0F), kCount));
  for (int run = 0; run < kRuns; ++run) {
    const auto seed = static_cast<uint64_t>(run);
    std::vector<float> turned = values;
    Rng rng(seed);
    // One plain round: random signs, then the transform. Two are what rotate() does.
    const auto hadamard = [&] {
      for (size_t half = 1; half < kCount; half *= 2) {
        for (size_t i = 0; i < kCount; ++i) {
          if ((i & half) != 0) continue;
          const float a = turned[i];
          const float b = turned[i + half];
          turned[i] = a + b;
          turned[i + half] = a - b;
        }
      }
      for (float& value : turned) value /= 64.0F;
    };
    std::vector<float> signs(kCount);
    if (rounds == 1) {
      for (float& sign : signs) sign = rng.below(2) == 0 ? 1.0F : -1.0F;
      for (size_t i = 0; i < kCount; ++i) turned[i] *= signs[i];
      hadamard();
    } else {
      rotate(turned, seed);
    }
    const auto tensor = encode_eden(eden_spec(1.0F), turned, seed, out);
    EXPECT_TRUE(tensor.ok());
    EXPECT_TRUE(decode_eden(*tensor, turned).ok());
    if (rounds == 1) {
      hadamard();
      for (size_t i = 0; i < kCount; ++i) turned[i] *= signs[i];
    } else {
      rotate_back(turned, seed);
    }
    for (size_t i = 0; i < kCount; ++i) {
      mean[i] += double{turned[i]} / kRuns;
      error += (double{turned[i]} - values[i]) * (double{turned[i]} - values[i]) / kRuns;
    }
  }
  double bias = 0.0;
  for (size_t i = 0; i < kCount; ++i) bias += (mean[i] - values[i]) * (mean[i] - values[i]);
  return {bias / squared_norm(values), error / squared_norm(values) / kRuns};
}

TEST(Eden, TwoRoundsMakeItUnbiasedAndOneDoesNot) {
  const Bias two = bias_of(2);
  EXPECT_LT(two.bias, 2.0 * two.variance);
  const Bias one = bias_of(1);
  EXPECT_GT(one.bias, 20.0 * one.variance);
  EXPECT_NEAR(one.bias, 0.25, 0.05);
}

// What the rotation mixes has a scale of its own: the chunks of an update differ by orders of magnitude.
TEST(Eden, IsUnbiasedWhereChunksDifferInScale) {
  constexpr size_t kCount = 13 * 4096 + 700;
  constexpr int kRuns = 100;
  std::vector<float> values = laplace_vector(kCount, 26);
  for (size_t i = 0; i < kCount; ++i) values[i] *= std::ldexp(1.0F, static_cast<int>(i / 4096) - 6);
  for (const float bits : {0.5F, 1.0F, 2.0F}) {
    std::vector<double> mean(kCount);
    double error = 0.0;
    for (int run = 0; run < kRuns; ++run) {
      const Encoded encoded = encode(eden_spec(bits), values, static_cast<uint64_t>(run));
      std::vector<float> decoded(kCount);
      ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
      for (size_t i = 0; i < kCount; ++i) {
        mean[i] += double{decoded[i]} / kRuns;
        error += (double{decoded[i]} - values[i]) * (double{decoded[i]} - values[i]) / kRuns;
      }
    }
    double bias = -error / kRuns;  // which the mean of unbiased decodes still has
    for (size_t i = 0; i < kCount; ++i) bias += (mean[i] - values[i]) * (mean[i] - values[i]);
    EXPECT_LT(bias, 0.002 * error) << bits;
    if (bits == 1.0F) {
      EXPECT_NEAR(error / squared_norm(values), 0.5708, 0.02);
    }
  }
}

TEST(Eden, AChunkOfZerosTakesOnlyItsFactor) {
  std::vector<float> values = gauss_vector(3 * 4096, 27);
  std::fill(values.begin() + 4096, values.begin() + 8192, 0.0F);
  const Encoded encoded = encode(eden_spec(2.0F), values, 1);
  EXPECT_EQ(encoded.tensor.payload.size(), 4U + 3 * 2 + 2 * 4096 * 2 / 8);
  std::vector<float> decoded(values.size());
  ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
  EXPECT_THAT(std::span(decoded).subspan(4096, 4096), testing::Each(0.0F));
  EXPECT_NE(decoded[4095], 0.0F);
  EXPECT_NE(decoded[8192], 0.0F);
}

TEST(Eden, GoldenBytes) {
  Rng rng(30);
  std::vector<float> values(3000);
  for (float& value : values) value = static_cast<float>(static_cast<int64_t>(rng.below(20001)) - 10000);
  const struct {
    float bits;
    size_t bytes;
    uint32_t crc;
  } goldens[] = {{0.25F, 98, 3142774404U}, {1.0F, 381, 2049286387U}, {2.5F, 941, 3645490330U}, {4.0F, 1506, 45839300U}};
  for (const auto& golden : goldens) {
    std::vector<uint8_t> out(eden_bytes_max(eden_spec(golden.bits), 3000));
    const auto tensor = encode_eden(eden_spec(golden.bits), values, 5, out);
    ASSERT_TRUE(tensor.ok());
    EXPECT_EQ(tensor->payload.size(), golden.bytes) << golden.bits;
    EXPECT_EQ(crc32c(tensor->payload), golden.crc) << golden.bits;
  }
}

TEST(Eden, ZerosTakeNoBytesAndAnyCountWorks) {
  std::vector<uint8_t> out(1000);
  for (size_t count = 0; count < 40; ++count) {
    std::vector<float> values(count);
    const auto nothing = encode_eden(eden_spec(1.5F), values, 6, out);
    ASSERT_TRUE(nothing.ok());
    EXPECT_EQ(nothing->payload.size(), 0U);
    std::fill(values.begin(), values.end(), -2.0F);
    const auto tensor = encode_eden(eden_spec(1.5F), values, 6, out);
    ASSERT_TRUE(tensor.ok());
    ASSERT_TRUE(decode_eden(*tensor, values).ok());
    for (const float value : values) EXPECT_LT(value, 0.0F);
  }
}

TEST(Eden, DecodesAnyoneBytesToValuesOrAnError) {
  std::vector<uint8_t> out(1000);
  const auto tensor = encode_eden(eden_spec(2.5F), gauss_vector(200, 24), 7, out);
  ASSERT_TRUE(tensor.ok());
  std::vector<float> values(200);
  for (size_t bytes = 1; bytes < tensor->payload.size(); ++bytes) {
    plan::EncodedTensor cut = *tensor;
    cut.payload = tensor->payload.first(bytes);
    EXPECT_EQ(decode_eden(cut, values).error(), Error::kTruncated) << bytes;
  }
  plan::EncodedTensor longer = *tensor;
  longer.payload = ByteView(out).first(tensor->payload.size() + 1);
  EXPECT_EQ(decode_eden(longer, values).error(), Error::kMalformed);
  Rng rng(25);
  for (int run = 0; run < 2000; ++run) {
    std::vector<uint8_t> noise(rng.below(100));
    for (uint8_t& byte : noise) byte = static_cast<uint8_t>(rng.next_u64());
    if (noise.size() > 4) noise[3] = 0x3F;
    plan::EncodedTensor other = *tensor;
    other.payload = noise;
    other.scale = run % 2 == 0 ? 3e38F : 1e37F;
    if (!decode_eden(other, values).ok()) continue;
    for (const float value : values) ASSERT_TRUE(std::isfinite(value));
  }
}

}  // namespace
}  // namespace runnel::codec
