#include "tests/cortex_m/agreement.h"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <vector>

#include "device/port/ram_disk.h"
#include "runtime/base/arena.h"
#include "runtime/base/crc32c.h"
#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"
#include "runtime/data/example_source.h"
#include "runtime/journal/journal.h"
#include "runtime/serial/serial_link.h"
#include "runtime/train/trainer.h"
#include "runtime/wire/frame.h"

namespace runnel::agreement {
namespace {

void say(const Host& host, const char* format, ...) __attribute__((format(printf, 2, 3)));
void say(const Host& host, const char* format, ...) {
  char text[160];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  host.say(text);
}

unsigned checksum(ByteView bytes) {
  return crc32c(bytes);
}
unsigned checksum(std::span<const float> values) {
  return crc32c({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
}

// Between -1 and 1, in multiples of 2^-24.
std::vector<float> values_of(uint64_t seed, size_t count) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.below(1U << 25)) * 0x1.0p-24F - 1.0F;
  return values;
}

// --- training ---

class Examples final : public data::ExampleSource {
 public:
  explicit Examples(uint32_t inputs) : inputs_(inputs) {}
  uint32_t example_count() const override { return 40; }
  uint32_t input_count() const override { return inputs_; }
  uint32_t target_count() const override { return 1; }
  uint32_t class_count() const override { return 4; }
  void read(uint32_t index, std::span<float> input, std::span<float> target) const override {
    Rng rng(derive_key(7, index));
    const auto label = static_cast<uint32_t>(rng.below(4));
    for (size_t i = 0; i < input.size(); ++i)
      input[i] = (i % 4 == label ? 0.75F : -0.25F) + static_cast<float>(rng.below(1024)) / 2048.0F;
    if (!target.empty()) target[0] = static_cast<float>(label);
  }

 private:
  uint32_t inputs_;
};

plan::LayerSpec dense(uint32_t units) {
  plan::LayerSpec layer;
  layer.kind = plan::LayerKind::kDense;
  layer.units = units;
  return layer;
}
plan::LayerSpec plain(plan::LayerKind kind) {
  plan::LayerSpec layer;
  layer.kind = kind;
  return layer;
}

plan::ModelSpec perceptron(plan::LayerKind activation) {
  plan::ModelSpec spec;
  RUNNEL_ASSERT(spec.name.assign("perceptron"));
  spec.input = {20, 1, 1};
  spec.classes = 4;
  for (const plan::LayerSpec& layer : {dense(24), plain(activation), dense(12), plain(activation), dense(4)})
    RUNNEL_ASSERT(spec.layers.push_back(layer));
  return spec;
}

plan::ModelSpec convolution() {
  plan::ModelSpec spec;
  RUNNEL_ASSERT(spec.name.assign("convolution"));
  spec.input = {2, 6, 6};
  spec.classes = 4;
  plan::LayerSpec conv = plain(plan::LayerKind::kConv2d);
  conv.units = 5;
  conv.kernel = {3, 3};
  conv.padding = {1, 1};
  plan::LayerSpec pool = plain(plan::LayerKind::kMaxPool2d);
  pool.kernel = pool.stride = {2, 2};
  for (const plan::LayerSpec& layer :
       {conv, plain(plan::LayerKind::kRelu), pool, plain(plan::LayerKind::kFlatten), dense(4)})
    RUNNEL_ASSERT(spec.layers.push_back(layer));
  return spec;
}

void train(const Host& host, const char* name, const plan::ModelSpec& spec, const plan::TrainingSpec& training) {
  const Result<train::MemoryPlan> memory = train::training_memory(spec, training);
  RUNNEL_ASSERT(memory.ok());
  const Result<plan::ModelLayout> layout = plan::make_layout(spec);
  std::vector<uint8_t> block(memory->total_bytes + Arena::kAlignment);
  std::vector<float> global = values_of(11, layout->parameter_count);
  for (float& value : global) value *= 0.25F;
  const Examples examples(static_cast<uint32_t>(spec.input.count()));
  Arena arena(block);
  host.begin_steady();
  Result<train::Trainer> trainer = train::Trainer::create(spec, training, arena);
  RUNNEL_ASSERT(trainer.ok() && trainer->start(global, examples, 5).ok());
  for (bool running = true; running;) {
    const Result<train::Trainer::Progress> progress = trainer->step();
    RUNNEL_ASSERT(progress.ok());
    running = *progress == train::Trainer::Progress::kRunning;
    say(host, "train %s step %u %08x", name, trainer->steps_done(), checksum(trainer->parameters()));
  }
  const float loss = trainer->mean_loss();
  say(host, "train %s update %08x loss %08x", name, checksum(trainer->update()), checksum({&loss, 1}));
  host.end_steady();
}

void train_all(const Host& host) {
  plan::TrainingSpec training;
  training.batch_size = 8;
  training.local_steps = 6;
  training.momentum = 0.0F;
  train(host, "plain", perceptron(plan::LayerKind::kRelu), training);
  training.momentum = 0.9F;
  train(host, "momentum", perceptron(plan::LayerKind::kTanh), training);
  training.clip_norm = 0.5F;
  train(host, "clipped", perceptron(plan::LayerKind::kSigmoid), training);
  training = {};
  training.batch_size = 8;
  training.local_steps = 4;
  training.optimizer = plan::Optimizer::kAdam;
  training.learning_rate = 0.01F;
  train(host, "convolution", convolution(), training);
}

// --- codecs ---

void encode_all(const Host& host) {
  constexpr size_t kCount = 1500;
  std::vector<float> values = values_of(23, kCount);
  for (size_t i = 0; i < kCount; ++i) values[i] *= values[i] * values[i];  // most are small, as in updates
  std::vector<float> decoded(kCount);
  std::vector<float> scratch(kCount);
  std::vector<uint8_t> payload(8 * kCount + 4096);
  for (uint8_t id = 0; id < plan::kCodecCount; ++id) {
    for (const bool rotated : {false, true}) {
      // Boards have no room for these.
      const auto scheme = static_cast<plan::CodecId>(id);
      if (scheme == plan::CodecId::kTrellis || scheme == plan::CodecId::kEden) continue;
      plan::CodecSpec spec;
      spec.codec = scheme;
      spec.bits = 2.0F;
      spec.rotate = rotated;
      if (rotated) spec.keep = 0.5F;
      if (!plan::check(spec).ok()) continue;
      host.begin_steady();
      const Result<plan::EncodedTensor> tensor = codec::encode_tensor(spec, "values", values, 31, payload, scratch);
      RUNNEL_ASSERT(tensor.ok());
      RUNNEL_ASSERT(codec::decode_tensor("values", *tensor, decoded).ok());
      say(host, "codec %s%s %u bytes %08x decoded %08x", plan::codec_name(spec.codec), rotated ? " rotated" : "",
          static_cast<unsigned>(tensor->payload.size()), checksum(tensor->payload),
          checksum(std::span<const float>(decoded)));
      host.end_steady();
    }
  }
}

// Random numbers begin anew within it, and a board draws fewer of them at a time.
void encode_long(const Host& host) {
  constexpr size_t kCount = 9001;
  const std::vector<float> values = values_of(29, kCount);
  std::vector<uint8_t> payload(kCount);
  plan::CodecSpec spec;
  spec.codec = plan::CodecId::kSignDithered;
  host.begin_steady();
  const Result<plan::EncodedTensor> tensor = codec::encode_tensor(spec, "values", values, 37, payload);
  RUNNEL_ASSERT(tensor.ok());
  say(host, "codec %s of %u values %08x", plan::codec_name(spec.codec), static_cast<unsigned>(kCount),
      checksum(tensor->payload));
  host.end_steady();
}

// --- messages ---

void exchange_messages(const Host& host) {
  wire::FrameBuilder builder;
  alignas(8) std::array<uint8_t, 2048> frame{};
  std::array<uint8_t, 700> payload{};
  for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>(i * 7);
  wire::Hello hello;
  hello.device = "board";
  hello.software = "agreement";
  hello.frame_bytes_max = 4096;  // whatever this build's own is
  RUNNEL_ASSERT(hello.codecs.push_back(7));
  const std::array<wire::Message, 4> messages = {
      hello, wire::UpdateOffer{1, 2, 3, payload.size(), checksum(ByteView(payload)), payload, 4},
      wire::UpdateChunk{9, 512, ByteView(payload).first(300)}, wire::ModelRequest{1, 2, 3, 4, 5}};
  host.begin_steady();
  for (const wire::Message& message : messages) {
    const ByteView built = builder.build(message);
    std::copy(built.begin(), built.end(), frame.begin());
    const Result<wire::Message> back = wire::decode_frame(ByteView(frame).first(built.size()));
    RUNNEL_ASSERT(back.ok() && back->index() == message.index());
    const ByteView again = builder.build(*back);
    say(host, "frame %s %u bytes %08x again %08x", wire::message_name(message), static_cast<unsigned>(built.size()),
        checksum(ByteView(frame).first(built.size())), checksum(again));
    frame[built.size() / 2] ^= 0x40;
    static_cast<void>(wire::decode_frame(ByteView(frame).first(built.size())));  // whatever it says, it returns
  }
  host.end_steady();
  const plan::ModelSpec spec = perceptron(plan::LayerKind::kRelu);
  const std::vector<float> parameters = values_of(41, plan::make_layout(spec)->parameter_count);
  std::vector<uint8_t> memory(wire::model_bytes_max(spec, parameters.size()));
  const Result<ByteView> built = wire::build_model({77, 3, spec, parameters}, {memory.data(), memory.size() / 8 * 8});
  RUNNEL_ASSERT(built.ok());
  std::vector<uint8_t> message(built->begin(), built->end());
  wire::Model model;
  RUNNEL_ASSERT(wire::decode_model(message, model).ok());
  say(host, "model %u bytes %08x parameters %08x", static_cast<unsigned>(message.size()), checksum(ByteView(message)),
      checksum(model.parameters));
}

// --- journal ---

void keep_journal(const Host& host) {
  std::vector<uint8_t> memory(8192);
  port::RamDisk disk(memory);
  std::vector<uint8_t> value(900);
  Rng rng(53);
  host.begin_steady();
  Result<journal::Journal> journal = journal::Journal::open(disk, {});
  RUNNEL_ASSERT(journal.ok());
  for (int i = 0; i < 60; ++i) {
    const auto key = static_cast<uint32_t>(rng.below(4));
    const size_t bytes = static_cast<size_t>(rng.below(value.size()));
    for (size_t at = 0; at < bytes; ++at) value[at] = static_cast<uint8_t>(rng.below(256));
    if (rng.below(5) == 0) {
      RUNNEL_ASSERT(journal->erase(key).ok());
    } else {
      RUNNEL_ASSERT(journal->put(key, ByteView(value).first(bytes)).ok());
    }
  }
  say(host, "journal %u live bytes, storage %08x", static_cast<unsigned>(journal->live_bytes()),
      checksum(ByteView(memory)));
  const Result<journal::Journal> again = journal::Journal::open(disk, {});
  RUNNEL_ASSERT(again.ok());
  for (const uint32_t key : again->keys()) {
    const auto bytes = static_cast<size_t>(*again->size(key));
    RUNNEL_ASSERT(again->read(key, 0, MutableByteView(value).first(bytes)).ok());
    say(host, "journal key %u %08x", key, checksum(ByteView(value).first(bytes)));
  }
  host.end_steady();
}

// --- line ---

void speak_over_line(const Host& host) {
  serial::SerialLinkOptions options;
  RUNNEL_ASSERT(options.name.assign("board"));
  options.piece_bytes_max = 120;
  options.message_bytes_max = options.queue_bytes = 1024;
  std::vector<uint8_t> board_memory(serial::SerialLink::memory_bytes(options));
  serial::SerialLink board(options, board_memory, Instant{});
  options.role = serial::Role::kGateway;
  std::vector<uint8_t> gateway_memory(serial::SerialLink::memory_bytes(options));
  serial::SerialLink gateway(options, gateway_memory, Instant{});
  std::array<uint8_t, 600> message{};
  for (size_t i = 0; i < message.size(); ++i) message[i] = static_cast<uint8_t>(i);
  std::array<uint8_t, 512> noisy{};
  Rng rng(61);
  uint32_t sent = 0;
  uint32_t received = 0;
  uint32_t bytes_checksum = 0;
  host.begin_steady();
  for (int turn = 0; turn < 4000 && received < 20; ++turn) {
    const Instant now = Instant{} + milliseconds(20 * turn);
    board.handle_timeout(now);
    gateway.handle_timeout(now);
    if (sent < 20 && board.has_room(message.size())) {
      message[0] = static_cast<uint8_t>(++sent);
      RUNNEL_ASSERT(board.send(serial::MessageType::kFrame, message) == Error::kOk);
    }
    for (serial::SerialLink* from : {&board, &gateway}) {
      serial::SerialLink& to = from == &board ? gateway : board;
      const ByteView out = from->poll_output(now);
      if (out.empty() || rng.below(10) == 0) continue;
      std::copy(out.begin(), out.end(), noisy.begin());
      if (rng.below(6) == 0) noisy[static_cast<size_t>(rng.below(out.size()))] ^= 0x10;
      ByteView rest = ByteView(noisy).first(out.size());
      bytes_checksum = static_cast<uint32_t>(derive_key(bytes_checksum, checksum(rest)));
      while (!rest.empty()) {
        rest = rest.subspan(to.handle_bytes(now, rest));
        while (to.poll_event().has_value()) {
        }
        while (const auto came = to.poll_message()) {
          ++received;
          RUNNEL_ASSERT(came->bytes.size() == message.size() && came->bytes[0] == received);
        }
      }
    }
  }
  say(host, "line %u of %u messages, %08x, %u sent again, %u dropped", received, sent, bytes_checksum,
      static_cast<unsigned>(board.counters().pieces_sent_again), static_cast<unsigned>(gateway.frames_dropped()));
  host.end_steady();
}

}  // namespace

void run(const Host& host) {
  // The board brings a printf of its own.
  say(host, "text %d %5d|%-5d|%05d %u %x %llu %lld", -7, 42, 42, -42, 4000000000U, 0xBEEF, 18446744073709551615ULL,
      -9000000000000000000LL);
  say(host, "text %s|%8s|%-8s|%.3s|%.*s|%c %zu%%", "abc", "right", "left", "cut off", 2, "xyz", 'c', size_t{12});
  say(host, "text %.0f %.2f %.3f %g %g %g %g %.3g %e", 2.0, -1.25, 1234.5678, 0.5, 100000.0, 1e10, 0.00001, 12345.0,
      1.5);
  train_all(host);
  encode_all(host);
  encode_long(host);
  exchange_messages(host);
  keep_journal(host);
  speak_over_line(host);
}

}  // namespace runnel::agreement
