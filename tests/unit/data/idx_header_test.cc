#include "runtime/data/idx_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace runnel::data {
namespace {

using ::testing::HasSubstr;

std::vector<uint8_t> header_bytes(uint8_t type, const std::vector<uint32_t>& dimensions) {
  std::vector<uint8_t> bytes = {0, 0, type, static_cast<uint8_t>(dimensions.size())};
  for (const uint32_t dimension : dimensions) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(dimension >> shift));
  }
  return bytes;
}

Failure parse_failure(const std::vector<uint8_t>& bytes) {
  const Result<IdxHeader> header = parse_idx_header(bytes);
  return header.ok() ? Failure(Error::kOk) : header.failure();
}

TEST(IdxHeader, ReadsTypeAndDimensions) {
  std::vector<uint8_t> bytes = header_bytes(0x0B, {10299, 9, 128});
  bytes.push_back(77);  // data, which is not looked at
  const Result<IdxHeader> header = parse_idx_header(bytes);
  ASSERT_TRUE(header.ok()) << header.failure().text();
  EXPECT_EQ(header->type, ElementType::kI16);
  EXPECT_EQ(header->rows(), 10299U);
  EXPECT_EQ(header->row_values, 9U * 128U);
  EXPECT_EQ(header->row_bytes(), 9U * 128U * 2U);
  EXPECT_EQ(*idx_header_bytes(bytes), 16U);
}

TEST(IdxHeader, AcceptsEverySupportedTypeAndDimensionCount) {
  for (const int type : {0x08, 0x09, 0x0B, 0x0C, 0x0D}) {
    for (size_t count = 1; count <= kIdxDimensionsMax; ++count) {
      EXPECT_TRUE(parse_failure(header_bytes(static_cast<uint8_t>(type), std::vector<uint32_t>(count, 2))).ok());
    }
  }
}

TEST(IdxHeader, RefusesAnotherMagic) {
  const Failure failure = parse_failure({0x89, 'P', 'N', 'G', 0, 0, 0, 1});
  EXPECT_EQ(failure.error(), Error::kMalformed);
  EXPECT_THAT(failure.text(), HasSubstr("89 50"));
}

TEST(IdxHeader, RefusesUnknownTypes) {
  EXPECT_EQ(parse_failure(header_bytes(0x0A, {3})).error(), Error::kUnsupported);
  EXPECT_THAT(parse_failure(header_bytes(0x0E, {3})).text(), HasSubstr("0x0e (f64)"));
}

TEST(IdxHeader, RefusesNoneAndTooManyDimensions) {
  EXPECT_EQ(parse_failure({0, 0, 8, 0}).error(), Error::kMalformed);
  EXPECT_EQ(parse_failure(header_bytes(8, std::vector<uint32_t>(9, 1))).error(), Error::kMalformed);
}

TEST(IdxHeader, RefusesADimensionOfZero) {
  const Failure failure = parse_failure(header_bytes(8, {4, 0}));
  EXPECT_EQ(failure.error(), Error::kOutOfRange);
  EXPECT_THAT(failure.text(), HasSubstr("dimension 1"));
}

TEST(IdxHeader, RefusesProductsBeyondTheLimitsWithoutOverflow) {
  EXPECT_EQ(parse_failure(header_bytes(8, {0x80000001U})).error(), Error::kLimit);
  EXPECT_TRUE(parse_failure(header_bytes(8, {0x80000000U})).ok());
  EXPECT_EQ(parse_failure(header_bytes(8, {1, 1U << 21})).error(), Error::kLimit) << "one row is too wide";
  EXPECT_EQ(parse_failure(header_bytes(8, std::vector<uint32_t>(8, 0xFFFFFFFFU))).error(), Error::kLimit);
  EXPECT_EQ(parse_failure(header_bytes(8, {0x10000, 0x10000, 0x10000, 0x10000})).error(), Error::kLimit) << "2^64 is 0";
}

TEST(IdxHeader, RefusesEveryTruncation) {
  const std::vector<uint8_t> whole = header_bytes(8, {5, 6, 7});
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(parse_failure({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length)}).error(),
              Error::kTruncated);
  }
}

TEST(IdxHeader, TurnsBigEndianElementsRound) {
  std::vector<uint8_t> shorts = {0x01, 0x02, 0xFF, 0xFE};
  idx_to_native(ElementType::kI16, shorts);
  EXPECT_EQ(load_le<int16_t>(shorts.data()), 0x0102);
  EXPECT_EQ(load_le<int16_t>(shorts.data() + 2), -2);
  std::vector<uint8_t> floats = {0x3F, 0xC0, 0x00, 0x00};
  idx_to_native(ElementType::kF32, floats);
  EXPECT_EQ(load_le<float>(floats.data()), 1.5F);
  std::vector<uint8_t> bytes = {1, 2, 3};
  idx_to_native(ElementType::kU8, bytes);
  EXPECT_EQ(bytes, (std::vector<uint8_t>{1, 2, 3}));
}

}  // namespace
}  // namespace runnel::data
