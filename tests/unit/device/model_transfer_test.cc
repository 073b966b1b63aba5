// The model on its way to a device: stretches, breaks, deltas, and everything that may be wrong with a delta.
#include "device/engine/model_transfer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "coordinator/engine/model_messages.h"
#include "coordinator/engine/public_model.h"
#include "fleet/simulator/simulated_storage.h"
#include "runtime/base/rng.h"
#include "tests/unit/device/small_task.h"

namespace runnel::device {
namespace {

using Outcome = ModelTransfer::Outcome;

constexpr uint64_t kRun = 9;

// Versions 1.. of the small model, as a coordinator makes them, and its messages.
class Versions {
 public:
  Versions() : messages_(kRun, task_.spec, 1 << 20, true) {
    exact_.resize(task_.layout.parameter_count);
    for (float& value : exact_) value = static_cast<float>(0.3 * rng_.normal());
    model_ = {1, coordinator::on_downlink_grid(exact_)};
    messages_.set_model(model_);
  }
  void next() {
    for (float& value : exact_) value += static_cast<float>(0.02 * rng_.normal());
    coordinator::NextModel next = coordinator::next_public_model({}, model_, exact_);
    ASSERT_NE(next.delta.version, 0U);
    model_ = {next.delta.version, std::move(next.parameters)};
    deltas_.push_back(std::move(next.delta));
    messages_.set_model(model_);
  }
  uint64_t version() const { return model_.version; }
  std::vector<uint8_t> full() const { return {messages_.full().bytes.begin(), messages_.full().bytes.end()}; }
  coordinator::ModelMessages::Message message_for(uint64_t held) { return messages_.message_for(held, deltas_); }
  coordinator::ModelMessages& messages() { return messages_; }

  SmallTask task_;

 private:
  Rng rng_{11};
  std::vector<float> exact_;
  coordinator::ModelRecord model_;
  std::vector<coordinator::ModelDelta> deltas_;
  coordinator::ModelMessages messages_;
};

std::vector<uint8_t> bytes_of(ByteView view) {
  return {view.begin(), view.end()};
}

class Transfer : public testing::Test {
 protected:
  void want() { transfer_.want(kRun, versions_.version(), versions_.full().size()); }
  // Answers requests until there are none, `chunk_bytes` at a time. The outcome of the last chunk.
  Outcome fetch(size_t chunk_bytes = 100) {
    Outcome outcome = Outcome::kIgnored;
    while (const auto request = transfer_.poll_request()) outcome = answer(*request, chunk_bytes);
    return outcome;
  }
  Outcome answer(const wire::ModelRequest& request, size_t chunk_bytes) {
    const coordinator::ModelMessages::Message message = versions_.message_for(request.held_version);
    const uint64_t end = std::min<uint64_t>(message.bytes.size(), request.offset + request.bytes);
    Outcome outcome = Outcome::kIgnored;
    for (uint64_t at = request.offset; at < end; at += chunk_bytes) {
      const size_t bytes = static_cast<size_t>(std::min<uint64_t>(chunk_bytes, end - at));
      outcome = transfer_.handle_chunk(
          {versions_.version(), at, message.bytes.size(), message.bytes.subspan(at, bytes), message.base_version},
          why_);
      bytes_received_ += bytes;
    }
    return outcome;
  }
  Outcome give(ByteView message, uint64_t base) {
    return transfer_.handle_chunk({versions_.version(), 0, message.size(), message, base}, why_);
  }

  Versions versions_;
  ModelTransfer transfer_{256, 1 << 20, nullptr};
  Failure why_ = Error::kOk;
  uint64_t bytes_received_ = 0;
};

TEST_F(Transfer, BeginsWithTheFullModelAndGoesOnByDeltas) {
  want();
  EXPECT_EQ(fetch(), Outcome::kHeld);
  EXPECT_EQ(bytes_of(transfer_.held()), versions_.full());
  for (int round = 0; round < 10; ++round) {
    versions_.next();
    want();
    bytes_received_ = 0;
    EXPECT_EQ(fetch(), Outcome::kHeld);
    EXPECT_EQ(bytes_of(transfer_.held()), versions_.full()) << "byte for byte the message of the full model";
    EXPECT_LT(bytes_received_, versions_.full().size() / 4);
  }
}

TEST_F(Transfer, ABuildThatReadsNoDeltasAsksForWholeModels) {
  ModelTransfer transfer(1 << 16, 1 << 20, nullptr, {}, false);
  for (uint64_t version = 1; version <= 3; ++version) {
    transfer.want(kRun, version, versions_.full().size());
    const auto request = transfer.poll_request();
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(request->held_version, 0U);
    EXPECT_EQ(request->bytes, versions_.full().size());
    if (version > 1) {
      const std::vector<uint8_t> pushed = bytes_of(versions_.message_for(version - 1).bytes);
      EXPECT_EQ(transfer.handle_chunk({version, 0, pushed.size(), pushed, version - 1}, why_), Outcome::kIgnored);
    }
    ASSERT_EQ(transfer.handle_chunk({version, 0, versions_.full().size(), versions_.full(), 0}, why_), Outcome::kHeld);
    EXPECT_EQ(bytes_of(transfer.held()), versions_.full());
    EXPECT_EQ(transfer.delta_base_version(), 0U);
    versions_.next();
  }
}

TEST_F(Transfer, MissedRoundsComeAsOneDelta) {
  want();
  ASSERT_EQ(fetch(), Outcome::kHeld);
  for (int round = 0; round < 7; ++round) versions_.next();
  want();
  const auto request = transfer_.poll_request();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->held_version, 1U);
  EXPECT_EQ(answer(*request, 4096), Outcome::kHeld);
  EXPECT_EQ(bytes_of(transfer_.held()), versions_.full());
}

TEST_F(Transfer, GoesOnWhereTheLinkBroke) {
  want();
  for (const bool delta : {false, true}) {
    auto request = transfer_.poll_request();
    ASSERT_TRUE(request.has_value());
    request->bytes = 64;  // the rest of the answer is lost
    EXPECT_EQ(answer(*request, 40), Outcome::kMore);
    transfer_.handle_link_up();
    request = transfer_.poll_request();
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(request->offset, 64U);
    answer(*request, 40);
    fetch();
    EXPECT_EQ(bytes_of(transfer_.held()), versions_.full()) << delta;
    versions_.next();
    want();
  }
}

TEST_F(Transfer, AnotherMessageThanTheOneBegunStartsAnew) {
  want();
  ASSERT_EQ(fetch(), Outcome::kHeld);
  versions_.next();
  want();
  ASSERT_TRUE(transfer_.poll_request().has_value());
  const std::vector<uint8_t> delta = bytes_of(versions_.message_for(1).bytes);
  ASSERT_EQ(transfer_.handle_chunk({2, 0, delta.size(), ByteView(delta).first(50), 1}, why_), Outcome::kMore);
  // A coordinator that has lost its deltas goes on with the full model, from where it was asked to.
  const std::vector<uint8_t> full = versions_.full();
  ASSERT_EQ(transfer_.handle_chunk({2, 50, full.size(), ByteView(full).subspan(50, 100), 0}, why_), Outcome::kMore);
  const auto request = transfer_.poll_request();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->offset, 0U);
  EXPECT_EQ(give(full, 0), Outcome::kHeld);
  EXPECT_EQ(bytes_of(transfer_.held()), full);
}

TEST_F(Transfer, ADeltaToSomethingElseIsIgnored) {
  want();
  ASSERT_EQ(fetch(), Outcome::kHeld);
  const std::vector<uint8_t> before = bytes_of(transfer_.held());
  versions_.next();
  want();
  const std::vector<uint8_t> delta = bytes_of(versions_.message_for(1).bytes);
  EXPECT_EQ(give(delta, 7), Outcome::kIgnored) << "a base that is not held";
  EXPECT_EQ(transfer_.handle_chunk({3, 0, delta.size(), delta, 1}, why_), Outcome::kIgnored) << "not asked for";
  EXPECT_EQ(transfer_.handle_chunk({2, 0, 1 << 20, delta, 1}, why_), Outcome::kRefused) << "longer than the model";
  EXPECT_EQ(bytes_of(transfer_.held()), before);
}

// Whatever is wrong with a delta: words, and then the model in full.
TEST_F(Transfer, ADeltaThatDoesNotHoldIsReplacedByTheFullModel) {
  struct Case {
    const char* words;
    std::function<void(wire::ModelDelta&)> damage;
  };
  static const std::vector<uint8_t> garbage(40, 0xA7);
  const std::vector<Case> cases = {
      {"of run 10", [](auto& d) { d.run = 10; }},
      {"from version 2 to 3", [](auto& d) { d.base_version = 2, d.model_version = 3; }},
      {"from version 1 to 3", [](auto& d) { d.model_version = 3; }},
      {"does not lead to the coordinator's model", [](auto& d) { d.checksum ^= 1; }},
      {"does not lead to the coordinator's model", [](auto& d) { d.multiples.scale *= 2.0F; }},
      {"a delta of 290 parameters for a model that shares 291", [](auto& d) { d.multiples.count = 290; }},
      {"is not a power of two", [](auto& d) { d.multiples.scale = 0.3F; }},
      {"is not finite", [](auto& d) { d.multiples.scale = std::numeric_limits<float>::quiet_NaN(); }},
      {"delta", [](auto& d) { d.multiples.payload = garbage; }},
      {"delta", [](auto& d) { d.multiples.payload = d.multiples.payload.first(9); }},
      {"does not lead to the coordinator's model", [](auto& d) { d.multiples.payload = {}; }},
  };
  for (const Case& each : cases) {
    Versions versions;
    ModelTransfer transfer(1 << 16, 1 << 20, nullptr);
    Failure why = Error::kOk;
    transfer.want(kRun, 1, versions.full().size());
    ASSERT_EQ(transfer.handle_chunk({1, 0, versions.full().size(), versions.full(), 0}, why), Outcome::kHeld);
    versions.next();
    const std::vector<uint8_t> good = bytes_of(versions.message_for(1).bytes);
    wire::ModelDelta delta;
    ASSERT_TRUE(wire::decode_delta(good, delta).ok());
    each.damage(delta);
    std::vector<uint8_t> memory(delta.multiples.payload.size() + wire::delta_overhead_bytes_max());
    const std::vector<uint8_t> bad = bytes_of(*wire::build_delta(delta, memory));
    transfer.want(kRun, 2, versions.full().size());
    EXPECT_EQ(transfer.handle_chunk({2, 0, bad.size(), bad, 1}, why), Outcome::kFallback) << each.words;
    EXPECT_NE(std::string(why.text()).find(each.words), std::string::npos) << why.text();
    const auto request = transfer.poll_request();
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(request->held_version, 0U);
    EXPECT_EQ(transfer.handle_chunk({2, 0, versions.full().size(), versions.full(), 0}, why), Outcome::kHeld);
  }
}

TEST_F(Transfer, AFullModelThatDoesNotHoldIsRefused) {
  want();
  ASSERT_TRUE(transfer_.poll_request().has_value());
  std::vector<uint8_t> bad = versions_.full();
  bad[4] = 'X';
  EXPECT_EQ(give(bad, 0), Outcome::kRefused);
  EXPECT_FALSE(transfer_.holds_any());
  EXPECT_FALSE(transfer_.poll_request().has_value());
}

// --- the anchor ---

TEST_F(Transfer, AFullModelIsFetchedToItsEndWhileVersionsPass) {
  want();
  auto request = transfer_.poll_request();
  ASSERT_TRUE(request.has_value());
  ASSERT_EQ(answer(*request, 100), Outcome::kMore);
  const std::vector<uint8_t> first = versions_.full();
  uint64_t at = request->bytes;
  while (at < first.size()) {
    versions_.next();
    want();
    request = transfer_.poll_request();
    ASSERT_TRUE(request.has_value());
    EXPECT_EQ(request->model_version, 1U);
    EXPECT_EQ(request->offset, at);
    EXPECT_EQ(request->held_version, 0U);
    const auto kept = versions_.messages().older(1, 0);
    ASSERT_TRUE(kept.has_value());
    EXPECT_EQ(bytes_of(kept->bytes), first);
    const ByteView part = kept->bytes.subspan(at, request->bytes);
    const Outcome outcome = transfer_.handle_chunk({1, at, first.size(), part, 0}, why_);
    at += part.size();
    EXPECT_EQ(outcome, at < first.size() ? Outcome::kMore : Outcome::kHeld) << why_.text();
  }
  EXPECT_TRUE(transfer_.holds(kRun, 1));
  EXPECT_GT(versions_.version(), 3U);
  // From there one delta leads to the newest.
  request = transfer_.poll_request();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->model_version, versions_.version());
  EXPECT_EQ(request->held_version, 1U);
  answer(*request, 4096);
  fetch();
  EXPECT_EQ(bytes_of(transfer_.held()), versions_.full());
}

TEST_F(Transfer, WithoutTheVersionThatItBeganWithItBeginsWithTheNewest) {
  want();
  ASSERT_EQ(answer(*transfer_.poll_request(), 100), Outcome::kMore);
  EXPECT_FALSE(transfer_.give_up_anchor()) << "it is the newest";
  versions_.next();
  want();
  versions_.next();
  want();
  ASSERT_TRUE(transfer_.give_up_anchor());
  const auto request = transfer_.poll_request();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->model_version, 3U);
  EXPECT_EQ(request->offset, 0U);
  answer(*request, 4096);
  EXPECT_EQ(fetch(), Outcome::kHeld);
  EXPECT_EQ(bytes_of(transfer_.held()), versions_.full());
}

TEST_F(Transfer, NothingReceivedIsNoAnchorAndNeitherIsAnotherRun) {
  want();
  ASSERT_TRUE(transfer_.poll_request().has_value());
  versions_.next();
  want();
  auto request = transfer_.poll_request();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->model_version, 2U);
  ASSERT_EQ(answer(*request, 100), Outcome::kMore);
  transfer_.want(kRun + 1, 3, versions_.full().size());
  request = transfer_.poll_request();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->model_version, 3U);
  EXPECT_EQ(request->offset, 0U);
}

TEST(OlderModels, TheLeastRecentlyAskedForGoesFirst) {
  Versions sizes;
  const size_t bytes = sizes.full().size();
  SmallTask task;
  std::vector<float> parameters(task.layout.parameter_count);
  coordinator::ModelMessages messages(kRun, task.spec, 2 * bytes + bytes / 2, true);
  const auto give = [&](uint64_t version) {
    messages.set_model({version, parameters});
    EXPECT_EQ(messages.message_for(0, {}).base_version, 0U);
  };
  give(1);
  give(2);
  give(3);
  EXPECT_TRUE(messages.older(1, 0).has_value());
  give(4);  // no room for three beside it: 2 was asked for before 1
  EXPECT_TRUE(messages.older(1, 0).has_value());
  EXPECT_FALSE(messages.older(2, 0).has_value());
  EXPECT_TRUE(messages.older(3, 0).has_value());
  EXPECT_LE(messages.cached_bytes(), 2 * bytes + bytes / 2);
  // What nobody asked for is not kept, and the newest is not an older one.
  messages.set_model({5, parameters});
  messages.set_model({6, parameters});
  EXPECT_FALSE(messages.older(5, 0).has_value());
  EXPECT_FALSE(messages.older(6, 0).has_value());
}

TEST(OlderModels, AreNotKeptWhereNothingLeadsOnFromThem) {
  SmallTask task;
  std::vector<float> parameters(task.layout.parameter_count);
  coordinator::ModelMessages messages(kRun, task.spec, 1 << 20);
  messages.set_model({1, parameters});
  static_cast<void>(messages.message_for(0, {}));
  messages.set_model({2, parameters});
  EXPECT_FALSE(messages.older(1, 0).has_value());
  EXPECT_EQ(messages.cached_bytes(), 0U);
}

// --- over restarts ---

TEST(KeptModel, ARestartedDeviceAsksForADelta) {
  Versions versions;
  fleet::SimulatedStorage flash(64 * 1024);
  Failure why = Error::kOk;
  {
    ModelKeeper keeper(flash);
    ModelTransfer transfer(1 << 16, 1 << 20, &keeper);
    EXPECT_EQ(transfer.restore().error(), Error::kNotFound);
    transfer.want(kRun, 1, versions.full().size());
    ASSERT_EQ(transfer.handle_chunk({1, 0, versions.full().size(), versions.full(), 0}, why), Outcome::kHeld);
    ASSERT_TRUE(transfer.keep().ok());
  }
  ModelKeeper keeper(flash);
  ModelTransfer transfer(1 << 16, 1 << 20, &keeper);
  ASSERT_TRUE(transfer.restore().ok());
  EXPECT_TRUE(transfer.holds(kRun, 1));
  versions.next();
  transfer.want(kRun, 2, versions.full().size());
  EXPECT_EQ(transfer.poll_request()->held_version, 1U);
  // Of another run, what is held is worth nothing.
  transfer.want(kRun + 1, 2, versions.full().size());
  EXPECT_EQ(transfer.poll_request()->held_version, 0U);
}

TEST(KeptModel, APowerCutLeavesTheNewOneOrTheOneBefore) {
  const std::vector<uint8_t> models[] = {std::vector<uint8_t>(700, 1), std::vector<uint8_t>(900, 2),
                                         std::vector<uint8_t>(800, 3)};
  size_t before = 0;
  size_t after = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    fleet::SimulatedStorage flash(4096);
    ModelKeeper keeper(flash);
    ASSERT_TRUE(keeper.save({kRun, 1}, models[0]).ok());
    ASSERT_TRUE(keeper.save({kRun, 2}, models[1]).ok());
    // The third one's writes, as the keeper makes them, up to some point: a storage that fills up ends it there.
    class Cut final : public journal::Storage {
     public:
      Cut(fleet::SimulatedStorage& under, uint64_t writes) : under_(under), writes_(writes) {}
      uint64_t size_bytes() const override { return under_.size_bytes(); }
      Error read(uint64_t offset, MutableByteView into) override { return under_.read(offset, into); }
      Error write(uint64_t offset, ByteView bytes) override {
        return writes_ == 0 ? Error::kIo : (--writes_, under_.write(offset, bytes));
      }
      Error sync() override { return writes_ == 0 ? Error::kIo : under_.sync(); }

     private:
      fleet::SimulatedStorage& under_;
      uint64_t writes_;
    } cut(flash, rng.below(4));
    ModelKeeper interrupted(cut);
    wire::Reassembly ignored;
    ASSERT_TRUE(interrupted.load(ignored, 1 << 20).ok());
    const bool said = interrupted.save({kRun, 3}, models[2]).ok();
    flash.cut_power(rng);
    ModelKeeper again(flash);
    wire::Reassembly message;
    const Result<ModelKeeper::Kept> kept = again.load(message, 1 << 20);
    ASSERT_TRUE(kept.ok()) << seed << ": " << kept.failure().text();
    ASSERT_TRUE(kept->version == 3 || (kept->version == 2 && !said)) << seed;
    EXPECT_EQ(bytes_of(message.bytes()), models[kept->version - 1]);
    ++(kept->version == 3 ? after : before);
  }
  EXPECT_GT(before, 20U);
  EXPECT_GT(after, 20U);
}

TEST(KeptModel, WhatIsNoModelIsNothingHeld) {
  fleet::SimulatedStorage flash(4096);
  const std::vector<uint8_t> garbage(4096, 0x5A);
  ASSERT_EQ(flash.write(0, garbage), Error::kOk);
  ModelKeeper keeper(flash);
  ModelTransfer transfer(1 << 16, 1 << 20, &keeper);
  EXPECT_EQ(transfer.restore().error(), Error::kCorrupt);
  EXPECT_FALSE(transfer.holds_any());
  // Whole, but no Model message; then one that is rotten.
  ASSERT_TRUE(keeper.save({kRun, 1}, std::vector<uint8_t>(100, 7)).ok());
  EXPECT_FALSE(transfer.restore().ok());
  EXPECT_FALSE(transfer.holds_any());
  EXPECT_EQ(keeper.save({kRun, 1}, std::vector<uint8_t>(4096, 7)).error(), Error::kStorageFull);
}

}  // namespace
}  // namespace runnel::device
