// Two builds that know different schemas talk: a newer one's bytes to today's decoder, and today's bytes to a newer
// reader.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "future_frame_generated.h"
#include "runtime/wire/frame.h"
#include "tests/golden/wire/samples.h"
#include "tests/unit/wire/describe.h"
#include "tests/unit/wire/exact_bytes.h"

namespace runnel::wire {
namespace {

namespace later = runnel::future;
using Builder = flatbuffers::FlatBufferBuilder;

template <typename Body>
ExactBytes future_frame(later::Body kind, Body body) {
  Builder builder;
  const auto table = body(builder);
  later::FinishFrameBuffer(builder, later::CreateFrame(builder, kind, table.Union(), 0xABCDEF));
  return ExactBytes({builder.GetBufferPointer(), builder.GetSize()});
}

std::string describe_decoded(const ExactBytes& bytes) {
  const Result<Message> message = decode_frame(bytes.view());
  if (!message) return message.failure().text();
  return describe(*message);
}

TEST(Evolution, FieldsThatAreNotKnownYetAreIgnored) {
  const Hello hello = samples::hello();
  const auto future_hello = future_frame(later::Body::Hello, [&](Builder& b) {
    const auto codecs = b.CreateVector(hello.codecs.begin(), hello.codecs.size());
    return later::CreateHello(b, hello.protocol_min, hello.protocol_max, b.CreateString(std::string(hello.device)),
                              b.CreateString(std::string(hello.software)), codecs, hello.frame_bytes_max,
                              hello.held_run, hello.held_model_version, hello.unavailable, 87,
                              b.CreateString("north\nwest"));
  });
  EXPECT_EQ(describe_decoded(future_hello), describe(Message(hello)));

  const Welcome welcome = samples::welcome();
  const auto future_welcome = future_frame(later::Body::Welcome, [&](Builder& b) {
    return later::CreateWelcome(b, welcome.protocol, b.CreateString(std::string(welcome.software)), welcome.run,
                                welcome.rounds, welcome.chunk_bytes_max, welcome.window_bytes, welcome.ping_after_ms,
                                welcome.last_sequence, welcome.offer_bytes_max,
                                b.CreateVector(std::vector<uint32_t>{22, 23, 0, 1}));
  });
  EXPECT_EQ(describe_decoded(future_welcome), describe(Message(welcome)));

  const auto future_ping =
      future_frame(later::Body::Ping, [](Builder& b) { return later::CreatePing(b, 0x0102030405060708ULL, 99); });
  EXPECT_EQ(describe_decoded(future_ping), describe(Message(Ping{0x0102030405060708ULL})));

  const auto future_chunk = future_frame(later::Body::UpdateChunk, [](Builder& b) {
    return later::CreateUpdateChunk(b, 7, 1000,
                                    b.CreateVector(samples::kUpdatePart.data(), samples::kUpdatePart.size()), 5);
  });
  EXPECT_EQ(describe_decoded(future_chunk), describe(Message(UpdateChunk{7, 1000, samples::kUpdatePart})));
}

TEST(Evolution, AMessageKindThatIsNotKnownYetIsUnsupportedNotMalformed) {
  const auto metrics =
      future_frame(later::Body::Metrics, [](Builder& b) { return later::CreateMetrics(b, 12, 1ULL << 40); });
  const Result<Message> message = decode_frame(metrics.view());
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error(), Error::kUnsupported);
  EXPECT_STREQ(message.failure().text(), "message kind 13 is not known here");
}

TEST(Evolution, AnUpdateStateThatIsNotKnownYetIsUnsupported) {
  const auto ack = future_frame(later::Body::UpdateAck, [](Builder& b) {
    return later::CreateUpdateAck(b, 7, later::UpdateState::forwarded, 10);
  });
  EXPECT_EQ(decode_frame(ack.view()).error(), Error::kUnsupported);
}

TEST(Evolution, AReasonThatIsNotKnownYetIsStillARefusal) {
  const auto refusal = future_frame(later::Body::Refusal, [](Builder& b) {
    return later::CreateRefusal(b, 999, b.CreateString("of tomorrow"), 7, 0);
  });
  const Result<Message> message = decode_frame(refusal.view());
  ASSERT_TRUE(message.ok()) << message.failure().text();
  EXPECT_EQ(std::get<Refusal>(*message).detail, "of tomorrow");
  EXPECT_STREQ(reason_name(std::get<Refusal>(*message).reason), "unspecified");
}

const later::Frame* read_with_tomorrows_reader(const ExactBytes& bytes) {
  flatbuffers::Verifier verifier(bytes.view().data(), bytes.size());
  return later::VerifyFrameBuffer(verifier) ? later::GetFrame(bytes.view().data()) : nullptr;
}

TEST(Evolution, TodaysBytesAreReadByTomorrowsReaderWithDefaultsForWhatIsAbsent) {
  FrameBuilder builder;
  const ExactBytes hello_bytes(builder.build(samples::hello()));
  const later::Frame* frame = read_with_tomorrows_reader(hello_bytes);
  ASSERT_NE(frame, nullptr);
  EXPECT_EQ(frame->trace(), 0U);
  const later::Hello* hello = frame->body_as_Hello();
  ASSERT_NE(hello, nullptr);
  EXPECT_EQ(hello->protocol_max(), 3);
  EXPECT_EQ(hello->device()->str(), "pump-0042");
  EXPECT_EQ(hello->held_model_version(), 4U);
  EXPECT_EQ(hello->battery_percent(), 0);
  EXPECT_EQ(hello->region(), nullptr);

  const ExactBytes chunk_bytes(builder.build(UpdateChunk{7, 1000, samples::kUpdatePart}));
  frame = read_with_tomorrows_reader(chunk_bytes);
  ASSERT_NE(frame, nullptr);
  const later::UpdateChunk* chunk = frame->body_as_UpdateChunk();
  ASSERT_NE(chunk, nullptr);
  EXPECT_EQ(chunk->payload()->size(), samples::kUpdatePart.size());
  EXPECT_EQ(chunk->checksum(), 17U);

  const ExactBytes ack_bytes(builder.build(UpdateAck{7, UpdateState::kDurable, 1234}));
  frame = read_with_tomorrows_reader(ack_bytes);
  ASSERT_NE(frame, nullptr);
  EXPECT_EQ(frame->body_as_UpdateAck()->state(), later::UpdateState::durable);
}

TEST(Evolution, EveryKindKeepsItsNumber) {
  // Written out, so that a member put in the middle of the union is caught even where no bytes are compared.
  FrameBuilder builder;
  const later::Body expected[] = {later::Body::Hello,        later::Body::Welcome,    later::Body::RoundPlan,
                                  later::Body::ModelRequest, later::Body::ModelChunk, later::Body::UpdateOffer,
                                  later::Body::UpdateChunk,  later::Body::UpdateAck,  later::Body::Refusal,
                                  later::Body::Ping,         later::Body::Pong,       later::Body::Bye};
  size_t i = 0;
  for (const auto& sample : samples::frames()) {
    const ExactBytes bytes(builder.build(sample.message));
    EXPECT_EQ(later::GetFrame(bytes.view().data())->body_type(), expected[i]) << sample.file;
    EXPECT_EQ(static_cast<size_t>(expected[i]), i + 1);
    ++i;
  }
}

}  // namespace
}  // namespace runnel::wire
