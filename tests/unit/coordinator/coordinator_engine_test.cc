// What the coordinator's engine answers to frames that make no sense now: words, and nothing lost.
#include "coordinator/engine/coordinator_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/crc32c.h"
#include "runtime/codec/update_codec.h"

namespace runnel::coordinator {
namespace {

using testing::HasSubstr;

class Engine : public testing::Test {
 protected:
  Engine() {
    CoordinatorOptions options;
    EXPECT_TRUE(options.model.name.assign("tiny"));
    options.model.input = {400, 1, 1};
    options.model.classes = 2;
    plan::LayerSpec dense;
    dense.kind = plan::LayerKind::kDense;
    dense.units = 2;
    EXPECT_TRUE(options.model.layers.push_back(dense));
    options.round.run = 7;
    options.round.layout = plan::make_layout(options.model).value();
    Snapshot snapshot;
    snapshot.model = {1, std::vector<float>(options.round.layout.parameter_count)};
    Result<RoundEngine> rounds = RoundEngine::create(options.round, std::move(snapshot), {}, Instant{});
    EXPECT_TRUE(rounds.ok());
    engine_ = std::make_unique<CoordinatorEngine>(options, std::move(rounds).value());
    engine_->handle_session_opened(Instant{}, 1, "pump");
  }

  void send(const wire::Message& message) {
    const ByteView bytes = builder_.build(message);
    send_bytes({bytes.begin(), bytes.end()});
  }
  void send_bytes(const std::vector<uint8_t>& bytes) { engine_->handle_frame(Instant{}, 1, bytes); }

  // The next answer, copied so that its texts stay; nullopt when there is none.
  std::optional<wire::Message> answer() {
    const auto frame = engine_->poll_frame(Instant{});
    if (!frame.has_value()) return std::nullopt;
    answer_.assign(frame->bytes.begin(), frame->bytes.end());
    return wire::decode_frame(answer_).value();
  }
  void expect_refusal(wire::Reason reason, const std::string& words) {
    const auto message = answer();
    ASSERT_TRUE(message.has_value());
    const auto* refusal = std::get_if<wire::Refusal>(&*message);
    ASSERT_NE(refusal, nullptr);
    EXPECT_EQ(refusal->reason, reason);
    EXPECT_THAT(std::string(refusal->detail), HasSubstr(words));
  }
  static wire::Hello hello(std::string_view device) {
    wire::Hello message;
    message.device = device;
    EXPECT_TRUE(message.codecs.push_back(static_cast<uint8_t>(plan::CodecId::kDithered)));
    return message;
  }

  wire::FrameBuilder builder_;
  std::vector<uint8_t> answer_;
  std::unique_ptr<CoordinatorEngine> engine_;
};

TEST_F(Engine, WelcomesADeviceAndOpensTheRoundOnceItIsStored) {
  send(hello("pump"));
  const auto welcome = answer();
  ASSERT_TRUE(welcome.has_value() && std::holds_alternative<wire::Welcome>(*welcome));
  EXPECT_FALSE(answer().has_value()) << "a plan before its round was stored";
  StoreRequest* request = engine_->poll_store(Instant{});
  ASSERT_NE(request, nullptr);
  ASSERT_TRUE(std::holds_alternative<OpenRound>(*request));
  engine_->handle_stored(Instant{}, Error::kOk);
  const auto plan = answer();
  ASSERT_TRUE(plan.has_value() && std::holds_alternative<wire::RoundPlan>(*plan));
}

TEST_F(Engine, ADeviceOfAnotherProtocolVersionIsToldBothRanges) {
  wire::Hello future = hello("pump");
  future.protocol_min = 40;
  future.protocol_max = 41;
  send(future);
  expect_refusal(wire::Reason::kVersion, "protocol 40 to 41");
  EXPECT_FALSE(answer().has_value());
  EXPECT_EQ(engine_->poll_close(), std::optional<SessionId>(1));
}

TEST_F(Engine, ANameThatIsNotTheCertificatesIsRefused) {
  send(hello("valve"));
  expect_refusal(wire::Reason::kIdentity, "valve");
}

TEST_F(Engine, ADeviceWithoutThePlannedCodecIsRefused) {
  wire::Hello poor = hello("pump");
  poor.codecs.clear();
  send(poor);
  expect_refusal(wire::Reason::kCodec, "dithered");
}

TEST_F(Engine, FramesBeforeHelloAreDroppedAndCounted) {
  send(wire::UpdateOffer{7, 1, 1, 100, 0});
  EXPECT_FALSE(answer().has_value());
  EXPECT_EQ(engine_->counters().frames_dropped, 1U);
}

TEST_F(Engine, FramesThatOnlyACoordinatorSendsAreRefused) {
  send(hello("pump"));
  ASSERT_TRUE(answer().has_value());
  send(wire::UpdateAck{1, wire::UpdateState::kDurable, 1});
  expect_refusal(wire::Reason::kMalformed, "UpdateAck");
}

TEST_F(Engine, BytesThatAreNoFrameAreRefusedWithWhatIsWrong) {
  send(hello("pump"));
  ASSERT_TRUE(answer().has_value());
  send_bytes(std::vector<uint8_t>(64, 0x5A));
  expect_refusal(wire::Reason::kMalformed, "RNL1");
  EXPECT_EQ(engine_->counters().frames_dropped, 1U);
}

TEST_F(Engine, UpdatesOfAnotherRunOrRoundAreRefusedByName) {
  send(hello("pump"));
  ASSERT_TRUE(answer().has_value());
  ASSERT_NE(engine_->poll_store(Instant{}), nullptr);
  engine_->handle_stored(Instant{}, Error::kOk);
  ASSERT_TRUE(answer().has_value());  // the plan
  send(wire::UpdateOffer{8, 1, 1, 100, 0});
  expect_refusal(wire::Reason::kUnknownRun, "another run");
  send(wire::UpdateOffer{7, 1, 9, 100, 0});
  expect_refusal(wire::Reason::kMalformed, "round 9");
  send(wire::UpdateOffer{7, 1, 1, 200ULL << 20, 0});
  expect_refusal(wire::Reason::kLimit, "limit");
}

// The update of a round as a device would send it: all of its parameters move by `by`.
std::vector<uint8_t> update_of(uint32_t round, uint64_t sequence, float by) {
  plan::ModelSpec model;
  EXPECT_TRUE(model.name.assign("tiny"));
  model.input = {400, 1, 1};
  model.classes = 2;
  plan::LayerSpec dense;
  dense.kind = plan::LayerKind::kDense;
  dense.units = 2;
  EXPECT_TRUE(model.layers.push_back(dense));
  const plan::ModelLayout layout = plan::make_layout(model).value();
  plan::CodecSpec exact;
  exact.codec = plan::CodecId::kFp32;
  std::vector<uint8_t> payloads(codec::encoded_update_bytes_max(exact, layout));
  wire::Update update;
  EXPECT_TRUE(
      codec::encode_update(exact, layout, std::vector<float>(layout.parameter_count, by), 1, payloads, update.tensors)
          .ok());
  for (const plan::TensorInfo& tensor : layout.tensors) {
    EXPECT_TRUE(update.tensor_names.push_back(tensor.name.view()));
  }
  update.run = 7;
  update.device = "pump";
  update.sequence = sequence;
  update.round = round;
  update.model_version = round;
  update.sample_count = 10;
  std::vector<uint8_t> memory(8192);
  const Result<ByteView> built = wire::build_update(update, memory);
  EXPECT_TRUE(built.ok());
  return {built->begin(), built->end()};
}

TEST_F(Engine, AWholeUpdateInItsOfferCountsAndTheNextDeltaFollowsItsPlanUnasked) {
  send(hello("pump"));
  const auto welcome = answer();
  ASSERT_TRUE(welcome.has_value());
  EXPECT_GT(std::get<wire::Welcome>(*welcome).offer_bytes_max, 0U);
  ASSERT_NE(engine_->poll_store(Instant{}), nullptr);
  engine_->handle_stored(Instant{}, Error::kOk);
  const auto first = answer();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(std::get<wire::RoundPlan>(*first).delta_from, 0U) << "it said that it holds nothing";

  const std::vector<uint8_t> update = update_of(1, 1, 0.25F);
  send(wire::UpdateOffer{7, 1, 1, update.size(), crc32c(update), update});
  for (int transactions = 0; engine_->poll_store(Instant{}) != nullptr; ++transactions) {
    ASSERT_LT(transactions, 4);
    engine_->handle_stored(Instant{}, Error::kOk);
  }
  bool durable = false;
  std::optional<wire::Message> message = answer();
  for (; message.has_value() && !std::holds_alternative<wire::RoundPlan>(*message); message = answer()) {
    const auto* ack = std::get_if<wire::UpdateAck>(&*message);
    durable = durable || (ack != nullptr && ack->state == wire::UpdateState::kDurable);
  }
  EXPECT_TRUE(durable);
  ASSERT_TRUE(message.has_value()) << "no plan for the second round";
  EXPECT_EQ(std::get<wire::RoundPlan>(*message).plan.round, 2U);
  EXPECT_EQ(std::get<wire::RoundPlan>(*message).delta_from, 1U);
  const auto chunk = answer();
  ASSERT_TRUE(chunk.has_value() && std::holds_alternative<wire::ModelChunk>(*chunk));
  EXPECT_EQ(std::get<wire::ModelChunk>(*chunk).base_version, 1U);
  EXPECT_FALSE(answer().has_value());

  // The plan is said again when the round is extended; the delta is not.
  engine_->handle_timeout(Instant{} + seconds(600));
  const auto again = answer();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(std::get<wire::RoundPlan>(*again).delta_from, 0U);
  EXPECT_FALSE(answer().has_value());
}

TEST_F(Engine, ADamagedUpdateInItsOfferIsRefusedAndMayComeAgain) {
  send(hello("pump"));
  ASSERT_TRUE(answer().has_value());
  ASSERT_NE(engine_->poll_store(Instant{}), nullptr);
  engine_->handle_stored(Instant{}, Error::kOk);
  ASSERT_TRUE(answer().has_value());
  std::vector<uint8_t> update = update_of(1, 1, 0.25F);
  const uint32_t checksum = crc32c(update);
  update[40] ^= 1U;
  send(wire::UpdateOffer{7, 1, 1, update.size(), checksum, update});
  expect_refusal(wire::Reason::kChecksum, "checksum");
  update[40] ^= 1U;
  send(wire::UpdateOffer{7, 1, 1, update.size(), checksum, update});
  ASSERT_NE(engine_->poll_store(Instant{}), nullptr) << "the right bytes wait for the disk";
}

TEST_F(Engine, AnExtendedRoundIsPlannedAgainWithItsNewDeadline) {
  send(hello("pump"));
  ASSERT_TRUE(answer().has_value());
  ASSERT_NE(engine_->poll_store(Instant{}), nullptr);
  engine_->handle_stored(Instant{}, Error::kOk);
  ASSERT_TRUE(answer().has_value());
  EXPECT_FALSE(answer().has_value());
  engine_->handle_timeout(Instant{} + seconds(600));
  const auto again = answer();
  ASSERT_TRUE(again.has_value() && std::holds_alternative<wire::RoundPlan>(*again));
  EXPECT_EQ(std::get<wire::RoundPlan>(*again).plan.round, 1U);
}

}  // namespace
}  // namespace runnel::coordinator
