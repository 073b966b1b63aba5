#include <array>

#include "runtime/wire/flatbuffer_memory.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/generated_headers.h"

namespace runnel::wire {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
template <typename T>
using Offset = flatbuffers::Offset<T>;

Offset<flatbuffers::String> text(Builder& builder, std::string_view from) {
  RUNNEL_ASSERT(from.size() <= kTextBytesMax);
  return builder.CreateString(from.data(), from.size());
}

Offset<flatbuffers::Vector<uint8_t>> chunk(Builder& builder, ByteView payload) {
  RUNNEL_ASSERT(payload.size() <= kOwnChunkBytesMax);
  return builder.CreateVector(payload.data(), payload.size());
}

// One overload a message: builds its table and names its place in the union.
struct BodyBuilder {
  Builder& b;  // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)

  template <typename T>
  Offset<schema::Frame> frame(schema::Body kind, Offset<T> body) {
    return schema::CreateFrame(b, kind, body.Union());
  }

  Offset<schema::Frame> operator()(const Hello& m) {
    // One after another: the order in which arguments are evaluated, and so the bytes, would be the compiler's choice.
    const auto codecs = b.CreateVector(m.codecs.begin(), m.codecs.size());
    const auto software = text(b, m.software);
    const auto device = text(b, m.device);
    return frame(schema::Body::Hello,
                 schema::CreateHello(b, m.protocol_min, m.protocol_max, device, software, codecs, m.frame_bytes_max,
                                     m.held_run, m.held_model_version, m.unavailable));
  }
  Offset<schema::Frame> operator()(const Welcome& m) {
    return frame(schema::Body::Welcome,
                 schema::CreateWelcome(b, m.protocol, text(b, m.software), m.run, m.rounds, m.chunk_bytes_max,
                                       m.window_bytes, m.ping_after_ms, m.last_sequence, m.offer_bytes_max));
  }
  Offset<schema::Frame> operator()(const RoundPlan& m) {
    const plan::RoundPlan& p = m.plan;
    const plan::TrainingSpec& t = p.training;
    return frame(
        schema::Body::RoundPlan,
        schema::CreateRoundPlan(
            b, p.run, p.round, p.rounds, p.model_version, m.model_bytes, p.seed,
            static_cast<uint64_t>(to_ms(p.time_left)), t.learning_rate, t.momentum, t.weight_decay, t.proximal_mu,
            t.batch_size, t.local_epochs, t.local_steps, static_cast<uint8_t>(p.codec.codec), p.codec.levels,
            p.codec.bucket, p.codec.exact_coordinates_max, static_cast<uint8_t>(p.codec.coder), p.codec.step,
            p.codec.bits, p.codec.rotate, p.codec.error_feedback, p.codec.keep, static_cast<uint8_t>(t.schedule),
            t.learning_rate_end, static_cast<uint8_t>(p.rate.mode), p.rate.contraction, p.rate.k, p.rate.error_share,
            p.rate.budget_bytes, p.rate.resolution, p.rate.weight_ratio, p.rate.deadline, p.rate.save_time,
            p.rate.per_layer, static_cast<uint8_t>(p.rate.late), p.rate.step_ratio_max, m.delta_from,
            static_cast<uint8_t>(p.policy), p.staleness_max, static_cast<uint8_t>(p.offline_updates),
            static_cast<uint8_t>(t.optimizer), t.beta1, t.beta2, t.epsilon, t.clip_norm, t.accumulate, t.warmup_rounds,
            t.scaffold_share));
  }
  Offset<schema::Frame> operator()(const ModelRequest& m) {
    return frame(schema::Body::ModelRequest,
                 schema::CreateModelRequest(b, m.run, m.model_version, m.offset, m.bytes, m.held_version));
  }
  Offset<schema::Frame> operator()(const ModelChunk& m) {
    return frame(schema::Body::ModelChunk, schema::CreateModelChunk(b, m.model_version, m.offset, m.total_bytes,
                                                                    chunk(b, m.payload), m.base_version));
  }
  Offset<schema::Frame> operator()(const UpdateOffer& m) {
    return frame(schema::Body::UpdateOffer,
                 schema::CreateUpdateOffer(b, m.run, m.sequence, m.round, m.total_bytes, m.checksum,
                                           m.payload.empty() ? 0 : chunk(b, m.payload), m.model_version));
  }
  Offset<schema::Frame> operator()(const UpdateChunk& m) {
    return frame(schema::Body::UpdateChunk, schema::CreateUpdateChunk(b, m.sequence, m.offset, chunk(b, m.payload)));
  }
  Offset<schema::Frame> operator()(const UpdateAck& m) {
    return frame(schema::Body::UpdateAck,
                 schema::CreateUpdateAck(b, m.sequence, static_cast<schema::UpdateState>(m.state), m.received_bytes));
  }
  Offset<schema::Frame> operator()(const Refusal& m) {
    return frame(schema::Body::Refusal, schema::CreateRefusal(b, static_cast<schema::Reason>(m.reason),
                                                              text(b, m.detail), m.sequence, m.retry_after_ms));
  }
  Offset<schema::Frame> operator()(const Ping& m) { return frame(schema::Body::Ping, schema::CreatePing(b, m.nonce)); }
  Offset<schema::Frame> operator()(const Pong& m) { return frame(schema::Body::Pong, schema::CreatePong(b, m.nonce)); }
  Offset<schema::Frame> operator()(const Bye& m) {
    return frame(schema::Body::Bye, schema::CreateBye(b, static_cast<schema::ByeCause>(m.cause), m.come_back_ms));
  }
};

}  // namespace

struct FrameBuilder::Impl {
  alignas(16) std::array<uint8_t, kOwnFrameBytesMax + 1024> memory;
  BlockAllocator allocator{memory};
  Builder builder{memory.size(), &allocator};
};

FrameBuilder::FrameBuilder() : impl_(std::make_unique<Impl>()) {}
FrameBuilder::FrameBuilder(FrameBuilder&& other) noexcept = default;
FrameBuilder::~FrameBuilder() = default;

ByteView FrameBuilder::build(const Message& message) {
  Builder& builder = impl_->builder;
  builder.Clear();
  schema::FinishFrameBuffer(builder, std::visit(BodyBuilder{builder}, message));
  RUNNEL_ASSERT(builder.GetSize() <= kOwnFrameBytesMax);
  return {builder.GetBufferPointer(), builder.GetSize()};
}

const char* message_name(const Message& message) {
  return schema::EnumNameBody(static_cast<schema::Body>(message.index() + 1));
}

const char* reason_name(Reason reason) {
  const char* name = schema::EnumNameReason(static_cast<schema::Reason>(reason));
  return name[0] == '\0' ? "unspecified" : name;
}

}  // namespace runnel::wire
