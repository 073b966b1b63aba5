// A device that has nothing to do is told when to come back, and what that means for the rounds.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "coordinator/engine/coordinator_engine.h"

namespace runnel::coordinator {
namespace {

class RestTest : public testing::Test {
 protected:
  // Rounds have lasted 100 s so far.
  void start(uint32_t cohort) {
    CoordinatorOptions options;
    EXPECT_TRUE(options.model.name.assign("tiny"));
    options.model.input = {40, 1, 1};
    options.model.classes = 2;
    plan::LayerSpec dense;
    dense.kind = plan::LayerKind::kDense;
    dense.units = 2;
    EXPECT_TRUE(options.model.layers.push_back(dense));
    options.round.run = 7;
    options.round.layout = plan::make_layout(options.model).value();
    options.round.plan.cohort = cohort;
    options.round.plan.pace.come_back = true;
    Snapshot snapshot;
    snapshot.model = {2, std::vector<float>(options.round.layout.parameter_count)};
    snapshot.rounds_closed = 1;
    snapshot.history.resize(1);
    snapshot.history[0].result.round = 1;
    snapshot.history[0].result.seconds = 100.0;
    Result<RoundEngine> rounds = RoundEngine::create(options.round, std::move(snapshot), {}, now_);
    ASSERT_TRUE(rounds.ok());
    engine_ = std::make_unique<CoordinatorEngine>(options, std::move(rounds).value());
  }
  void come(SessionId session, const std::string& name) {
    if (names_.emplace(session, name).second) engine_->handle_session_opened(now_, session, name);
    wire::Hello hello;
    hello.device = name;
    EXPECT_TRUE(hello.codecs.push_back(static_cast<uint8_t>(plan::CodecId::kDithered)));
    const ByteView bytes = builder_.build(hello);
    engine_->handle_frame(now_, session, std::vector<uint8_t>(bytes.begin(), bytes.end()));
    turn();
  }
  // Stores what is to be stored and sends what is to be sent.
  void turn() {
    for (;;) {
      while (const auto frame = engine_->poll_frame(now_)) {
        answer_.assign(frame->bytes.begin(), frame->bytes.end());
        const Result<wire::Message> message = wire::decode_frame(answer_);
        if (const auto* bye = std::get_if<wire::Bye>(&*message)) byes_[frame->session] = bye->come_back_ms;
        if (std::holds_alternative<wire::RoundPlan>(*message)) ++plans_[frame->session];
      }
      if (engine_->poll_store(now_) == nullptr) return;
      engine_->handle_stored(now_, Error::kOk);
    }
  }
  void pass(Duration time) {
    now_ += time;
    engine_->handle_timeout(now_);
    turn();
  }

  Instant now_{};
  wire::FrameBuilder builder_;
  std::vector<uint8_t> answer_;
  std::unique_ptr<CoordinatorEngine> engine_;
  std::map<SessionId, std::string> names_;
  std::map<SessionId, uint32_t> byes_;  // come_back_ms, by session
  std::map<SessionId, int> plans_;
};

TEST_F(RestTest, WhoIsNotDrawnMayGoAndHearsWhenToReturn) {
  start(1);
  come(1, "pump");  // the round opens with it
  EXPECT_EQ(plans_[1], 1);
  pass(seconds(10));
  come(2, "valve");
  ASSERT_TRUE(byes_.contains(2));
  EXPECT_GE(byes_[2], 90'000U);
  EXPECT_LE(byes_[2], 90'000U * 5 / 4);
  EXPECT_FALSE(byes_.contains(1));  // it has work
  EXPECT_EQ(engine_->rounds().away_count(), 1U);
}

TEST_F(RestTest, WhoReturnsEarlyIsWelcomeAndGoesAgain) {
  start(1);
  come(1, "pump");
  come(2, "valve");
  ASSERT_TRUE(byes_.contains(2));
  byes_.clear();
  pass(seconds(30));
  come(2, "valve");
  EXPECT_TRUE(byes_.contains(2));
  EXPECT_LE(byes_[2], 70'000U * 5 / 4);
  EXPECT_EQ(engine_->rounds().away_count(), 1U);
}

TEST_F(RestTest, WhoDoesNotReturnIsNoLongerExpected) {
  start(1);
  come(1, "pump");
  come(2, "valve");
  EXPECT_EQ(engine_->rounds().selectable_count(), 2U);  // it would be drawn for the next round
  pass(seconds(400));
  EXPECT_EQ(engine_->rounds().away_count(), 0U);
  EXPECT_EQ(engine_->rounds().selectable_count(), 1U);
}

TEST_F(RestTest, NobodyGoesWhenTheRoundIsAboutToEnd) {
  start(1);
  come(1, "pump");
  pass(seconds(95));
  come(2, "valve");
  EXPECT_FALSE(byes_.contains(2));
}

}  // namespace
}  // namespace runnel::coordinator
