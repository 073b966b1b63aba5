// Ten thousand devices at once: what they may take of the coordinator's memory, connected and uploading.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <queue>
#include <set>

#include "coordinator/engine/coordinator_engine.h"
#include "runtime/base/crc32c.h"
#include "runtime/codec/update_codec.h"

namespace {

std::atomic<int64_t> heap_bytes = 0;

}  // namespace

// Counts what is allocated, with the size in front of it. Not inlined: gcc would otherwise see malloc's memory given to
// delete, and warn.
#define NOT_INLINED __attribute__((noinline))
constexpr size_t kFront = alignof(std::max_align_t);
NOT_INLINED void* operator new(size_t bytes) {
  auto* memory = static_cast<unsigned char*>(std::malloc(bytes + kFront));
  if (memory == nullptr) std::abort();
  *reinterpret_cast<size_t*>(memory) = bytes;
  heap_bytes += static_cast<int64_t>(bytes);
  return memory + kFront;
}
NOT_INLINED void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  auto* begin = static_cast<unsigned char*>(memory) - kFront;
  heap_bytes -= static_cast<int64_t>(*reinterpret_cast<size_t*>(begin));
  std::free(begin);
}
NOT_INLINED void operator delete(void* memory, size_t) noexcept {
  operator delete(memory);
}
NOT_INLINED void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  return operator new(bytes);
}
NOT_INLINED void operator delete(void* memory, const std::nothrow_t&) noexcept {
  operator delete(memory);
}

namespace runnel::coordinator {
namespace {

constexpr uint32_t kDevices = 10'000;
constexpr uint64_t kRun = 7;

class Crowd {
 public:
  Crowd(uint32_t inputs, uint64_t uploads_bytes_max) {
    EXPECT_TRUE(options_.model.name.assign("tiny"));
    options_.model.input = {inputs, 1, 1};
    options_.model.classes = 2;
    plan::LayerSpec dense;
    dense.kind = plan::LayerKind::kDense;
    dense.units = 2;
    EXPECT_TRUE(options_.model.layers.push_back(dense));
    options_.round.run = kRun;
    options_.round.layout = plan::make_layout(options_.model).value();
    options_.round.plan.min_devices = kDevices;
    options_.round.plan.deadline_seconds = 1e6;
    options_.round.plan.downlink.bits = 0.0;
    options_.uploads_bytes_max = uploads_bytes_max;
    Snapshot snapshot;
    snapshot.model = {1, std::vector<float>(options_.round.layout.parameter_count)};
    Result<RoundEngine> rounds = RoundEngine::create(options_.round, std::move(snapshot), {}, now_);
    EXPECT_TRUE(rounds.ok());
    engine_ = std::make_unique<CoordinatorEngine>(options_, std::move(rounds).value());
  }

  static std::string name_of(uint32_t device) { return "device-" + std::to_string(100'000 + device); }

  void come(uint32_t device) {
    engine_->handle_session_opened(now_, device + 1, name_of(device));
    wire::Hello hello;
    const std::string name = name_of(device);
    hello.device = name;
    EXPECT_TRUE(hello.codecs.push_back(static_cast<uint8_t>(plan::CodecId::kDithered)));
    say(device, hello);
  }
  void say(uint32_t device, const wire::Message& message) {
    const ByteView bytes = builder_.build(message);
    frame_in_.assign(bytes.begin(), bytes.end());
    engine_->handle_frame(now_, device + 1, frame_in_);
  }
  void store() {
    while (engine_->poll_store(now_) != nullptr) engine_->handle_stored(now_, Error::kOk);
  }

  // The update of the device: one message whose name is written over, for all names are of one length.
  ByteView message_of(uint32_t device) {
    if (message_.empty()) make_message();
    const std::string name = name_of(device);
    std::copy(name.begin(), name.end(), message_.begin() + name_offset_);
    return message_;
  }
  uint32_t checksum_of(uint32_t device) {
    if (checksums_[device] == 0) checksums_[device] = crc32c(message_of(device));
    return checksums_[device];
  }

  void make_message() {
    plan::CodecSpec exact;
    exact.codec = plan::CodecId::kFp32;
    const plan::ModelLayout& layout = options_.round.layout;
    std::vector<uint8_t> payloads(codec::encoded_update_bytes_max(exact, layout));
    wire::Update update;
    EXPECT_TRUE(codec::encode_update(exact, layout, std::vector<float>(layout.parameter_count, 0.5F), 1, payloads,
                                     update.tensors)
                    .ok());
    for (const plan::TensorInfo& tensor : layout.tensors)
      EXPECT_TRUE(update.tensor_names.push_back(tensor.name.view()));
    const std::string name = name_of(0);
    update.device = name;
    update.run = kRun;
    update.sequence = update.round = 1;
    update.model_version = 1;
    update.sample_count = 1;
    std::vector<uint8_t> memory(payloads.size() + 4096);
    const Result<ByteView> built = wire::build_update(update, memory);
    EXPECT_TRUE(built.ok());
    message_.assign(built->begin(), built->end());
    name_offset_ = std::search(message_.begin(), message_.end(), name.begin(), name.end()) - message_.begin();
  }

  CoordinatorOptions options_;
  Instant now_ = Instant{} + seconds(1000);
  std::unique_ptr<CoordinatorEngine> engine_;
  wire::FrameBuilder builder_;
  std::vector<uint8_t> frame_in_;
  std::vector<uint8_t> frame_out_;
  std::vector<uint8_t> message_;
  std::ptrdiff_t name_offset_ = 0;
  std::vector<uint32_t> checksums_ = std::vector<uint32_t>(kDevices);
};

TEST(Admission, AnIdleSessionTakesLittleMemory) {
  Crowd crowd(10, 1 << 20);
  for (uint32_t device = 0; device < 100; ++device) crowd.come(device);
  while (crowd.engine_->poll_frame(crowd.now_)) {
  }
  while (crowd.engine_->poll_event()) {
  }
  const int64_t before = heap_bytes;
  for (uint32_t device = 100; device < kDevices - 1; ++device) {
    crowd.come(device);
    while (crowd.engine_->poll_frame(crowd.now_)) {
    }
    while (crowd.engine_->poll_event()) {
    }
  }
  const double each = static_cast<double>(heap_bytes - before) / (kDevices - 101);
  RecordProperty("bytes_per_idle_session", static_cast<int>(each));
  EXPECT_LT(each, 900.0);
}

// Every device sends an update of 100 KB at the same moment. Whoever is turned away comes back when it was told to.
TEST(Admission, TenThousandUpdatesAtOnceStayWithinTheBound) {
  constexpr uint64_t kBound = 16ULL << 20;
  Crowd crowd(12'500, kBound);
  CoordinatorEngine& engine = *crowd.engine_;
  for (uint32_t device = 0; device < kDevices; ++device) crowd.come(device);
  crowd.store();
  while (engine.poll_frame(crowd.now_)) {
  }
  ASSERT_EQ(engine.rounds().selected_count(), kDevices);
  const uint64_t update_bytes = crowd.message_of(0).size();
  ASSERT_GT(update_bytes, 100'000U);

  struct Turn {
    Instant at;
    uint32_t device;
    uint64_t offset;  // 0: it offers
    bool operator>(const Turn& other) const { return std::tie(at, device) > std::tie(other.at, other.device); }
  };
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
  for (uint32_t device = 0; device < kDevices; ++device) turns.push({crowd.now_, device, 0});
  const int64_t heap_before = heap_bytes;
  int64_t heap_most = 0;
  std::set<int64_t> returns;
  uint32_t done = 0;
  for (uint64_t steps = 0; !turns.empty() && done < kDevices; ++steps) {
    ASSERT_LT(steps, 1'000'000U);
    const Turn turn = turns.top();
    turns.pop();
    crowd.now_ = std::max(crowd.now_, turn.at);
    const ByteView update = crowd.message_of(turn.device);
    if (turn.offset == 0) {
      wire::UpdateOffer offer;
      offer.run = kRun;
      offer.sequence = offer.round = 1;
      offer.total_bytes = update.size();
      offer.checksum = crowd.checksum_of(turn.device);
      crowd.say(turn.device, offer);
    } else {
      const uint64_t begin = turn.offset - 1;
      const uint64_t bytes = std::min<uint64_t>(wire::kChunkBytesMax, update.size() - begin);
      crowd.say(turn.device, wire::UpdateChunk{1, begin, update.subspan(begin, bytes)});
    }
    heap_most = std::max(heap_most, heap_bytes - heap_before);
    ASSERT_LE(engine.upload_bytes_held(), kBound);
    if (steps % 64 == 0) crowd.store();
    if (engine.rounds().rounds_closed() > 0) break;
    while (const auto frame = engine.poll_frame(crowd.now_)) {
      crowd.frame_out_.assign(frame->bytes.begin(), frame->bytes.end());
      const wire::Message message = wire::decode_frame(crowd.frame_out_).value();
      const auto device = static_cast<uint32_t>(frame->session - 1);
      if (const auto* refusal = std::get_if<wire::Refusal>(&message)) {
        ASSERT_EQ(refusal->reason, wire::Reason::kBusy);
        returns.insert(refusal->retry_after_ms);
        turns.push({crowd.now_ + milliseconds(refusal->retry_after_ms), device, 0});
      } else if (const auto* ack = std::get_if<wire::UpdateAck>(&message)) {
        if (ack->state == wire::UpdateState::kDurable) {
          ++done;
        } else if (ack->received_bytes < update_bytes) {
          turns.push({crowd.now_ + milliseconds(200), device, ack->received_bytes + 1});
        }
      }
    }
    while (engine.poll_event()) {
    }
    if (turns.empty()) crowd.store();
  }
  EXPECT_EQ(engine.rounds().accepted_count() + engine.rounds().rounds_closed() * kDevices, kDevices);
  EXPECT_GT(engine.counters().updates_deferred, 0U);
  EXPECT_GT(returns.size(), 1000U) << "they do not come back together";
  EXPECT_LE(engine.counters().held_bytes_max, kBound + UploadTable::kSaveBytesMax);
  RecordProperty("held_bytes_max", static_cast<int>(engine.counters().held_bytes_max));
  RecordProperty("heap_bytes_max", static_cast<int>(heap_most));
  // Beyond the bytes of updates: what is known of each of ten thousand, and a few buffers.
  EXPECT_LT(heap_most, static_cast<int64_t>(kBound + UploadTable::kSaveBytesMax + kDevices * 1200));
}

}  // namespace
}  // namespace runnel::coordinator
