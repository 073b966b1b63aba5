// A coordinator's engine over a real store, and devices that say what a test tells them to say.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/engine/coordinator_engine.h"
#include "coordinator/store/sqlite_store.h"
#include "runtime/base/crc32c.h"
#include "runtime/codec/update_codec.h"
#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {

inline constexpr uint64_t kPlayedRun = 7;

// One dense layer: 2 * (inputs + 1) parameters.
inline plan::ModelSpec dense_model(uint32_t inputs) {
  plan::ModelSpec model;
  EXPECT_TRUE(model.name.assign("tiny"));
  model.input = {inputs, 1, 1};
  model.classes = 2;
  plan::LayerSpec dense;
  dense.kind = plan::LayerKind::kDense;
  dense.units = 2;
  EXPECT_TRUE(model.layers.push_back(dense));
  return model;
}

struct MadeUpdate {
  std::string device;
  uint32_t round = 1;
  uint64_t version = 1;
  uint64_t sequence = 1;
  float by = 0.25F;  // every parameter moves so far
  uint32_t sample_count = 10;
};

// The message of such an update, exact.
inline std::vector<uint8_t> message_of(const MadeUpdate& made, const plan::ModelLayout& layout) {
  plan::CodecSpec exact;
  exact.codec = plan::CodecId::kFp32;
  std::vector<uint8_t> payloads(codec::encoded_update_bytes_max(exact, layout));
  wire::Update update;
  EXPECT_TRUE(codec::encode_update(exact, layout, std::vector<float>(layout.parameter_count, made.by), 1, payloads,
                                   update.tensors)
                  .ok());
  for (const plan::TensorInfo& tensor : layout.tensors) {
    EXPECT_TRUE(update.tensor_names.push_back(tensor.name.view()));
  }
  update.run = kPlayedRun;
  update.device = made.device;
  update.sequence = made.sequence;
  update.round = made.round;
  update.model_version = made.version;
  update.sample_count = made.sample_count;
  update.mean_loss = 0.5F;
  std::vector<uint8_t> memory(payloads.size() + 4096);
  const Result<ByteView> built = wire::build_update(update, memory);
  EXPECT_TRUE(built.ok());
  return {built->begin(), built->end()};
}

// What a device was told, in order.
struct Told {
  std::vector<plan::RoundPlan> plans;
  std::vector<wire::UpdateAck> acks;
  struct Refused {
    wire::Reason reason;
    uint64_t sequence;
    uint32_t retry_after_ms;
    std::string detail;
  };
  std::vector<Refused> refusals;
  int byes = 0;

  uint64_t durable() const {  // newest sequence that was acknowledged for good
    uint64_t newest = 0;
    for (const wire::UpdateAck& ack : acks)
      if (ack.state == wire::UpdateState::kDurable) newest = std::max(newest, ack.sequence);
    return newest;
  }
};

class PlayedFleet : public testing::Test {
 public:  // a test may play a second fleet
  void TestBody() override {}

  void begin(uint32_t inputs = 10) {
    options_.model = dense_model(inputs);
    options_.round.run = kPlayedRun;
    options_.round.layout = plan::make_layout(options_.model).value();
    options_.round.plan.downlink.bits = 0.0;
    Result<std::unique_ptr<SqliteStore>> opened = SqliteStore::open(folder_.file("fleet.db"), true);
    ASSERT_TRUE(opened.ok());
    store_ = std::move(*opened);
    const ModelRecord first{1, std::vector<float>(options_.round.layout.parameter_count)};
    ASSERT_TRUE(store_->create_run({kPlayedRun, "plan", "model"}, first).ok());
    start();
  }
  // The coordinator starts from its store; whoever was connected is not any more.
  void start() {
    options_.started_at = unix_s();
    Result<Snapshot> snapshot = store_->load();
    ASSERT_TRUE(snapshot.ok()) << snapshot.failure().text();
    Result<RoundEngine> rounds =
        RoundEngine::create(options_.round, std::move(*snapshot), store_->ledger().value(), now_);
    ASSERT_TRUE(rounds.ok()) << rounds.failure().text();
    sessions_.clear();
    engine_ = std::make_unique<CoordinatorEngine>(options_, std::move(rounds).value());
  }
  int64_t unix_s() const { return 1'700'000'000 + to_ms(now_.time_since_epoch()) / 1000; }

  void come(const std::string& device, bool unavailable = false) {
    if (!sessions_.contains(device)) {
      sessions_[device] = ++newest_session_;
      names_[newest_session_] = device;
      engine_->handle_session_opened(now_, newest_session_, device);
    }
    wire::Hello hello;
    hello.device = device;
    hello.unavailable = unavailable;
    EXPECT_TRUE(hello.codecs.push_back(static_cast<uint8_t>(plan::CodecId::kDithered)));
    say(device, hello);
  }
  void leave(const std::string& device) {
    engine_->handle_session_closed(now_, sessions_.at(device));
    sessions_.erase(device);
    turn();
  }
  void say(const std::string& device, const wire::Message& message) {
    const ByteView bytes = builder_.build(message);
    engine_->handle_frame(now_, sessions_.at(device), std::vector<uint8_t>(bytes.begin(), bytes.end()));
    if (!in_one_turn_) turn();
  }
  std::vector<uint8_t> message(const MadeUpdate& made) const { return message_of(made, options_.round.layout); }
  static wire::UpdateOffer offer_of(const MadeUpdate& made, const std::vector<uint8_t>& bytes) {
    wire::UpdateOffer offer;
    offer.run = kPlayedRun;
    offer.sequence = made.sequence;
    offer.round = made.round;
    offer.total_bytes = bytes.size();
    offer.checksum = crc32c(bytes);
    offer.model_version = made.version;
    return offer;
  }
  // All of it within its offer.
  void send(const MadeUpdate& made) {
    const std::vector<uint8_t> bytes = message(made);
    wire::UpdateOffer offer = offer_of(made, bytes);
    offer.payload = bytes;
    say(made.device, offer);
  }
  void send_bytes(const MadeUpdate& made, uint64_t begin, uint64_t end) {
    const std::vector<uint8_t> bytes = message(made);
    for (uint64_t at = begin; at < end; at += 4096) {
      say(made.device,
          wire::UpdateChunk{made.sequence, at, ByteView(bytes).subspan(at, std::min<uint64_t>(4096, end - at))});
    }
  }
  void pass(Duration time) {
    // In steps, as timers come due.
    int steps = 0;
    for (const Instant end = now_ + time; now_ < end;) {
      ASSERT_LT(++steps, 10'000) << "a timer that never stops";
      now_ = std::max(now_, std::min(end, engine_->next_timeout()));
      engine_->handle_timeout(now_);
      turn();
    }
  }
  // Stores what is to be stored and sends what is to be sent.
  void turn() {
    for (;;) {
      deliver();
      StoreRequest* request = engine_->poll_store(now_);
      if (request == nullptr) return;
      requests_.push_back(request->index());
      const Failure outcome = disk_full_ ? fail(Error::kStorageFull, "full") : carry_out(*request, *store_, unix_s());
      ASSERT_TRUE(outcome.ok() || disk_full_) << outcome.text();
      engine_->handle_stored(now_, outcome);
    }
  }
  void deliver() {
    while (const auto frame = engine_->poll_frame(now_)) {
      frame_.assign(frame->bytes.begin(), frame->bytes.end());
      const Result<wire::Message> decoded = wire::decode_frame(frame_);
      ASSERT_TRUE(decoded.ok());
      Told& told = told_[names_.at(frame->session)];
      if (const auto* plan = std::get_if<wire::RoundPlan>(&*decoded)) told.plans.push_back(plan->plan);
      if (const auto* ack = std::get_if<wire::UpdateAck>(&*decoded)) told.acks.push_back(*ack);
      if (const auto* refusal = std::get_if<wire::Refusal>(&*decoded))
        told.refusals.push_back(
            {refusal->reason, refusal->sequence, refusal->retry_after_ms, std::string(refusal->detail)});
      if (std::holds_alternative<wire::Bye>(*decoded)) ++told.byes;
    }
  }
  size_t count_requests(size_t kind) const {
    return static_cast<size_t>(std::count(requests_.begin(), requests_.end(), kind));
  }
  uint32_t open_round() const { return engine_->rounds().round(); }
  uint32_t closed() const { return engine_->rounds().rounds_closed(); }
  float parameter() const { return engine_->rounds().model().parameters.at(0); }

  static constexpr size_t kAcceptRequest = 2, kCloseRequest = 3, kSaveRequest = 4;

  TempFolder folder_;
  CoordinatorOptions options_;
  Instant now_ = Instant{} + seconds(1000);
  std::unique_ptr<SqliteStore> store_;
  std::unique_ptr<CoordinatorEngine> engine_;
  std::map<std::string, SessionId> sessions_;
  std::map<SessionId, std::string> names_;
  SessionId newest_session_ = 0;
  std::map<std::string, Told> told_;
  std::vector<size_t> requests_;  // kinds of transactions, in order
  bool disk_full_ = false;
  bool in_one_turn_ = false;  // what is said waits for turn()
  wire::FrameBuilder builder_;
  std::vector<uint8_t> frame_;
};

}  // namespace runnel::coordinator
