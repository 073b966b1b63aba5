// The messages of the protocol as plain values: what schemas/*.fbs say, without any generated type.
//
// Memory: views (texts, payloads, tensors' bytes) are borrowed from the bytes that were decoded and die with them.
// Trust: a decoded message is well formed and within the limits below; whether it makes sense now is the engines'
// business.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "runtime/base/bytes.h"
#include "runtime/base/static_vector.h"
#include "runtime/plan/encoded_tensor.h"
#include "runtime/plan/metric.h"
#include "runtime/plan/model_spec.h"
#include "runtime/plan/round_plan.h"

namespace runnel::wire {

inline constexpr uint16_t kProtocolMin = 1;
inline constexpr uint16_t kProtocolMax = 1;

// Limits: what is larger is refused before anything is read from it.
inline constexpr uint32_t kFrameBytesMax = 15 * 1024;  // fits one DTLS record
inline constexpr uint32_t kChunkBytesMax = 14 * 1024;  // a chunk's payload
// What this build makes, and asks its peer for in Hello: less on a board with little memory.
#ifndef RUNNEL_FRAME_BYTES
#define RUNNEL_FRAME_BYTES kFrameBytesMax
#endif
inline constexpr uint32_t kOwnFrameBytesMax = RUNNEL_FRAME_BYTES;
inline constexpr uint32_t kOwnChunkBytesMax = kOwnFrameBytesMax - (kFrameBytesMax - kChunkBytesMax);
static_assert(kOwnFrameBytesMax >= 2048 && kOwnFrameBytesMax <= kFrameBytesMax && kOwnFrameBytesMax % 16 == 0);
inline constexpr uint64_t kBlobBytesMax = 1ULL << 28;  // an Update or a Model message
inline constexpr uint32_t kNameBytesMax = 63;
inline constexpr uint32_t kTextBytesMax = 512;
inline constexpr uint32_t kCodecsMax = 32;
inline constexpr uint32_t kSampleCountMax = 1U << 20;  // examples behind one update

struct Hello {
  uint16_t protocol_min = kProtocolMin;
  uint16_t protocol_max = kProtocolMax;
  std::string_view device;
  std::string_view software;
  StaticVector<uint8_t, kCodecsMax> codecs;
  uint32_t frame_bytes_max = kOwnFrameBytesMax;
  uint64_t held_run = 0;
  uint64_t held_model_version = 0;
  bool unavailable = false;
};

struct Welcome {
  uint16_t protocol = kProtocolMax;
  std::string_view software;
  uint64_t run = 0;
  uint32_t rounds = 0;
  uint32_t chunk_bytes_max = 0;
  uint32_t window_bytes = 0;
  uint32_t ping_after_ms = 0;
  uint64_t last_sequence = 0;
  uint32_t offer_bytes_max = 0;
};

struct RoundPlan {
  plan::RoundPlan plan;
  uint64_t model_bytes = 0;
  uint64_t delta_from = 0;
};

struct ModelRequest {
  uint64_t run = 0;
  uint64_t model_version = 0;
  uint64_t offset = 0;
  uint32_t bytes = 0;
  uint64_t held_version = 0;
};

struct ModelChunk {
  uint64_t model_version = 0;
  uint64_t offset = 0;
  uint64_t total_bytes = 0;
  ByteView payload;
  uint64_t base_version = 0;
};

struct UpdateOffer {
  uint64_t run = 0;
  uint64_t sequence = 0;
  uint32_t round = 0;
  uint64_t total_bytes = 0;
  uint32_t checksum = 0;
  ByteView payload = {};  // empty, or total_bytes of it
  uint64_t model_version = 0;
};

struct UpdateChunk {
  uint64_t sequence = 0;
  uint64_t offset = 0;
  ByteView payload;
};

enum class UpdateState : uint8_t { kReceiving = 0, kDurable = 1 };

struct UpdateAck {
  uint64_t sequence = 0;
  UpdateState state = UpdateState::kReceiving;
  uint64_t received_bytes = 0;
};

// Numbers are on the wire: never renumber, only add.
enum class Reason : uint16_t {
  kUnspecified = 0,
  kVersion = 1,
  kIdentity = 2,
  kUnknownDevice = 3,
  kMalformed = 4,
  kShape = 5,
  kNotFinite = 6,
  kLimit = 7,
  kRoundClosed = 8,
  kUnknownRun = 9,
  kUnknownModel = 10,
  kChecksum = 11,
  kBusy = 12,
  kStorage = 13,
  kCodec = 14,
  kStale = 15,
};

// "round_closed" and so on; "unspecified" for numbers from a newer peer.
const char* reason_name(Reason reason);

struct Refusal {
  Reason reason = Reason::kUnspecified;
  std::string_view detail;
  uint64_t sequence = 0;
  uint32_t retry_after_ms = 0;
};

struct Ping {
  uint64_t nonce = 0;
};
struct Pong {
  uint64_t nonce = 0;
};

enum class ByeCause : uint8_t { kLeaving = 0, kFinished = 1 };
struct Bye {
  ByeCause cause = ByeCause::kLeaving;
  uint32_t come_back_ms = 0;
};

using Message = std::variant<Hello, Welcome, RoundPlan, ModelRequest, ModelChunk, UpdateOffer, UpdateChunk, UpdateAck,
                             Refusal, Ping, Pong, Bye>;

// "UpdateChunk" and so on: the schema's name of the message.
const char* message_name(const Message& message);

// A device's contribution to a round; see schemas/update.fbs.
struct Update {
  uint64_t run = 0;
  std::string_view device;
  uint64_t sequence = 0;
  uint32_t round = 0;
  uint64_t model_version = 0;
  uint32_t sample_count = 0;
  float mean_loss = 0.0F;
  StaticVector<plan::EncodedTensor, plan::kTensorsMax> tensors;
  StaticVector<std::string_view, plan::kTensorsMax> tensor_names;  // as many as tensors
  plan::LocalEvaluation evaluation;                                // without examples, it does not travel
};

// The model as it travels; see schemas/model.fbs. `parameters` is borrowed and 4-byte aligned.
struct Model {
  uint64_t run = 0;
  uint64_t model_version = 0;
  plan::ModelSpec spec;
  std::span<const float> parameters;
};

// How a version of the model follows from an older one; see schemas/delta.fbs. `multiples.payload` is borrowed.
struct ModelDelta {
  uint64_t run = 0;
  uint64_t base_version = 0;
  uint64_t model_version = 0;
  uint32_t checksum = 0;          // CRC-32C of the parameters that result
  plan::EncodedTensor multiples;  // of codec deadzone: count, scale (a power of two) and payload travel
};

}  // namespace runnel::wire
