// What a session survives: lost, repeated, reordered, forged messages, new connections, strangers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/base/rng.h"
#include "tests/unit/host/channel_pair.h"

namespace runnel::host {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class SecureChannelTest : public ChannelTest {
 protected:
  Bytes next_record(const std::string& text) {
    EXPECT_TRUE(device->send(bytes_of(text)).ok());
    auto all = messages_of(*device);
    EXPECT_EQ(all.size(), 1U);
    return all.empty() ? Bytes{} : all[0];
  }
  void deliver(const Bytes& message, uint8_t from = 1) { coordinator->handle_message(routing(from), message, now); }
};

TEST_F(SecureChannelTest, TalksBothWays) {
  make_both();
  establish();
  expect_talk("hello");
  EXPECT_EQ(device->counters().records_sent, 1U);
  EXPECT_EQ(device->counters().records_received, 1U);
  EXPECT_EQ(coordinator->counters().records_received, 1U);
}

TEST_F(SecureChannelTest, NothingReadableCrossesTheWire) {
  make_both();
  establish();
  const std::string secret = "the weights of this round";
  const Bytes message = next_record(secret);
  EXPECT_EQ(std::search(message.begin(), message.end(), secret.begin(), secret.end()), message.end());
}

TEST_F(SecureChannelTest, AFrameCostsThirtyEightBytes) {
  make_both();
  establish();
  for (const size_t size : {size_t{1}, size_t{100}, size_t{4096}, kPlaintextBytesMax}) {
    EXPECT_EQ(next_record(std::string(size, 'x')).size(), size + kMessageHeaderBytes + kRecordOverheadBytes);
  }
}

TEST_F(SecureChannelTest, LargestFramePassesAndALargerOneIsRefused) {
  make_both();
  establish();
  expect_talk(std::string(kPlaintextBytesMax - 5, 'y'));
  EXPECT_EQ(device->send(Bytes(kPlaintextBytesMax + 1)).error(), Error::kLimit);
  EXPECT_EQ(device->send({}).error(), Error::kLimit);
  EXPECT_EQ(coordinator->send(session, Bytes(kPlaintextBytesMax + 1)).error(), Error::kLimit);
}

TEST_F(SecureChannelTest, SendingNeedsASession) {
  make_both();
  EXPECT_EQ(device->send(bytes_of("x")).error(), Error::kWrongType);
  device->handle_connected(now);
  EXPECT_EQ(device->send(bytes_of("x")).error(), Error::kWrongType);
  EXPECT_EQ(coordinator->send(77, bytes_of("x")).error(), Error::kNotFound);
}

TEST_F(SecureChannelTest, QueuesAreBounded) {
  device_options.queued_messages_max = 3;
  coordinator_options.queued_messages_max = 2;
  make_both();
  establish();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(device->send(bytes_of("x")).ok());
  EXPECT_EQ(device->send(bytes_of("x")).error(), Error::kBusy);
  EXPECT_THAT(messages_of(*device), SizeIs(3));
  EXPECT_TRUE(device->send(bytes_of("x")).ok());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(coordinator->send(session, bytes_of("x")).ok());
  EXPECT_EQ(coordinator->send(session, bytes_of("x")).error(), Error::kBusy);
  EXPECT_THAT(messages_of(*coordinator), SizeIs(2));
  EXPECT_TRUE(coordinator->send(session, bytes_of("x")).ok());
}

TEST_F(SecureChannelTest, LostRecordsAreJustMissing) {
  make_both();
  establish();
  next_record("lost 1");
  next_record("lost 2");
  EXPECT_EQ(device_says("three"), bytes_of("three"));
  EXPECT_EQ(coordinator->counters().records_dropped, 0U);
}

TEST_F(SecureChannelTest, ReorderedRecordsAllArriveAndRepeatedOnesDoNot) {
  make_both();
  establish();
  std::vector<Bytes> records;
  records.reserve(10);
  for (int i = 0; i < 10; ++i) records.push_back(next_record("record " + std::to_string(i)));
  Rng rng(5);
  for (size_t i = records.size() - 1; i > 0; --i) std::swap(records[i], records[rng.below(i + 1)]);
  for (const Bytes& record : records) {
    deliver(record);
    EXPECT_TRUE(coordinator_heard().has_value());
    deliver(record);
    EXPECT_FALSE(coordinator_heard().has_value());
  }
  for (const Bytes& record : records) deliver(record);
  EXPECT_FALSE(coordinator_heard().has_value());
  EXPECT_EQ(coordinator->counters().records_received, 10U);
  EXPECT_EQ(coordinator->counters().records_dropped, 20U);
  expect_talk("still here");
}

TEST_F(SecureChannelTest, EveryFlippedBitIsCaught) {
  make_both();
  establish();
  const Bytes record = next_record("a frame of some bytes");
  for (size_t i = kMessageHeaderBytes; i < record.size(); ++i) {
    for (const uint8_t bit : {uint8_t{0x01}, uint8_t{0x80}}) {
      Bytes changed = record;
      changed[i] = static_cast<uint8_t>(changed[i] ^ bit);
      deliver(changed);
      EXPECT_FALSE(coordinator_heard().has_value()) << "byte " << i;
    }
  }
  EXPECT_GE(coordinator->counters().records_dropped, 2 * (record.size() - kMessageHeaderBytes));
  EXPECT_EQ(coordinator->open_sessions(), 1U);
  deliver(record);
  EXPECT_EQ(coordinator_heard(), bytes_of("a frame of some bytes"));
  expect_talk("unharmed");
}

TEST_F(SecureChannelTest, TornAndPaddedMessagesDoNotHarmASession) {
  make_both();
  establish();
  for (size_t cut = 0; cut < 40; ++cut) {
    Bytes record = next_record("frame");
    record.resize(std::min(cut, record.size() - 1));
    deliver(record);
    EXPECT_FALSE(coordinator_heard().has_value());
    Bytes padded = next_record("frame");
    padded.insert(padded.end(), cut, static_cast<uint8_t>(cut));
    deliver(padded);
    EXPECT_EQ(coordinator_heard(), bytes_of("frame")) << cut;
    ASSERT_TRUE(coordinator->send(session, bytes_of("answer")).ok());
    for (Sent& sent : messages_of(*coordinator)) {
      sent.message.insert(sent.message.end(), cut, static_cast<uint8_t>(0xFE));
      device->handle_message(sent.message, now);
    }
    Bytes answer;
    EXPECT_TRUE(device->poll_plaintext(answer)) << cut;
  }
  expect_talk("unharmed");
}

TEST_F(SecureChannelTest, RandomRubbishNeitherKillsNorMovesASession) {
  make_both();
  establish();
  expect_talk("before");
  Rng rng(11);
  const Bytes model = next_record("model");
  for (int i = 0; i < 3000; ++i) {
    Bytes rubbish(kMessageHeaderBytes + rng.below(200));
    for (uint8_t& byte : rubbish) byte = static_cast<uint8_t>(rng.next_u64());
    // The envelope is right, and often the record's header too, so that the rubbish gets as far in as possible.
    std::copy_n(model.begin(), kMessageHeaderBytes + (rng.below(2) == 0 ? 0 : std::min<size_t>(11, rubbish.size() - 9)),
                rubbish.begin());
    if (rubbish.size() >= 22 && rng.below(2) == 0) {
      rubbish[20] = 0;
      rubbish[21] = static_cast<uint8_t>(rubbish.size() - 22);
      rubbish[9] = static_cast<uint8_t>(20 + rng.below(6));
    }
    deliver(rubbish, 9);
    device->handle_message(rubbish, now);
  }
  EXPECT_EQ(coordinator->open_sessions(), 1U);
  EXPECT_TRUE(events_of<ChannelEvent>(*device).empty());
  // The coordinator still answers to where the device is, not to where the rubbish came from.
  ASSERT_TRUE(coordinator->send(session, bytes_of("x")).ok());
  const auto sent = messages_of(*coordinator);
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].to, routing(1));
  expect_talk("after");
}

TEST_F(SecureChannelTest, ANewConnectionKeepsTheSession) {
  make_both();
  establish();
  expect_talk("on the first");
  for (uint8_t connection = 2; connection < 8; ++connection) {
    reconnect(connection);
    EXPECT_TRUE(messages_of(*device).empty()) << "nothing has to be said first";
    expect_talk("on connection " + std::to_string(connection));
  }
  EXPECT_EQ(device->counters().handshakes_started, 1U);
  EXPECT_EQ(coordinator->counters().handshakes_started, 1U);
}

TEST_F(SecureChannelTest, ARepeatedRecordDoesNotMoveTheReplyAddress) {
  make_both();
  establish();
  const Bytes record = next_record("once");
  deliver(record);
  deliver(record, 66);  // an eavesdropper's copy
  ASSERT_TRUE(coordinator->send(session, bytes_of("x")).ok());
  const auto sent = messages_of(*coordinator);
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].to, routing(1));
}

TEST_F(SecureChannelTest, FramesWrittenWithoutAConnectionWait) {
  make_both();
  establish();
  device->handle_disconnected();
  ASSERT_TRUE(device->send(bytes_of("written in the dark")).ok());
  route = routing(2);
  connect();
  EXPECT_EQ(coordinator_heard(), bytes_of("written in the dark"));
}

TEST_F(SecureChannelTest, EveryLostHandshakeMessageIsRepeated) {
  // Loses the n-th message of the handshake, whichever way it goes, and lets timers do the rest.
  for (const bool resume : {false, true}) {
    for (int lost = 0; lost < 4; ++lost) {
      device_options.saved_session.clear();
      make_both();
      if (resume) {
        establish();
        device_options.saved_session = device->save_session();
        make_both();
      }
      int count = 0;
      device->handle_connected(now);
      for (int step = 0; step < 40 && !(device->established() && coordinator->open_sessions() == 1); ++step) {
        for (const Bytes& message : messages_of(*device)) {
          if (count++ != lost) coordinator->handle_message(route, message, now);
        }
        for (const Sent& sent : messages_of(*coordinator)) {
          if (count++ != lost) device->handle_message(sent.message, now);
        }
        const Instant next = std::min(device->next_timeout(), coordinator->next_timeout());
        if (next != kNever) now = std::max(now, next);
        device->handle_timeout(now);
        coordinator->handle_timeout(now);
      }
      ASSERT_TRUE(device->established()) << lost;
      EXPECT_EQ(device->counters().handshakes_started, 1U) << lost;
      EXPECT_EQ(device->counters().handshakes_resumed, resume ? 1U : 0U) << lost;
      carry();
      expect_talk("after a loss");
    }
  }
}

TEST_F(SecureChannelTest, AConnectionLostInTheHandshakeGoesOnWithTheNext) {
  make_both();
  device->handle_connected(now);
  for (const Bytes& message : messages_of(*device)) deliver(message);
  messages_of(*coordinator);  // lost with the connection
  device->handle_disconnected();
  EXPECT_EQ(device->next_timeout(), kNever) << "nothing to repeat into the void";
  route = routing(2);
  now += seconds(3);
  connect();
  EXPECT_TRUE(device->established());
  EXPECT_EQ(device->counters().handshakes_started, 1U);
  EXPECT_EQ(coordinator->counters().handshakes_started, 1U);
  expect_talk("on the second");
}

TEST_F(SecureChannelTest, ASilentCoordinatorEndsInATimeout) {
  make_both();
  device->handle_connected(now);
  const Instant begin = now;
  int repeats = 0;
  while (device->next_timeout() != kNever && repeats < 20) {
    now = device->next_timeout();
    device->handle_timeout(now);
    repeats += static_cast<int>(messages_of(*device).size());
  }
  const auto events = events_of<ChannelEvent>(*device);
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].failure.error(), Error::kTimeout);
  EXPECT_THAT(events[0].failure.text(), HasSubstr("no answer"));
  EXPECT_GE(now - begin, seconds(60));
  EXPECT_LE(now - begin, seconds(300));
  connect();
  EXPECT_TRUE(device->established()) << "the next connection starts afresh";
}

TEST_F(SecureChannelTest, HalfOpenHandshakesAreBoundedInNumber) {
  coordinator_options.half_open_max = 8;
  make_both();
  establish();
  for (int i = 0; i < 50; ++i) {
    auto stranger = make_device(test_fleet().device);
    stranger->handle_connected(now);
    for (const Bytes& message : messages_of(*stranger)) deliver(message, 50);
    messages_of(*coordinator);
    EXPECT_LE(coordinator->half_open_sessions(), 8U);
  }
  EXPECT_EQ(coordinator->half_open_sessions(), 8U);
  EXPECT_EQ(coordinator->counters().handshakes_failed, 42U);
  EXPECT_EQ(coordinator->open_sessions(), 1U);
  expect_talk("undisturbed");
}

TEST_F(SecureChannelTest, HalfOpenHandshakesAreBoundedInTime) {
  make_both();
  device->handle_connected(now);
  for (const Bytes& message : messages_of(*device)) deliver(message);
  EXPECT_EQ(coordinator->half_open_sessions(), 1U);
  const Instant begin = now;
  while (coordinator->next_timeout() != kNever) {
    now = coordinator->next_timeout();
    coordinator->handle_timeout(now);
    messages_of(*coordinator);
  }
  EXPECT_LE(now - begin, seconds(180));
  EXPECT_EQ(coordinator->half_open_sessions(), 0U);
  const auto events = events_of<CoordinatorEvent>(*coordinator);
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].failure.error(), Error::kTimeout);
}

TEST_F(SecureChannelTest, AForgottenSessionLeadsToANewHandshake) {
  make_both();
  establish();
  coordinator = make_coordinator(test_fleet().coordinator);
  EXPECT_FALSE(device_says("anyone?").has_value());
  EXPECT_EQ(device->counters().hints_received, 1U);
  const auto events = events_of<ChannelEvent>(*device);
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0].kind, ChannelEvent::Kind::kSessionLost);
  EXPECT_EQ(events[1].kind, ChannelEvent::Kind::kEstablished);
  EXPECT_TRUE(events[1].resumed);
  expect_talk("again");
}

TEST_F(SecureChannelTest, HintsCauseAtMostOneHandshakeAnInterval) {
  make_both();
  establish();
  for (int restart = 0; restart < 2; ++restart) {
    coordinator = make_coordinator(test_fleet().coordinator);
    ASSERT_TRUE(device->send(bytes_of("anyone?")).ok());
    carry();
  }
  EXPECT_EQ(device->counters().handshakes_started, 2U) << "the second hint came too soon";
  EXPECT_TRUE(device->established());
  EXPECT_EQ(device->next_timeout(), now + seconds(30));
  now += seconds(30);
  device->handle_timeout(now);
  carry();
  EXPECT_EQ(device->counters().handshakes_started, 3U);
  expect_talk("again");
}

TEST_F(SecureChannelTest, AForgedHintIsForgottenWhenTheCoordinatorSpeaks) {
  make_both();
  establish();
  Bytes hint(kMessageHeaderBytes);
  hint[0] = static_cast<uint8_t>(MessageKind::kUnknownSession);
  store_le(hint.data() + 1, device->session_id());
  device->handle_message(hint, now);
  carry();
  EXPECT_EQ(device->counters().handshakes_started, 2U);
  events_of<CoordinatorEvent>(*coordinator);
  store_le(hint.data() + 1, device->session_id());
  device->handle_message(hint, now);
  EXPECT_NE(device->next_timeout(), kNever);
  expect_talk("I am here");
  EXPECT_EQ(device->next_timeout(), kNever);
  store_le(hint.data() + 1, device->session_id() + 1);
  device->handle_message(hint, now);
  EXPECT_EQ(device->next_timeout(), kNever) << "not this session's id";
}

TEST_F(SecureChannelTest, HintsAreRateLimited) {
  coordinator_options.hints_per_second_max = 10;
  make_both();
  establish();
  Bytes record = next_record("x");
  for (uint64_t i = 0; i < 100; ++i) {
    store_le(record.data() + 1, i + 1);
    deliver(record, 50);
  }
  EXPECT_THAT(messages_of(*coordinator), SizeIs(10));
  now += seconds(1);
  deliver(record, 50);
  EXPECT_THAT(messages_of(*coordinator), SizeIs(1));
  EXPECT_EQ(coordinator->half_open_sessions(), 0U);
}

TEST_F(SecureChannelTest, AClosedSessionTellsTheDevice) {
  make_both();
  establish();
  expect_talk("before");
  coordinator->close(session);
  EXPECT_EQ(coordinator->open_sessions(), 0U);
  carry();
  const auto events = events_of<ChannelEvent>(*device);
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[0].kind, ChannelEvent::Kind::kSessionLost);
  EXPECT_THAT(events[0].failure.text(), HasSubstr("closed"));
  EXPECT_EQ(events[1].kind, ChannelEvent::Kind::kEstablished) << "and it came back by itself";
}

TEST_F(SecureChannelTest, IdleSessionsSleepAndWakeByTheirNextRecord) {
  coordinator_options.awake_sessions_max = 2;
  coordinator = make_coordinator(test_fleet().coordinator);
  struct Member {
    std::unique_ptr<DeviceChannel> channel;
    SessionId session = 0;
    std::vector<Bytes> past;
  };
  std::vector<Member> members;
  for (uint8_t i = 0; i < 8; ++i) {
    device = make_device(test_fleet().issue("dev-" + std::to_string(i), Role::kDevice));
    route = routing(static_cast<uint8_t>(10 + i));
    establish();
    expect_talk("first");
    members.push_back({std::move(device), session, {}});
  }
  EXPECT_EQ(coordinator->open_sessions(), 8U);
  EXPECT_EQ(coordinator->awake_sessions(), 2U);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < members.size(); ++i) {
      route = routing(static_cast<uint8_t>(10 + i));
      session = members[i].session;
      device = std::move(members[i].channel);
      EXPECT_EQ(coordinator_says("wake"), bytes_of("wake"));
      const Bytes record = next_record("round " + std::to_string(round));
      deliver(record, static_cast<uint8_t>(10 + i));
      EXPECT_EQ(coordinator_heard(), bytes_of("round " + std::to_string(round)));
      for (const Bytes& old : members[i].past) deliver(old, 99);  // replayed over the sleep
      EXPECT_FALSE(coordinator_heard().has_value());
      members[i].past.push_back(record);
      members[i].channel = std::move(device);
      EXPECT_LE(coordinator->awake_sessions(), 2U);
    }
  }
  EXPECT_EQ(coordinator->counters().handshakes_started, 8U);
}

TEST_F(SecureChannelTest, ASessionThatIsNotUsedSleepsThoughThereIsRoom) {
  coordinator_options.awake_idle_max = seconds(10);
  coordinator = make_coordinator(test_fleet().coordinator);
  device = make_device(test_fleet().device);
  establish();
  expect_talk("first");
  EXPECT_EQ(coordinator->awake_sessions(), 1U);
  const Instant due = coordinator->next_timeout();
  ASSERT_EQ(due, now + seconds(10));
  now = due - milliseconds(1);
  coordinator->handle_timeout(now);
  EXPECT_EQ(coordinator->awake_sessions(), 1U);
  now = due;
  coordinator->handle_timeout(now);
  EXPECT_EQ(coordinator->awake_sessions(), 0U);
  EXPECT_EQ(coordinator->next_timeout(), kNever);
  expect_talk("and wakes");
  EXPECT_EQ(coordinator->awake_sessions(), 1U);
}

TEST_F(SecureChannelTest, TheQuietestSessionGivesWay) {
  coordinator_options.sessions_max = 3;
  coordinator = make_coordinator(test_fleet().coordinator);
  std::vector<SessionId> sessions;
  for (int i = 0; i < 4; ++i) {
    device = make_device(test_fleet().issue("dev-" + std::to_string(i), Role::kDevice));
    connect();
    const auto events = events_of<CoordinatorEvent>(*coordinator);
    sessions.push_back(events.back().session);
    if (i < 3) continue;
    ASSERT_THAT(events, SizeIs(2));
    EXPECT_EQ(events[0].kind, CoordinatorEvent::Kind::kClosed);
    EXPECT_EQ(events[0].session, sessions[0]);
    EXPECT_EQ(events[0].failure.error(), Error::kLimit);
  }
  EXPECT_EQ(coordinator->open_sessions(), 3U);
}

TEST_F(SecureChannelTest, MessagesOutsideTheGrammarAreCounted) {
  make_both();
  establish();
  const uint64_t before = coordinator->counters().messages_dropped;
  deliver({});
  deliver({1, 2, 3});
  deliver(Bytes(kMessageHeaderBytes, 1));       // no body
  deliver(Bytes(kMessageHeaderBytes + 20, 0));  // no such kind
  deliver(Bytes(kMessageHeaderBytes + 20, 2));  // plaintext where there is none
  deliver(Bytes(kMessageHeaderBytes + 20, 9));  // no such kind
  deliver(Bytes(kMessageBytesMax + 1, 1));      // too long
  EXPECT_EQ(coordinator->counters().messages_dropped, before + 7);
  EXPECT_EQ(coordinator->open_sessions(), 1U);
  EXPECT_EQ(coordinator->half_open_sessions(), 0U);
}

TEST_F(SecureChannelTest, PlaintextModeCarriesFramesAsTheyAre) {
  device_options.plaintext = true;
  coordinator_options.plaintext = true;
  device = make_device({});
  coordinator = make_coordinator({});
  connect();
  EXPECT_TRUE(device->established());
  EXPECT_EQ(device_says("who I say I am"), bytes_of("who I say I am"));
  const auto events = events_of<CoordinatorEvent>(*coordinator);
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].kind, CoordinatorEvent::Kind::kOpened);
  EXPECT_EQ(events[0].device.name, "");
  EXPECT_EQ(events[0].session, session);
  expect_talk("more");
  reconnect(2);
  expect_talk("on another connection");
  EXPECT_EQ(coordinator->open_sessions(), 1U);
  EXPECT_EQ(device->send(Bytes(kPlaintextBytesMax + 1)).error(), Error::kLimit);
  coordinator->close(session);
  EXPECT_EQ(coordinator->open_sessions(), 0U);
}

TEST_F(SecureChannelTest, PlaintextSessionsAreBoundedToo) {
  coordinator_options.plaintext = true;
  coordinator_options.sessions_max = 5;
  coordinator = make_coordinator({});
  for (uint64_t i = 1; i <= 50; ++i) {
    Bytes message(kMessageHeaderBytes + 3, 2);
    store_le(message.data() + 1, i);
    deliver(message);
  }
  EXPECT_EQ(coordinator->open_sessions(), 5U);
}

TEST_F(SecureChannelTest, APlaintextDeviceGetsNothingFromASecureCoordinator) {
  device_options.plaintext = true;
  make_both();
  connect();
  EXPECT_FALSE(device_says("let me in").has_value());
  EXPECT_EQ(coordinator->open_sessions(), 0U);
  EXPECT_EQ(coordinator->counters().messages_dropped, 1U);
}

}  // namespace
}  // namespace runnel::host
