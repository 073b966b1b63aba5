// How the coordinator's engine answers who asks for the model: in full, by a delta, again where it broke off, and the
// same after a restart.
#include <gtest/gtest.h>

#include "coordinator/engine/coordinator_engine.h"
#include "runtime/base/rng.h"

namespace runnel::coordinator {
namespace {

constexpr uint32_t kParameters = 1000;

class ModelRequests : public testing::Test {
 protected:
  ModelRequests() {
    EXPECT_TRUE(options_.model.name.assign("thousand"));
    options_.model.input = {99, 1, 1};
    options_.model.classes = 10;
    plan::LayerSpec dense;
    dense.kind = plan::LayerKind::kDense;
    dense.units = 10;
    EXPECT_TRUE(options_.model.layers.push_back(dense));
    options_.round.run = 7;
    options_.round.layout = plan::make_layout(options_.model).value();
    options_.model_chunk_bytes = 100;
    std::vector<float> exact(kParameters);
    Rng rng(4);
    for (float& value : exact) value = static_cast<float>(0.2 * rng.normal());
    snapshot_.model = {1, on_downlink_grid(exact)};
    for (uint32_t round = 1; round <= 5; ++round) {
      for (float& value : exact) value += static_cast<float>(0.02 * rng.normal());
      NextModel next = next_public_model({}, snapshot_.model, exact);
      snapshot_.model = {round + 1, std::move(next.parameters)};
      snapshot_.deltas.push_back(std::move(next.delta));
      snapshot_.rounds_closed = round;
      RoundHistory closed;
      closed.result.round = round;
      snapshot_.history.push_back(closed);
    }
    snapshot_.exact = exact;
    start();
  }

  // As a coordinator that has just started.
  void start() {
    Result<RoundEngine> rounds = RoundEngine::create(options_.round, snapshot_, {}, Instant{});
    ASSERT_TRUE(rounds.ok()) << rounds.failure().text();
    engine_ = std::make_unique<CoordinatorEngine>(options_, std::move(rounds).value());
    engine_->handle_session_opened(Instant{}, 1, "pump");
    wire::Hello hello;
    hello.device = "pump";
    ASSERT_TRUE(hello.codecs.push_back(static_cast<uint8_t>(plan::CodecId::kDithered)));
    send(hello);
    ASSERT_NE(engine_->poll_store(Instant{}), nullptr);
    engine_->handle_stored(Instant{}, Error::kOk);
    while (answer().has_value()) {
    }
  }
  void send(const wire::Message& message) {
    const ByteView bytes = builder_.build(message);
    engine_->handle_frame(Instant{}, 1, std::vector<uint8_t>(bytes.begin(), bytes.end()));
  }
  std::optional<wire::Message> answer() {
    const auto frame = engine_->poll_frame(Instant{});
    if (!frame.has_value()) return std::nullopt;
    answer_.assign(frame->bytes.begin(), frame->bytes.end());
    return wire::decode_frame(answer_).value();
  }
  struct Received {
    uint64_t base_version = 0;
    uint64_t total_bytes = 0;
    uint64_t first = UINT64_MAX;
    std::vector<uint8_t> bytes;
  };
  Received received() {
    Received all;
    while (const auto message = answer()) {
      const auto* chunk = std::get_if<wire::ModelChunk>(&*message);
      EXPECT_NE(chunk, nullptr) << wire::message_name(*message);
      if (chunk == nullptr) break;
      if (all.bytes.empty()) all.first = chunk->offset;
      EXPECT_EQ(chunk->offset, all.first + all.bytes.size());
      all.base_version = chunk->base_version;
      all.total_bytes = chunk->total_bytes;
      all.bytes.insert(all.bytes.end(), chunk->payload.begin(), chunk->payload.end());
    }
    return all;
  }

  CoordinatorOptions options_;
  Snapshot snapshot_;
  wire::FrameBuilder builder_;
  std::vector<uint8_t> answer_;
  std::unique_ptr<CoordinatorEngine> engine_;
};

TEST_F(ModelRequests, WhoHoldsAnOlderVersionGetsTheDelta) {
  send(wire::ModelRequest{7, 6, 0, 4000, 2});
  const Received delta = received();
  EXPECT_EQ(delta.base_version, 2U);
  EXPECT_EQ(delta.bytes.size(), delta.total_bytes) << "as far as it goes";
  EXPECT_LT(delta.total_bytes, 700U);

  send(wire::ModelRequest{7, 6, 0, 4000, 0});
  const Received full = received();
  EXPECT_EQ(full.base_version, 0U);
  EXPECT_EQ(full.bytes.size(), 4000U);
}

TEST_F(ModelRequests, ATransferGoesOnAfterTheCoordinatorsRestart) {
  send(wire::ModelRequest{7, 6, 0, 4000, 1});
  const Received whole = received();
  ASSERT_EQ(whole.base_version, 1U);
  start();
  send(wire::ModelRequest{7, 6, 200, 4000, 1});
  const Received rest = received();
  EXPECT_EQ(rest.base_version, 1U);
  EXPECT_EQ(rest.total_bytes, whole.total_bytes);
  EXPECT_EQ(rest.bytes, std::vector<uint8_t>(whole.bytes.begin() + 200, whole.bytes.end()));
}

TEST_F(ModelRequests, StretchesAskedForAheadFollowEachOther) {
  send(wire::ModelRequest{7, 6, 0, 300, 3});
  send(wire::ModelRequest{7, 6, 300, 300, 3});
  const Received delta = received();
  EXPECT_EQ(delta.first, 0U);
  EXPECT_EQ(delta.bytes.size(), std::min<uint64_t>(600, delta.total_bytes));
  // One message, whatever the asker says that it holds meanwhile.
  send(wire::ModelRequest{7, 6, 0, 300, 0});
  send(wire::ModelRequest{7, 6, 300, 300, 99});
  EXPECT_EQ(received().bytes.size(), 600U);
}

TEST_F(ModelRequests, BeyondTheEndItBeginsAnew) {
  send(wire::ModelRequest{7, 6, 3000, 500, 4});  // of a full model that was begun before
  const Received delta = received();
  EXPECT_EQ(delta.base_version, 4U);
  EXPECT_EQ(delta.first, 0U);
}

TEST_F(ModelRequests, WithoutItsDeltasTheCoordinatorSendsTheModel) {
  snapshot_.deltas.erase(snapshot_.deltas.begin() + 2);
  start();
  send(wire::ModelRequest{7, 6, 0, 100, 2});
  EXPECT_EQ(received().base_version, 0U) << "one in between is missing";
  send(wire::ModelRequest{7, 6, 0, 100, 4});
  EXPECT_EQ(received().base_version, 4U);
  snapshot_.deltas.pop_back();
  start();
  send(wire::ModelRequest{7, 6, 0, 100, 5});
  EXPECT_EQ(received().base_version, 0U) << "they do not lead to the newest";
}

TEST_F(ModelRequests, AnExactModelOfAnotherSizeIsCorrupt) {
  snapshot_.exact.pop_back();
  EXPECT_EQ(RoundEngine::create(options_.round, snapshot_, {}, Instant{}).error(), Error::kCorrupt);
}

}  // namespace
}  // namespace runnel::coordinator
