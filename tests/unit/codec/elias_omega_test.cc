#include "runtime/codec/elias_omega.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace runnel::codec {
namespace {

std::string text_of(OmegaCode code) {
  std::string text;
  for (uint32_t i = code.length; i > 0; --i) text += (code.bits >> (i - 1) & 1) != 0 ? '1' : '0';
  return text;
}

TEST(EliasOmega, HasThePublishedCodes) {
  EXPECT_EQ(text_of(omega_code(1)), "0");
  EXPECT_EQ(text_of(omega_code(2)), "100");
  EXPECT_EQ(text_of(omega_code(3)), "110");
  EXPECT_EQ(text_of(omega_code(4)), "101000");
  EXPECT_EQ(text_of(omega_code(7)), "101110");
  EXPECT_EQ(text_of(omega_code(8)), "1110000");
  EXPECT_EQ(text_of(omega_code(16)), "10100100000");
  EXPECT_EQ(text_of(omega_code(100)), "1011011001000");
}

// The table of section 1.3 in the reference note on QSGD.
TEST(EliasOmega, HasThePublishedLengths) {
  struct Row {
    uint32_t first, last, length;
  };
  for (const Row row : {Row{1, 1, 1}, Row{2, 3, 3}, Row{4, 7, 6}, Row{8, 15, 7}, Row{16, 31, 11}, Row{32, 63, 12},
                        Row{64, 127, 13}, Row{128, 255, 14}, Row{256, 511, 16}, Row{512, 1023, 17}, Row{1024, 1024, 18},
                        Row{65535, 65535, 23}, Row{65536, 65536, 28}}) {
    for (uint32_t k = row.first; k <= row.last; ++k) {
      ASSERT_EQ(omega_code(k).length, row.length) << k;
      ASSERT_EQ(omega_length(k), row.length) << k;
    }
  }
}

TEST(EliasOmega, TheShortCutEqualsTheDefinition) {
  for (uint32_t k = 1; k <= (1U << 20) + 1; ++k) {
    const OmegaCode by_definition = make_omega_code(k);
    const OmegaCode code = omega_code(k);
    ASSERT_EQ(code.bits, by_definition.bits) << k;
    ASSERT_EQ(code.length, by_definition.length) << k;
    ASSERT_EQ(omega_length(k), by_definition.length) << k;
  }
  EXPECT_EQ(omega_code(kOmegaMax).length, make_omega_code(kOmegaMax).length);
  EXPECT_EQ(omega_code(kOmegaMax).bits, make_omega_code(kOmegaMax).bits);
}

TEST(EliasOmega, ReadsBackEveryNumberUpToTwoToTheTwentieth) {
  constexpr uint32_t kLast = 1U << 20;
  std::vector<uint8_t> bytes(kLast * 4ULL + 8);
  BitWriter writer(bytes);
  for (uint32_t k = 1; k <= kLast; ++k) put_omega(writer, k);
  put_omega(writer, kOmegaMax);
  bytes.resize(writer.finish());
  BitReader reader(bytes);
  for (uint32_t k = 1; k <= kLast; ++k) ASSERT_EQ(take_omega(reader), k);
  EXPECT_EQ(take_omega(reader), kOmegaMax);
  EXPECT_FALSE(reader.overrun());
}

// Whatever the bits: a number in range whose own code is exactly the bits that were used, or 0.
TEST(EliasOmega, IsOneToOne) {
  for (uint32_t word = 0; word < 1U << 16; ++word) {
    const uint8_t bytes[4] = {static_cast<uint8_t>(word >> 8), static_cast<uint8_t>(word), 0xFF, 0xFF};
    BitReader reader(bytes);
    const uint32_t all = reader.peek32();
    const uint32_t k = take_omega(reader);
    if (k == 0) continue;
    ASSERT_LE(k, kOmegaMax);
    const OmegaCode code = omega_code(k);
    ASSERT_EQ(reader.used_bits(), code.length);
    ASSERT_EQ(all >> (32 - code.length), code.bits);
  }
}

TEST(EliasOmega, RefusesNumbersBeyondItsRange) {
  // 10 100 10101 1...: a group of 22 bits would follow.
  const uint8_t longer[8] = {0b10100101, 0b01110000, 0, 0, 0, 0, 0, 0};
  BitReader reader(longer);
  EXPECT_EQ(take_omega(reader), 0U);
  const uint8_t ones[8] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
  BitReader all_ones(ones);
  EXPECT_EQ(take_omega(all_ones), 0U);
}

}  // namespace
}  // namespace runnel::codec
