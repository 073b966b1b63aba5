#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/codec/elias_bucket.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

std::vector<uint8_t> payload_of(const Encoded& encoded) {
  return {encoded.tensor.payload.begin(), encoded.tensor.payload.end()};
}

TEST(QsgdBytes, TheWorkedExampleOfTheHeader) {
  std::vector<float> values(22, 0.0F);
  values[2] = -3.0F;
  values[4] = 4.0F;
  values[16] = 0.5F;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Encoded encoded = encode(qsgd_spec(5, 8), values, seed);
    ASSERT_TRUE(encoded.failure.ok()) << encoded.failure.text();
    EXPECT_THAT(payload_of(encoded), ElementsAre(0x00, 0x00, 0xA0, 0x40, 0, 0, 0, 0, 0x00, 0x00, 0x00, 0x3F,  // norms
                                                 0x14, 0x55, 0x06, 0x15, 0x00));
    EXPECT_EQ(encoded.tensor.count, 22U);
    EXPECT_EQ(encoded.tensor.levels, 5U);
    EXPECT_EQ(encoded.tensor.bucket, 8U);
    EXPECT_EQ(encoded.tensor.bits, 4U);
    EXPECT_EQ(encoded.tensor.scale, 5.0F);
    std::vector<float> decoded(values.size(), 99.0F);
    ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
    EXPECT_THAT(decoded, ElementsAreArray(values));
  }
}

TEST(QsgdBytes, AZeroBucketCostsOnlyItsNorm) {
  const std::vector<float> values(1000, 0.0F);
  const Encoded encoded = encode(qsgd_spec(7, 100), values, 1);
  EXPECT_EQ(encoded.tensor.payload.size(), 10U * 4);
  EXPECT_EQ(encoded.tensor.scale, 0.0F);
  std::vector<float> decoded(values.size(), 99.0F);
  ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
  EXPECT_THAT(decoded, ElementsAreArray(values));
}

TEST(QsgdBytes, NegativeZeroAndNegativeValuesRoundedToZeroDecodeAsZero) {
  std::vector<float> values(8, -0.0F);
  values[0] = 1.0F;
  values[1] = -1e-30F;
  const Encoded encoded = encode(qsgd_spec(1, 8), values, 3);
  std::vector<float> decoded(values.size(), 99.0F);
  ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
  EXPECT_THAT(decoded, ElementsAre(1.0F, 0.0F, 0.0F, 0.0F, 0.0F, 0.0F, 0.0F, 0.0F));
}

// The code that is on the wire is the shorter of the two, and as long as measured.
TEST(QsgdBytes, TakesTheShorterFormOfEachBucket) {
  struct Row {
    std::vector<float> values;
    bool sparse;
  };
  std::vector<float> one_of_many(5000, 0.0F);
  one_of_many[4321] = -2.5F;
  for (const Row& row : {Row{one_of_many, true}, Row{flat_vector(5000), false}}) {
    constexpr uint32_t kLevels = 354;  // the flat vector's are 5 and 6, where a dense entry is the shorter
    const Encoded encoded = encode(qsgd_spec(kLevels, 8192), row.values, 1);
    const ByteView payload = encoded.tensor.payload;
    EXPECT_EQ((payload[4] & 0x80) != 0, row.sparse);

    std::vector<float> decoded(row.values.size());
    ASSERT_TRUE(decode_tensor("t", encoded.tensor, decoded).ok());
    std::vector<int16_t> levels(decoded.size());
    std::transform(decoded.begin(), decoded.end(), levels.begin(), [&](float value) {
      return static_cast<int16_t>(std::lround(value / encoded.tensor.scale * kLevels));
    });
    EliasLength length;
    length.add(levels);
    const uint64_t code_bits = 1 + std::min(length.dense_bits(), length.sparse_bits());
    EXPECT_EQ(payload.size(), 4 + (code_bits + 7) / 8);
    EXPECT_EQ(length.sparse_bits() < length.dense_bits(), row.sparse);
  }
}

TEST(QsgdBytes, LengthsDoNotDependOnHowTheLevelsArePieced) {
  Rng rng(5);
  std::vector<int16_t> levels(3000);
  for (int16_t& level : levels) level = static_cast<int16_t>(rng.below(4) == 0 ? rng.below(79) : 39);
  for (int16_t& level : levels) level = static_cast<int16_t>(level - 39);
  EliasLength whole;
  whole.add(levels);
  EliasLength pieces;
  for (size_t first = 0; first < levels.size();) {
    const size_t count = std::min<size_t>(levels.size() - first, 1 + rng.below(100));
    pieces.add(std::span(levels).subspan(first, count));
    first += count;
  }
  EXPECT_EQ(pieces.dense_bits(), whole.dense_bits());
  EXPECT_EQ(pieces.sparse_bits(), whole.sparse_bits());
  EXPECT_EQ(pieces.nonzero_count(), whole.nonzero_count());
}

TEST(QsgdBytes, SameSeedSameBytesAnotherSeedOthers) {
  const std::vector<float> values = gauss_vector(10000, 2);
  const Encoded first = encode(qsgd_spec(7, 512), values, 5);
  EXPECT_EQ(payload_of(first), payload_of(encode(qsgd_spec(7, 512), values, 5)));
  EXPECT_NE(payload_of(first), payload_of(encode(qsgd_spec(7, 512), values, 6)));
}

// A bucket that crosses the end of a chunk of 4096 is quantized more than once; all passes must agree.
TEST(QsgdBytes, LongBucketsEqualTheirOwnMeasure) {
  for (const size_t count : {1023U, 4095U, 4096U, 4097U, 9001U}) {
    const std::vector<float> values = gauss_vector(count, count);
    for (const uint32_t levels : {1U, 3U, 200U, 32767U}) {
      const Encoded encoded = encode(qsgd_spec(levels, 1U << 20), values, 9);
      std::vector<float> decoded(count);
      const Failure failure = decode_tensor("t", encoded.tensor, decoded);
      ASSERT_TRUE(failure.ok()) << count << " values, " << levels << " levels: " << failure.text();
      const float step = encoded.tensor.scale / static_cast<float>(levels);
      for (size_t i = 0; i < count; ++i) ASSERT_NEAR(decoded[i], values[i], step * 1.001F) << i;
    }
  }
}

}  // namespace
}  // namespace runnel::codec
