// The bytes of FORMAT.md's worked example: a journal written by any version must read them, and this one writes them.
#include "runtime/journal/format.h"

#include <gtest/gtest.h>

#include "runtime/base/crc32c.h"
#include "runtime/journal/journal.h"
#include "tests/unit/journal/faulty_storage.h"
#include "tests/unit/journal/journal_state.h"

namespace runnel::journal::test {
namespace {

constexpr uint64_t kExampleStorageBytes = 512;

// Computed apart from this implementation, from the grammar alone.
// clang-format off
constexpr uint8_t kExample[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 0
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 8
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 16
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 24
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 32
    0x52, 0x4e, 0x4c, 0x42, 0x01, 0x00, 0x01, 0x00,  // 40
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 48
    0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 56
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 64
    0x00, 0x00, 0x00, 0x00, 0x0f, 0x56, 0x7b, 0xc0,  // 72
    0x52, 0x4e, 0x4c, 0x42, 0x01, 0x00, 0x02, 0x00,  // 80
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 88
    0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 96
    0x78, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 104
    0x00, 0x00, 0x00, 0x00, 0xd5, 0xb9, 0xd4, 0x7d,  // 112
    0x52, 0x4e, 0x4c, 0x52, 0x01, 0x00, 0x00, 0x00,  // 120
    0x07, 0x00, 0x00, 0x00, 0x06, 0x00, 0x00, 0x00,  // 128
    0xdf, 0xc7, 0xa7, 0xcc, 0xed, 0x7e, 0xf7, 0xb7,  // 136
    0x72, 0x75, 0x6e, 0x6e, 0x65, 0x6c, 0x00, 0x00,  // 144
    0x52, 0x4e, 0x4c, 0x52, 0x02, 0x00, 0x00, 0x00,  // 152
    0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 160
    0x00, 0x00, 0x00, 0x00, 0x01, 0x0f, 0x42, 0x93,  // 168
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 176
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 184
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // 192
};
// clang-format on

Bytes example_image(size_t example_bytes) {
  Bytes image(kExample, kExample + example_bytes);
  image.resize(kExampleStorageBytes);
  return image;
}

TEST(JournalFormatTest, WritesTheWorkedExample) {
  FaultyStorage storage(kExampleStorageBytes);
  auto journal = Journal::open(storage, {});
  ASSERT_TRUE(journal.ok());
  ASSERT_TRUE(journal->put(7, bytes_of("runnel")).ok());
  ASSERT_TRUE(journal->erase(7).ok());
  EXPECT_EQ(storage.bytes(), example_image(sizeof kExample));
}

TEST(JournalFormatTest, ReadsTheWorkedExample) {
  FaultyStorage storage(kExampleStorageBytes);
  storage.load(example_image(152));  // up to the put
  auto journal = Journal::open(storage, {});
  ASSERT_TRUE(journal.ok()) << journal.failure().text();
  EXPECT_EQ(state_of(*journal), (State{{7, bytes_of("runnel")}}));
  storage.load(example_image(sizeof kExample));
  auto erased = Journal::open(storage, {});
  ASSERT_TRUE(erased.ok());
  EXPECT_EQ(erased->recovery().replayed_records, 2U);
  EXPECT_TRUE(erased->keys().empty());
}

TEST(JournalFormatTest, AnotherVersionIsRefusedAndNotOverwritten) {
  std::array<uint8_t, kSlotBytes> slot;
  encode_slot({.role = SlotRole::kCommit, .epoch = 1, .bank_bytes = 256}, kCommitOffset, slot);
  slot[4] = 2;
  uint8_t place[8];
  store_le<uint64_t>(place, kCommitOffset);
  store_le<uint32_t>(slot.data() + 36, crc32c(std::span(slot).first<36>(), crc32c(place)));
  FaultyStorage storage(kExampleStorageBytes);
  ASSERT_EQ(storage.write(kCommitOffset, slot), Error::kOk);
  const Bytes before = storage.bytes();
  EXPECT_EQ(Journal::open(storage, {}).error(), Error::kVersion);
  EXPECT_EQ(storage.bytes(), before);
}

TEST(JournalFormatTest, ARecordCountsOnlyInItsEpochAndPlace) {
  std::array<uint8_t, kHeaderBytes> bytes;
  encode_header({.kind = RecordKind::kPut, .key = 1, .payload_bytes = 2, .payload_crc = 3}, 5, 80, bytes);
  RecordHeader header;
  ASSERT_TRUE(decode_header(bytes, 5, 80, header));
  EXPECT_EQ(header.key, 1U);
  EXPECT_EQ(header.payload_bytes, 2U);
  EXPECT_EQ(header.payload_crc, 3U);
  EXPECT_FALSE(decode_header(bytes, 6, 80, header));
  EXPECT_FALSE(decode_header(bytes, 5, 88, header));
  for (size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
    auto flipped = bytes;
    flipped[bit / 8] = static_cast<uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_FALSE(decode_header(flipped, 5, 80, header)) << bit;
  }
}

TEST(JournalFormatTest, RecordsArePaddedToTheAlignment) {
  EXPECT_EQ(record_bytes(0), 24U);
  EXPECT_EQ(record_bytes(1), 32U);
  EXPECT_EQ(record_bytes(8), 32U);
  EXPECT_EQ(record_bytes(9), 40U);
  EXPECT_EQ(record_bytes(UINT32_MAX), 24 + (uint64_t{1} << 32));
}

}  // namespace
}  // namespace runnel::journal::test
