#include "runtime/serial/serial_link.h"

#include <gtest/gtest.h>

#include "tests/unit/serial/line_pair.h"

namespace runnel::serial {
namespace {

TEST(SerialLink, GreetsAndCarriesMessagesBothWays) {
  LinePair pair;
  pair.gateway().link.handle_wall_clock(1'800'000'000);
  pair.run(seconds(1));
  ASSERT_TRUE(pair.board().link.up());
  ASSERT_TRUE(pair.gateway().link.up());
  EXPECT_EQ(pair.board().link.peer_unix_s(), 1'800'000'000U);
  std::vector<Bytes> up;
  std::vector<Bytes> down;
  for (const size_t size : std::initializer_list<size_t>{0, 1, 95, 96, 97, 192, 500, 1024}) {
    up.push_back(numbered(size, static_cast<uint32_t>(size)));
    down.push_back(numbered(size, static_cast<uint32_t>(size + 7)));
    ASSERT_EQ(pair.board().link.send(MessageType::kFrame, up.back()), Error::kOk);
    ASSERT_EQ(pair.gateway().link.send(MessageType::kLinkDown, down.back()), Error::kOk);
    pair.run(seconds(1));
  }
  EXPECT_EQ(pair.gateway().messages, up);
  EXPECT_EQ(pair.board().messages, down);
  EXPECT_EQ(pair.board().types[3], MessageType::kLinkDown);
  EXPECT_TRUE(pair.board().aligned && pair.gateway().aligned);
  EXPECT_TRUE(pair.board().link.all_sent() && pair.gateway().link.all_sent());
  EXPECT_EQ(pair.board().link.counters().pieces_sent_again, 0U);
  EXPECT_EQ(pair.board().events + pair.gateway().events, "UU");
}

TEST(SerialLink, AnIdleLinkSendsNothing) {
  LinePair pair;
  pair.run(seconds(1));
  const uint64_t frames = pair.frames;
  EXPECT_EQ(pair.board().link.next_timeout(), kNever);
  EXPECT_EQ(pair.gateway().link.next_timeout(), kNever);
  pair.run(seconds(86400));
  EXPECT_EQ(pair.frames, frames);
}

TEST(SerialLink, SendSaysWhyNot) {
  LinePair pair;
  EXPECT_EQ(pair.board().link.send(MessageType::kFrame, {}), Error::kUnreachable);
  pair.run(seconds(1));
  EXPECT_EQ(pair.board().link.send(MessageType::kFrame, numbered(1025, 1)), Error::kLimit);
  const Bytes most = numbered(1024, 1);
  EXPECT_EQ(pair.board().link.send(MessageType::kFrame, most), Error::kOk);
  EXPECT_EQ(pair.board().link.send(MessageType::kFrame, most), Error::kBusy);
  EXPECT_FALSE(pair.board().link.has_room(1024));
  EXPECT_TRUE(pair.board().link.has_room(1016));
  pair.run(seconds(1));
  EXPECT_EQ(pair.gateway().messages, std::vector<Bytes>{most});
}

TEST(SerialLink, AnotherNameIsRefusedWithWordsOnBothSides) {
  SerialLinkOptions board = small_options(Role::kBoard);
  ASSERT_TRUE(board.name.assign("pump-8"));
  LinePair pair(board);
  pair.run(seconds(5));
  const size_t greeted = pair.board().events.size();
  EXPECT_EQ(pair.board().events, std::string(greeted, 'R'));
  EXPECT_EQ(pair.gateway().events, pair.board().events);
  EXPECT_NE(pair.board().last_words.find("\"pump-8\", this line is of \"pump-7\""), std::string::npos)
      << pair.board().last_words;
  pair.run(seconds(60));  // it asks again, in case that was mended
  EXPECT_EQ(pair.board().events, std::string(greeted + 1, 'R'));
}

TEST(SerialLink, ASideThatTakesTooLittleIsRefused) {
  SerialLinkOptions gateway = small_options(Role::kGateway);
  gateway.peer_message_bytes_min = 2000;
  LinePair pair(small_options(Role::kBoard), gateway);
  pair.run(seconds(1));
  EXPECT_EQ(pair.board().last_words, "the board takes messages of 1024 bytes, 2000 are needed");

  SerialLinkOptions board = small_options(Role::kBoard);
  board.peer_message_bytes_min = 3000;
  LinePair other(board);
  other.run(seconds(1));
  EXPECT_EQ(other.gateway().last_words, "the gateway takes messages of 1024 bytes, 3000 are needed");
  EXPECT_FALSE(other.gateway().link.up());
}

TEST(SerialLink, AnotherVersionIsRefused) {
  LinePair pair;
  pair.line = [](size_t end, Bytes bytes) {
    // The board is of a later build.
    if (end == 1 && bytes.size() > 2) {
      Bytes frame(200);
      CobsDecoder decoder(frame);
      for (const uint8_t byte : bytes) static_cast<void>(decoder.take(byte));
      frame.resize(decoder.frame().size() == 0 ? 24 + 6 + 4 : decoder.frame().size());
      LineFrame greet;
      greet.version = 2;
      greet.kind = FrameKind::kGreet;
      Bytes payload(frame.begin() + kHeaderBytes, frame.end() - kChecksumBytes);
      payload[0] = payload[1] = 2;
      greet.payload = payload;
      Bytes raw(kFrameOverheadBytes + payload.size());
      static_cast<void>(write_frame(greet, raw));
      bytes.assign(cobs_bytes_max(raw.size()), 0);
      bytes.resize(cobs_encode(raw, bytes));
    }
    return std::vector<LinePair::Arrival>{{milliseconds(1), std::move(bytes)}};
  };
  pair.run(milliseconds(100));
  EXPECT_EQ(pair.gateway().events.substr(0, 1), "R");
  EXPECT_FALSE(pair.gateway().link.up());
  EXPECT_EQ(pair.board().last_words, "the board speaks line version 2, the gateway 1");
}

TEST(SerialLink, ABoardThatStartsAgainBeginsANewLink) {
  LinePair pair;
  pair.run(seconds(1));
  const Bytes lost = numbered(1000, 3);
  ASSERT_EQ(pair.gateway().link.send(MessageType::kFrame, lost), Error::kOk);
  pair.restart(0);
  pair.run(seconds(3));
  EXPECT_EQ(pair.gateway().events, "UDU");
  EXPECT_EQ(pair.board().events, "U");
  EXPECT_TRUE(pair.board().messages.empty());  // what was meant for its former life
  ASSERT_EQ(pair.gateway().link.send(MessageType::kFrame, numbered(5, 1)), Error::kOk);
  ASSERT_EQ(pair.board().link.send(MessageType::kFrame, numbered(6, 1)), Error::kOk);
  pair.run(seconds(1));
  EXPECT_EQ(pair.board().messages.size(), 1U);
  EXPECT_EQ(pair.gateway().messages.size(), 1U);
}

TEST(SerialLink, AGatewayThatStartsAgainFindsTheBoardAtOnce) {
  LinePair pair;
  pair.run(seconds(1));
  pair.restart(1);
  pair.run(milliseconds(100));
  EXPECT_EQ(pair.board().events, "UDU");
  EXPECT_EQ(pair.gateway().events, "U");
}

TEST(SerialLink, ALinkOfAnEarlierGatewayIsNotKnown) {
  LinePair pair;
  pair.run(seconds(1));
  bool lose = true;  // the gateway's question who is there
  pair.line = [&lose](size_t end, Bytes bytes) {
    if (end == 0 && std::exchange(lose, false)) return std::vector<LinePair::Arrival>{};
    return std::vector<LinePair::Arrival>{{milliseconds(1), std::move(bytes)}};
  };
  pair.restart(1);
  pair.run(seconds(5));
  EXPECT_EQ(pair.board().events, "U");  // it has noticed nothing yet
  ASSERT_EQ(pair.board().link.send(MessageType::kFrame, numbered(5, 1)), Error::kOk);
  pair.run(seconds(1));
  EXPECT_EQ(pair.board().events, "UDU");
  EXPECT_TRUE(pair.gateway().messages.empty());
}

TEST(SerialLink, WithoutAnAnswerTheLinkEndsAndTheBoardGreetsRarely) {
  LinePair pair;
  pair.run(seconds(1));
  pair.line = [](size_t, const Bytes&) { return std::vector<LinePair::Arrival>{}; };
  ASSERT_EQ(pair.board().link.send(MessageType::kFrame, numbered(5, 1)), Error::kOk);
  ASSERT_EQ(pair.gateway().link.send(MessageType::kFrame, numbered(5, 1)), Error::kOk);
  pair.run(seconds(40));
  EXPECT_EQ(pair.board().events, "UD");
  EXPECT_EQ(pair.gateway().events, "UD");
  EXPECT_EQ(pair.board().last_words.substr(0, 28), "serial line: no answer for 3");
  const uint64_t frames = pair.frames;
  pair.run(seconds(1000));
  EXPECT_LE(pair.frames - frames, 101U);
}

TEST(SerialLink, ALateGreetingOfTheSameLifeEndsNothing) {
  LinePair pair;
  Bytes greeting;
  pair.line = [&greeting](size_t end, Bytes bytes) {
    if (end == 1 && greeting.empty()) greeting = bytes;
    return std::vector<LinePair::Arrival>{{milliseconds(1), std::move(bytes)}};
  };
  pair.run(seconds(1));
  pair.gateway().take(pair.now, greeting);
  pair.run(seconds(1));
  ASSERT_EQ(pair.board().link.send(MessageType::kFrame, numbered(300, 1)), Error::kOk);
  pair.run(seconds(1));
  EXPECT_EQ(pair.gateway().events, "U");
  EXPECT_EQ(pair.board().events, "U");
  EXPECT_EQ(pair.gateway().messages.size(), 1U);
}

TEST(SerialLink, ALostFrameIsMissedAtOnce) {
  LinePair pair;
  pair.run(seconds(1));
  int count = 0;
  pair.line = [&count](size_t end, Bytes bytes) {
    if (end == 1 && ++count == 2) return std::vector<LinePair::Arrival>{};
    return std::vector<LinePair::Arrival>{{milliseconds(1), std::move(bytes)}};
  };
  const Instant begun = pair.now;
  ASSERT_EQ(pair.board().link.send(MessageType::kFrame, numbered(1000, 1)), Error::kOk);
  pair.run(milliseconds(25));  // far below the first retransmission timeout
  EXPECT_EQ(pair.gateway().messages.size(), 1U);
  EXPECT_EQ(pair.board().link.counters().pieces_sent_again, 3U);
  EXPECT_EQ(pair.now - begun, milliseconds(25));
}

TEST(SerialLink, AMessageBeyondTheBoundEndsTheLink) {
  LinePair pair;
  pair.run(seconds(1));
  // A board that does not keep to what the gateway said: three pieces of 400 bytes are more than 1024.
  SerialLinkOptions wide = small_options(Role::kGateway);
  wide.message_bytes_max = 4096;
  SerialLinkOptions big = small_options(Role::kBoard);
  big.queue_bytes = 8192;
  LinePair other(big, wide);
  other.run(seconds(1));
  ASSERT_EQ(other.board().link.send(MessageType::kFrame, numbered(2000, 1)), Error::kOk);
  std::vector<Bytes> frames;
  for (ByteView out = other.board().link.poll_output(other.now); !out.empty();
       out = other.board().link.poll_output(other.now)) {
    frames.emplace_back(out.begin(), out.end());
    // Acknowledged by hand, so that the whole message comes out.
    LineFrame ack;
    ack.link = 1;
    ack.next = static_cast<uint16_t>(frames.size());
    Bytes raw(kFrameOverheadBytes);
    static_cast<void>(write_frame(ack, raw));
    Bytes stuffed(cobs_bytes_max(raw.size()));
    stuffed.resize(cobs_encode(raw, stuffed));
    other.board().take(other.now, stuffed);
  }
  ASSERT_EQ(frames.size(), 21U);
  for (const Bytes& frame : frames) pair.gateway().take(pair.now, frame);
  EXPECT_EQ(pair.gateway().events, "UD");
  EXPECT_EQ(pair.gateway().last_words, "serial line: a message of more than 1024 bytes");
}

TEST(SerialLink, OptionsOutOfRangeAreNamed) {
  SerialLinkOptions options = small_options(Role::kBoard);
  std::vector<uint64_t> memory(SerialLink::memory_bytes(options) / 8);
  const auto view = [&] { return ByteView(reinterpret_cast<const uint8_t*>(memory.data()), memory.size() * 8); };
  EXPECT_TRUE(SerialLink::check(options, view()).ok());
  EXPECT_EQ(SerialLink::check(options, view().first(view().size() - 8)).error(), Error::kNoMemory);
  EXPECT_EQ(SerialLink::check(options, view().subspan(1)).error(), Error::kNoMemory);
  options.piece_bytes_max = 95;
  EXPECT_EQ(SerialLink::check(options, view()).error(), Error::kInvalidArgument);
  options = small_options(Role::kBoard);
  options.window = 17;
  EXPECT_EQ(SerialLink::check(options, view()).error(), Error::kInvalidArgument);
  options = small_options(Role::kBoard);
  static_cast<void>(options.name.assign(""));
  EXPECT_EQ(SerialLink::check(options, view()).error(), Error::kInvalidArgument);
}

// What a board pays: docs/gateway.md has these numbers.
TEST(SerialLink, TheMemoryIsAsDocumented) {
  SerialLinkOptions options = small_options(Role::kBoard);
  options.message_bytes_max = options.queue_bytes = 512;
  EXPECT_EQ(SerialLink::memory_bytes(options), 512U + 112U + 120U + 512U);
}

}  // namespace
}  // namespace runnel::serial
