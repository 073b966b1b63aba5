#include "runtime/serial/line_frame.h"

#include <gtest/gtest.h>

#include <vector>

namespace runnel::serial {
namespace {

std::vector<uint8_t> sample() {
  const std::vector<uint8_t> payload{1, 2, 3};
  LineFrame frame;
  frame.kind = FrameKind::kPiece;
  frame.link = 0x1234;
  frame.sequence = 0x5678;
  frame.next = 0x9ABC;
  frame.flags = kFirstPiece | kLastPiece;
  frame.type = MessageType::kConnect;
  frame.payload = payload;
  std::vector<uint8_t> bytes(kFrameOverheadBytes + payload.size());
  EXPECT_EQ(write_frame(frame, bytes), bytes.size());
  return bytes;
}

// The layout is what boards in the field speak: it stays.
TEST(LineFrame, TheBytesAreAsDocumented) {
  const std::vector<uint8_t> expected{1, 4, 0x34, 0x12, 0x78, 0x56, 0xBC, 0x9A, 3, 2, 1, 2, 3, 0x2D, 0x18, 0x86, 0x82};
  EXPECT_EQ(sample(), expected);
}

TEST(LineFrame, ReadsWhatItWrote) {
  const std::vector<uint8_t> bytes = sample();
  const Result<LineFrame> frame = read_frame(bytes);
  ASSERT_TRUE(frame.ok()) << frame.failure().text();
  EXPECT_EQ(frame->kind, FrameKind::kPiece);
  EXPECT_EQ(frame->link, 0x1234);
  EXPECT_EQ(frame->sequence, 0x5678);
  EXPECT_EQ(frame->next, 0x9ABC);
  EXPECT_EQ(frame->flags, 3);
  EXPECT_EQ(frame->type, MessageType::kConnect);
  ASSERT_EQ(frame->payload.size(), 3U);
  EXPECT_EQ(frame->payload[2], 3);
}

TEST(LineFrame, EveryFlippedBitIsSeen) {
  const std::vector<uint8_t> bytes = sample();
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::vector<uint8_t> damaged = bytes;
    damaged[bit / 8] = static_cast<uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_EQ(read_frame(damaged).error(), Error::kChecksum) << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(read_frame(ByteView(bytes).first(size)).ok()) << size;
}

TEST(LineFrame, GreetingAndWelcomeComeBack) {
  std::vector<uint8_t> memory(kPieceBytesMin);
  const std::string name(kBoardNameBytesMax, 'n');
  size_t size = write_greeting({1, 3, {240, 4, 70000}, 0xDEADBEEF, name}, memory);
  const Result<Greeting> greeting = read_greeting(ByteView(memory).first(size));
  ASSERT_TRUE(greeting.ok());
  EXPECT_EQ(greeting->version_max, 3);
  EXPECT_EQ(greeting->limits.piece_bytes_max, 240);
  EXPECT_EQ(greeting->limits.window, 4);
  EXPECT_EQ(greeting->limits.message_bytes_max, 70000U);
  EXPECT_EQ(greeting->nonce, 0xDEADBEEF);
  EXPECT_EQ(greeting->name, name);

  size = write_welcome({{96, 1, 512}, 7, 1'800'000'000}, memory);
  const Result<WelcomeLine> welcome = read_welcome(ByteView(memory).first(size));
  ASSERT_TRUE(welcome.ok());
  EXPECT_EQ(welcome->limits.message_bytes_max, 512U);
  EXPECT_EQ(welcome->nonce, 7U);
  EXPECT_EQ(welcome->unix_s, 1'800'000'000U);
}

TEST(LineFrame, LimitsThatMakeNoSenseAreRefused) {
  std::vector<uint8_t> memory(kPieceBytesMin);
  for (const LineLimits& limits : {LineLimits{0, 4, 512}, LineLimits{95, 4, 512}, LineLimits{96, 0, 512},
                                   LineLimits{96, 4, 0}, LineLimits{96, 4, 1U << 24}}) {
    const size_t size = write_greeting({1, 1, limits, 0, "a"}, memory);
    EXPECT_EQ(read_greeting(ByteView(memory).first(size)).error(), Error::kLimit);
  }
  EXPECT_EQ(read_greeting(ByteView(memory).first(13)).error(), Error::kTruncated);
  EXPECT_EQ(read_welcome(ByteView(memory).first(19)).error(), Error::kTruncated);
}

}  // namespace
}  // namespace runnel::serial
