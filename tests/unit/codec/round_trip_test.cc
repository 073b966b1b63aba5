#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cfloat>
#include <limits>

#include "runtime/codec/quantizer.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

// What the receiver must hold, computed from the quantizer alone.
std::vector<float> quantized(const plan::CodecSpec& spec, std::span<const float> values, uint64_t seed) {
  std::vector<float> expected(values.size(), 0.0F);
  for (size_t first = 0; first < values.size(); first += spec.bucket) {
    const std::span<const float> bucket = values.subspan(first, std::min<size_t>(spec.bucket, values.size() - first));
    const Quantizer quantizer = quantizer_of(spec.codec, spec.levels);
    const auto norm = static_cast<float>(bucket_norm(quantizer, bucket));
    if (norm == 0.0F) continue;
    const std::vector<int16_t> symbols = symbols_of(quantizer, norm, bucket, first, seed);
    const LevelValues level_values(quantizer, norm);
    for (size_t i = 0; i < bucket.size(); ++i) expected[first + i] = level_values(symbols[i]);
  }
  return expected;
}

// Floats of every magnitude, with zeros, denormals and runs of zeros among them.
std::vector<float> any_values() {
  const auto count = *rc::gen::inRange<size_t>(0, 3000);
  Rng rng(*rc::gen::arbitrary<uint64_t>());
  const auto zeros_percent = *rc::gen::element<uint64_t>(0, 10, 90, 99, 100);
  const auto exponent_low = *rc::gen::inRange(-149, 110);
  const auto exponents = *rc::gen::element<uint64_t>(1, 4, 30);
  std::vector<float> values(count);
  for (float& value : values) {
    if (rng.below(100) < zeros_percent) continue;
    const int exponent = std::min(exponent_low + static_cast<int>(rng.below(exponents)), 118);
    value = static_cast<float>(std::ldexp(2 * rng.uniform() - 1, exponent));
  }
  return values;
}

RC_GTEST_PROP(QsgdRoundTrip, DecodedValuesAreExactlyTheQuantizersLevels, ()) {
  const std::vector<float> values = any_values();
  const auto levels = *rc::gen::oneOf(rc::gen::inRange<uint32_t>(1, 40), rc::gen::inRange<uint32_t>(1, 32768));
  const auto bucket = *rc::gen::oneOf(rc::gen::inRange<uint32_t>(8, 300), rc::gen::inRange<uint32_t>(8, 1048577));
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  const plan::CodecSpec spec = qsgd_spec(levels, bucket);
  const Encoded encoded = encode(spec, values, seed);
  RC_ASSERT(encoded.failure.ok());
  std::vector<float> decoded(values.size(), 99.0F);
  const Failure failure = decode_tensor("t", encoded.tensor, decoded);
  RC_ASSERT(failure.ok());
  // An empty tensor is always sent as fp32.
  RC_ASSERT(values.empty() || encoded.tensor.codec == plan::CodecId::kQsgd);
  RC_ASSERT(decoded == quantized(spec, values, seed));
  for (size_t i = 0; i < values.size(); ++i) RC_ASSERT(std::abs(decoded[i]) <= encoded.tensor.scale);
}

RC_GTEST_PROP(Fp32RoundTrip, DecodedValuesAreTheValuesBitForBit, ()) {
  const std::vector<float> values = any_values();
  plan::CodecSpec spec;
  spec.codec = plan::CodecId::kFp32;
  const Encoded encoded = encode(spec, values, 1);
  RC_ASSERT(encoded.failure.ok());
  RC_ASSERT(encoded.tensor.payload.size() == values.size() * 4);
  std::vector<float> decoded(values.size(), 99.0F);
  RC_ASSERT(decode_tensor("t", encoded.tensor, decoded).ok());
  const auto same_bits = [](float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); };
  RC_ASSERT(std::equal(values.begin(), values.end(), decoded.begin(), same_bits));
}

// Every number of levels on a short vector: the whole range, powers of two or not.
TEST(QsgdRoundTrip, WorksForEveryNumberOfLevels) {
  const std::vector<float> values = laplace_vector(37, 12);
  std::vector<float> decoded(values.size());
  for (uint32_t levels = 1; levels <= 32767; ++levels) {
    const plan::CodecSpec spec = qsgd_spec(levels, 16);
    const Encoded encoded = encode(spec, values, levels);
    ASSERT_TRUE(encoded.failure.ok()) << encoded.failure.text();
    const Failure failure = decode_tensor("t", encoded.tensor, decoded);
    ASSERT_TRUE(failure.ok()) << levels << " levels: " << failure.text();
    ASSERT_EQ(decoded, quantized(spec, values, levels)) << levels << " levels";
  }
}

TEST(QsgdRoundTrip, CountsAroundMultiplesOfTheBucket) {
  for (const uint32_t bucket : {8U, 17U, 64U}) {
    for (uint32_t count = 1; count <= 3 * bucket + 1; ++count) {
      const std::vector<float> values = gauss_vector(count, count);
      const plan::CodecSpec spec = qsgd_spec(6, bucket);
      const Encoded encoded = encode(spec, values, count);
      std::vector<float> decoded(count);
      ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok()) << count;
      ASSERT_EQ(decoded, quantized(spec, values, count)) << count;
    }
  }
}

TEST(QsgdRoundTrip, OneElementIsExact) {
  for (const float value : {1.0F, -3.25F, 1.4e-45F, -1e-40F, FLT_MIN, FLT_MAX, -FLT_MAX}) {
    const std::vector<float> values = {value};
    const Encoded encoded = encode(qsgd_spec(7, 8), values, 1);
    ASSERT_TRUE(encoded.failure.ok()) << encoded.failure.text();
    std::vector<float> decoded(1);
    ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
    EXPECT_EQ(decoded[0], value);
  }
}

TEST(QsgdRoundTrip, AnEmptyTensorIsNoBytes) {
  const Encoded encoded = encode(qsgd_spec(7, 8), {}, 1);
  ASSERT_TRUE(encoded.failure.ok());
  EXPECT_EQ(encoded.tensor.count, 0U);
  EXPECT_TRUE(encoded.tensor.payload.empty());
  EXPECT_TRUE(decode_tensor("t", encoded.tensor, {}).ok());

  plan::EncodedTensor qsgd;
  qsgd.codec = plan::CodecId::kQsgd;
  qsgd.bits = 4;
  qsgd.levels = 7;
  qsgd.bucket = 8;
  EXPECT_TRUE(decode_tensor("t", qsgd, {}).ok());
}

TEST(QsgdRoundTrip, ANormBeyondFp32IsRefused) {
  const std::vector<float> values(16, FLT_MAX);
  const Encoded encoded = encode(qsgd_spec(7, 8), values, 1);
  EXPECT_EQ(encoded.failure.error(), Error::kOutOfRange);
  EXPECT_STREQ(encoded.failure.text(), "tensor: bucket 0: norm 9.62464e+38 is beyond fp32");
  // The largest that still fits.
  std::vector<float> fits(8, 0.0F);
  fits[3] = FLT_MAX;
  EXPECT_TRUE(encode(qsgd_spec(7, 8), fits, 1).failure.ok());
}

TEST(QsgdRoundTrip, NotANumberIsRefusedWithItsPlace) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  struct Row {
    float value;
    const char* text;
  };
  for (const Row row : {Row{kNan, "tensor: value 17 is nan"}, Row{kInfinity, "tensor: value 17 is infinite"},
                        Row{-kInfinity, "tensor: value 17 is infinite"}}) {
    for (const uint32_t exact_max : {0U, 100U}) {
      std::vector<float> values(40, 1.0F);
      values[17] = row.value;
      values[30] = kNan;
      plan::CodecSpec spec = qsgd_spec(7, 8);
      spec.exact_coordinates_max = exact_max;
      const Encoded encoded = encode(spec, values, 1);
      EXPECT_EQ(encoded.failure.error(), Error::kNotFinite);
      EXPECT_STREQ(encoded.failure.text(), row.text);
    }
  }
}

}  // namespace
}  // namespace runnel::codec
