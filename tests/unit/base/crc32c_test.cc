#include "runtime/base/crc32c.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>
#include <string_view>
#include <vector>

#include "runtime/base/crc32c_plain.h"
#include "runtime/base/rng.h"

namespace runnel {
namespace {

uint32_t crc_of(std::string_view text) {
  return crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

TEST(Crc32c, CheckValue) {
  EXPECT_EQ(crc_of("123456789"), 0xE3069283U);
}
TEST(Crc32c, OfNothingIsZero) {
  EXPECT_EQ(crc32c({}), 0U);
}

RC_GTEST_PROP(Crc32c, IsThePlainOneWhateverTheLengthAndTheAlignment,
              (const std::vector<uint8_t>& bytes, uint32_t seed)) {
  const ByteView all(bytes);
  for (size_t skip = 0; skip < std::min<size_t>(9, all.size() + 1); ++skip) {
    RC_ASSERT(crc32c(all.subspan(skip), seed) == crc32c_plain(all.subspan(skip), seed));
  }
}

// Long ones are taken in lanes side by side.
TEST(Crc32c, IsThePlainOneAroundTheLengthOfItsLanes) {
  Rng rng(3);
  std::vector<uint8_t> bytes(100'003);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next_u64());
  for (const size_t size : {3071U, 3072U, 3073U, 6143U, 6144U, 9216U, 9223U, 100'003U}) {
    const ByteView view = ByteView(bytes).first(size);
    EXPECT_EQ(crc32c(view), crc32c_plain(view)) << size;
    EXPECT_EQ(crc32c(view, 0x12345678U), crc32c_plain(view, 0x12345678U)) << size;
  }
}

// RFC 3720, appendix B.4; the values there are in the byte order of the wire.
TEST(Crc32c, Rfc3720) {
  std::vector<uint8_t> bytes(32, 0);
  EXPECT_EQ(crc32c(bytes), 0x8A9136AAU);
  bytes.assign(32, 0xFF);
  EXPECT_EQ(crc32c(bytes), 0x62A8AB43U);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  EXPECT_EQ(crc32c(bytes), 0x46DD794EU);
  std::iota(bytes.rbegin(), bytes.rend(), uint8_t{0});
  EXPECT_EQ(crc32c(bytes), 0x113FDB5CU);
  const std::vector<uint8_t> scsi_read = {0x01, 0xC0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                          0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
                                          0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
                                          0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
  EXPECT_EQ(crc32c(scsi_read), 0xD9963A56U);
}

RC_GTEST_PROP(Crc32c, PartsChainToTheWhole, (const std::vector<uint8_t>& bytes, uint16_t cut)) {
  const size_t at = bytes.empty() ? 0 : cut % (bytes.size() + 1);
  const ByteView whole(bytes);
  RC_ASSERT(crc32c(whole.subspan(at), crc32c(whole.first(at))) == crc32c(whole));
}

RC_GTEST_PROP(Crc32c, EverySingleBitFlipIsSeen, (std::vector<uint8_t> bytes, uint32_t where)) {
  RC_PRE(!bytes.empty());
  const uint32_t before = crc32c(bytes);
  const size_t bit = where % (bytes.size() * 8);
  bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] ^ (1U << (bit % 8)));
  RC_ASSERT(crc32c(bytes) != before);
}

}  // namespace
}  // namespace runnel
