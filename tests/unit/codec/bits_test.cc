#include <gtest/gtest.h>

#include <vector>

#include "runtime/base/rng.h"
#include "runtime/codec/bit_reader.h"
#include "runtime/codec/bit_writer.h"

namespace runnel::codec {
namespace {

TEST(BitWriter, FillsEachByteFromItsMostSignificantBit) {
  uint8_t bytes[3] = {0xAA, 0xAA, 0xAA};
  BitWriter writer(bytes);
  writer.put(1, 1);
  writer.put(0, 2);
  writer.put(0x3FF, 10);
  EXPECT_EQ(writer.finish(), 2U);
  EXPECT_EQ(bytes[0], 0b10011111);
  EXPECT_EQ(bytes[1], 0b11111000);
  EXPECT_EQ(bytes[2], 0xAA) << "a byte beyond the last bit was written";
}

TEST(BitWriter, NothingPutIsNoBytes) {
  BitWriter writer({});
  EXPECT_EQ(writer.finish(), 0U);
}

TEST(BitReader, ReadsBackFieldsOfEveryWidth) {
  Rng rng(11);
  struct Field {
    uint32_t bits;
    unsigned count;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<Field> fields;
    uint64_t total_bits = 0;
    for (uint64_t left = rng.below(60); left > 0; --left) {
      const auto count = static_cast<unsigned>(rng.below(33));
      const auto bits = static_cast<uint32_t>(rng.next_u64() & ((uint64_t{1} << count) - 1));
      fields.push_back({bits, count});
      total_bits += count;
    }
    std::vector<uint8_t> bytes((total_bits + 7) / 8);  // exactly enough: one byte more would abort
    BitWriter writer(bytes);
    for (const Field& field : fields) writer.put(field.bits, field.count);
    ASSERT_EQ(writer.finish(), bytes.size());

    BitReader reader(bytes);
    for (const Field& field : fields) {
      const uint64_t word = reader.peek32();
      ASSERT_EQ(word >> (32 - field.count), field.bits) << "width " << field.count;
      reader.skip(field.count);
    }
    EXPECT_EQ(reader.used_bits(), total_bits);
    EXPECT_FALSE(reader.overrun());
  }
}

TEST(BitReader, GivesZerosBeyondTheEndAndSaysSo) {
  const uint8_t bytes[1] = {0xFF};
  BitReader reader(bytes);
  EXPECT_EQ(reader.peek32(), 0xFF000000U);
  reader.skip(8);
  EXPECT_FALSE(reader.overrun());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(reader.bit(), 0U);
  EXPECT_TRUE(reader.overrun());
}

}  // namespace
}  // namespace runnel::codec
