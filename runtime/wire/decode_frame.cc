#include <cmath>

#include "runtime/wire/check_text.h"
#include "runtime/wire/flatbuffer_memory.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/generated_headers.h"

namespace runnel::wire {
namespace {

Failure check_chunk(const char* what, uint64_t offset, ByteView payload, uint64_t total_bytes) {
  if (payload.empty()) return fail(Error::kMalformed, "%s without payload", what);
  if (payload.size() > kChunkBytesMax) {
    return fail(Error::kLimit, "%s payload is %zu bytes, the limit is %u", what, payload.size(), kChunkBytesMax);
  }
  if (total_bytes > kBlobBytesMax || !range_within(offset, payload.size(), total_bytes)) {
    return fail(Error::kOutOfRange, "%s covers [%llu, +%zu) of %llu bytes", what,
                static_cast<unsigned long long>(offset), payload.size(), static_cast<unsigned long long>(total_bytes));
  }
  return Error::kOk;
}

Result<Message> convert(const schema::Hello& from) {
  Hello to;
  to.protocol_min = from.protocol_min();
  to.protocol_max = from.protocol_max();
  to.device = text_of(from.device());
  to.software = text_of(from.software());
  RUNNEL_TRY(check_text("Hello.device", to.device, kNameBytesMax));
  RUNNEL_TRY(check_text("Hello.software", to.software, kTextBytesMax));
  if (to.protocol_min > to.protocol_max) return fail(Error::kMalformed, "Hello.protocol_min is above protocol_max");
  for (const uint8_t codec : bytes_of(from.codecs())) {
    if (!to.codecs.push_back(codec)) return fail(Error::kLimit, "Hello.codecs lists more than %u codecs", kCodecsMax);
  }
  to.frame_bytes_max = from.frame_bytes_max();
  to.held_run = from.held_run();
  to.held_model_version = from.held_model_version();
  to.unavailable = from.unavailable();
  return Message(to);
}

Result<Message> convert(const schema::Welcome& from) {
  Welcome to;
  to.protocol = from.protocol();
  to.software = text_of(from.software());
  RUNNEL_TRY(check_text("Welcome.software", to.software, kTextBytesMax));
  to.run = from.run();
  to.rounds = from.rounds();
  to.chunk_bytes_max = from.chunk_bytes_max();
  to.window_bytes = from.window_bytes();
  to.ping_after_ms = from.ping_after_ms();
  to.last_sequence = from.last_sequence();
  to.offer_bytes_max = std::min(from.offer_bytes_max(), kChunkBytesMax);
  if (to.chunk_bytes_max == 0 || to.chunk_bytes_max > kChunkBytesMax) {
    return fail(Error::kOutOfRange, "Welcome.chunk_bytes_max is %u, it must be 1..%u", to.chunk_bytes_max,
                kChunkBytesMax);
  }
  if (to.window_bytes < to.chunk_bytes_max)
    return fail(Error::kOutOfRange, "Welcome.window_bytes is less than one chunk");
  return Message(to);
}

Result<Message> convert(const schema::RoundPlan& from) {
  RoundPlan to;
  to.plan.run = from.run();
  to.plan.round = from.round();
  to.plan.rounds = from.rounds();
  to.plan.model_version = from.model_version();
  to.plan.seed = from.seed();
  if (from.time_left_ms() > 366ULL * 86400 * 1000)
    return fail(Error::kOutOfRange, "RoundPlan.time_left_ms is over a year");
  to.plan.time_left = milliseconds(static_cast<int64_t>(from.time_left_ms()));
  to.plan.training = {from.learning_rate(),
                      from.momentum(),
                      from.weight_decay(),
                      from.proximal_mu(),
                      from.batch_size(),
                      from.local_epochs(),
                      from.local_steps(),
                      static_cast<plan::Schedule>(from.schedule()),
                      from.learning_rate_end(),
                      static_cast<plan::Optimizer>(from.optimizer()),
                      from.beta1(),
                      from.beta2(),
                      from.epsilon(),
                      from.clip_norm(),
                      from.accumulate(),
                      from.warmup_rounds(),
                      from.scaffold_share()};
  to.plan.codec.codec = static_cast<plan::CodecId>(from.codec());
  to.plan.codec.levels = from.levels();
  to.plan.codec.bucket = from.bucket();
  to.plan.codec.exact_coordinates_max = from.exact_coordinates_max();
  to.plan.codec.coder = static_cast<plan::Coder>(from.coder());
  to.plan.codec.step = from.step();
  to.plan.codec.bits = from.bits();
  to.plan.codec.rotate = from.rotate();
  to.plan.codec.error_feedback = from.error_feedback();
  to.plan.codec.keep = from.keep();
  plan::RateSpec& rate = to.plan.rate;
  rate.mode = static_cast<plan::RateMode>(from.rate_mode());
  rate.contraction = from.contraction();
  rate.k = from.k();
  rate.error_share = from.error_share();
  rate.budget_bytes = from.budget_bytes();
  rate.resolution = from.resolution();
  rate.weight_ratio = from.weight_ratio();
  rate.deadline = from.deadline();
  rate.save_time = from.save_time();
  rate.per_layer = from.per_layer();
  rate.late = static_cast<plan::LatePolicy>(from.late());
  rate.step_ratio_max = from.step_ratio_max();
  to.plan.policy = static_cast<plan::RoundPolicy>(from.policy());
  to.plan.staleness_max = from.staleness_max();
  to.plan.offline_updates = from.offline_updates();
  if (Failure bad = plan::check(to.plan); !bad.ok()) return bad.prefix("RoundPlan");
  to.delta_from = from.delta_from();
  to.model_bytes = from.model_bytes();
  if (to.model_bytes == 0 || to.model_bytes > kBlobBytesMax) {
    return fail(Error::kLimit, "RoundPlan.model_bytes is %llu", static_cast<unsigned long long>(to.model_bytes));
  }
  return Message(to);
}

Result<Message> convert(const schema::ModelRequest& from) {
  return Message(ModelRequest{from.run(), from.model_version(), from.offset(), from.bytes(), from.held_version()});
}

Result<Message> convert(const schema::ModelChunk& from) {
  const ModelChunk to{from.model_version(), from.offset(), from.total_bytes(), bytes_of(from.payload()),
                      from.base_version()};
  RUNNEL_TRY(check_chunk("ModelChunk", to.offset, to.payload, to.total_bytes));
  return Message(to);
}

Result<Message> convert(const schema::UpdateOffer& from) {
  const UpdateOffer to{from.run(),      from.sequence(),          from.round(),        from.total_bytes(),
                       from.checksum(), bytes_of(from.payload()), from.model_version()};
  if (to.sequence == 0) return fail(Error::kMalformed, "UpdateOffer.sequence is 0");
  if (to.total_bytes == 0 || to.total_bytes > kBlobBytesMax) {
    return fail(Error::kLimit, "UpdateOffer.total_bytes is %llu, it must be 1..%llu",
                static_cast<unsigned long long>(to.total_bytes), static_cast<unsigned long long>(kBlobBytesMax));
  }
  if (!to.payload.empty() && to.payload.size() != to.total_bytes) {
    return fail(Error::kMalformed, "UpdateOffer.payload has %zu of %llu bytes", to.payload.size(),
                static_cast<unsigned long long>(to.total_bytes));
  }
  if (to.payload.size() > kChunkBytesMax) {
    return fail(Error::kLimit, "UpdateOffer.payload has %zu bytes, it may have %u", to.payload.size(), kChunkBytesMax);
  }
  return Message(to);
}

Result<Message> convert(const schema::UpdateChunk& from) {
  const UpdateChunk to{from.sequence(), from.offset(), bytes_of(from.payload())};
  RUNNEL_TRY(check_chunk("UpdateChunk", to.offset, to.payload, kBlobBytesMax));
  return Message(to);
}

Result<Message> convert(const schema::UpdateAck& from) {
  if (from.state() > schema::UpdateState::MAX) return fail(Error::kUnsupported, "UpdateAck.state is not known here");
  return Message(UpdateAck{from.sequence(), static_cast<UpdateState>(from.state()), from.received_bytes()});
}

Result<Message> convert(const schema::Refusal& from) {
  Refusal to{static_cast<Reason>(from.reason()), text_of(from.detail()), from.sequence(), from.retry_after_ms()};
  RUNNEL_TRY(check_text("Refusal.detail", to.detail, kTextBytesMax));
  return Message(to);
}

Result<Message> convert(const schema::Ping& from) {
  return Message(Ping{from.nonce()});
}
Result<Message> convert(const schema::Pong& from) {
  return Message(Pong{from.nonce()});
}
Result<Message> convert(const schema::Bye& from) {
  return Message(
      Bye{from.cause() == schema::ByeCause::finished ? ByeCause::kFinished : ByeCause::kLeaving, from.come_back_ms()});
}

Result<Message> convert_body(const schema::Frame& frame) {
  switch (frame.body_type()) {
    case schema::Body::NONE:
      return fail(Error::kMalformed, "a frame without a body");
    case schema::Body::Hello:
      return convert(*frame.body_as_Hello());
    case schema::Body::Welcome:
      return convert(*frame.body_as_Welcome());
    case schema::Body::RoundPlan:
      return convert(*frame.body_as_RoundPlan());
    case schema::Body::ModelRequest:
      return convert(*frame.body_as_ModelRequest());
    case schema::Body::ModelChunk:
      return convert(*frame.body_as_ModelChunk());
    case schema::Body::UpdateOffer:
      return convert(*frame.body_as_UpdateOffer());
    case schema::Body::UpdateChunk:
      return convert(*frame.body_as_UpdateChunk());
    case schema::Body::UpdateAck:
      return convert(*frame.body_as_UpdateAck());
    case schema::Body::Refusal:
      return convert(*frame.body_as_Refusal());
    case schema::Body::Ping:
      return convert(*frame.body_as_Ping());
    case schema::Body::Pong:
      return convert(*frame.body_as_Pong());
    case schema::Body::Bye:
      return convert(*frame.body_as_Bye());
  }
  return fail(Error::kUnsupported, "message kind %u is not known here", static_cast<unsigned>(frame.body_type()));
}

}  // namespace

Result<Message> decode_frame(ByteView bytes) {
  RUNNEL_ASSERT(reinterpret_cast<uintptr_t>(bytes.data()) % 8 == 0);
  if (bytes.size() > kFrameBytesMax) {
    return fail(Error::kLimit, "a frame of %zu bytes, the limit is %u", bytes.size(), kFrameBytesMax);
  }
  if (bytes.size() < 12) return fail(Error::kTruncated, "a frame of %zu bytes is too short", bytes.size());
  if (!schema::FrameBufferHasIdentifier(bytes.data()))
    return fail(Error::kMalformed, "not a frame: its identifier is not RNL1");
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), kDepthMax, kTablesMax);
  if (!schema::VerifyFrameBuffer(verifier))
    return fail(Error::kMalformed, "a frame whose offsets do not hold together");
  const schema::Frame& frame = *schema::GetFrame(bytes.data());
  // A union that is absent, or of a kind that the verifier does not know, passes it.
  if (frame.body() == nullptr) return fail(Error::kMalformed, "a frame without a body");
  return convert_body(frame);
}

}  // namespace runnel::wire
