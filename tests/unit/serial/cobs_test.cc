#include "runtime/serial/cobs.h"

#include <gtest/gtest.h>

#include <vector>

namespace runnel::serial {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes encode(const Bytes& frame) {
  Bytes out(cobs_bytes_max(frame.size()));
  out.resize(cobs_encode(frame, out));
  return out;
}

std::vector<Bytes> decode(CobsDecoder& decoder, const Bytes& stream) {
  std::vector<Bytes> frames;
  for (const uint8_t byte : stream) {
    if (decoder.take(byte)) frames.emplace_back(decoder.frame().begin(), decoder.frame().end());
  }
  return frames;
}

TEST(Cobs, KnownBytes) {
  EXPECT_EQ(encode({0x11, 0x22, 0x00, 0x33}), (Bytes{0, 3, 0x11, 0x22, 2, 0x33, 0}));
  EXPECT_EQ(encode({0, 0}), (Bytes{0, 1, 1, 1, 0}));
  const Bytes full(254, 7);
  Bytes expected{0, 255};
  expected.insert(expected.end(), full.begin(), full.end());
  expected.push_back(0);
  EXPECT_EQ(encode(full), expected);  // no block behind a full one that ends the frame
}

TEST(Cobs, EveryLengthAroundTheBlocksComesBack) {
  Bytes memory(1100);
  for (size_t size = 1; size < 1030; ++size) {
    for (const size_t zero_every : std::initializer_list<size_t>{0, 1, 3, 253, 254, 255, 509}) {
      Bytes frame(size);
      for (size_t i = 0; i < size; ++i)
        frame[i] = zero_every != 0 && i % zero_every == 0 ? uint8_t{0} : static_cast<uint8_t>(i % 255 + 1);
      CobsDecoder decoder(memory);
      const Bytes stream = encode(frame);
      ASSERT_LE(stream.size(), cobs_bytes_max(size));
      EXPECT_EQ(decode(decoder, stream), std::vector<Bytes>{frame}) << size << " " << zero_every;
      // In place, as the link does it.
      Bytes in_place(cobs_bytes_max(size));
      std::copy(frame.begin(), frame.end(), in_place.end() - static_cast<std::ptrdiff_t>(size));
      in_place.resize(cobs_encode(ByteView(in_place).last(size), in_place));
      EXPECT_EQ(in_place, stream) << size << " " << zero_every;
    }
  }
}

TEST(Cobs, GarbageBeforeAFrameDoesNotTakeItAlong) {
  Bytes memory(300);
  CobsDecoder decoder(memory);
  Bytes stream{9, 1, 2, 200, 255, 3};  // a frame that breaks off
  const Bytes frame{1, 0, 2};
  const Bytes whole = encode(frame);
  stream.insert(stream.end(), whole.begin(), whole.end());
  EXPECT_EQ(decode(decoder, stream), std::vector<Bytes>{frame});
  EXPECT_EQ(decoder.frames_dropped(), 1U);
}

TEST(Cobs, AFrameBeyondTheBufferIsSkippedAndTheNextOneIsWhole) {
  Bytes memory(8);
  CobsDecoder decoder(memory);
  Bytes stream = encode(Bytes(9, 5));
  const Bytes fits = encode(Bytes(8, 6));
  stream.insert(stream.end(), fits.begin(), fits.end());
  const Bytes zeros = encode(Bytes(9, 0));
  stream.insert(stream.end(), zeros.begin(), zeros.end());
  EXPECT_EQ(decode(decoder, stream), std::vector<Bytes>{Bytes(8, 6)});
  EXPECT_EQ(decoder.frames_dropped(), 2U);
}

TEST(Cobs, ZerosAloneAreNothing) {
  Bytes memory(8);
  CobsDecoder decoder(memory);
  EXPECT_TRUE(decode(decoder, Bytes(20, 0)).empty());
  EXPECT_EQ(decoder.frames_dropped(), 0U);
}

}  // namespace
}  // namespace runnel::serial
