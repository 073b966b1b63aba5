// Frames that hold together but say what they must not: each limit at its edge and beyond, written with the schema's
// own builders, because ours refuse to.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "runtime/wire/frame.h"
#include "schemas/frame_generated.h"
#include "tests/unit/wire/exact_bytes.h"

namespace runnel::wire {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A frame with the given kind and whatever table `body` builds.
template <typename Body>
ExactBytes frame_of(schema::Body kind, Body body) {
  Builder builder;
  const auto table = body(builder);
  schema::FinishFrameBuffer(builder, schema::CreateFrame(builder, kind, table.Union()));
  return ExactBytes({builder.GetBufferPointer(), builder.GetSize()});
}

void expect_good(const ExactBytes& bytes) {
  const Result<Message> message = decode_frame(bytes.view());
  EXPECT_TRUE(message.ok()) << message.failure().text();
}

void expect_bad(const ExactBytes& bytes, Error error, const std::string& words) {
  const Result<Message> message = decode_frame(bytes.view());
  ASSERT_FALSE(message.ok()) << words;
  EXPECT_EQ(message.error(), error) << error_name(message.error()) << ": " << message.failure().text();
  EXPECT_NE(std::string(message.failure().text()).find(words), std::string::npos) << message.failure().text();
}

ExactBytes hello(const std::string& device, const std::string& software, size_t codecs, uint16_t low = 1,
                 uint16_t high = 1) {
  return frame_of(schema::Body::Hello, [&](Builder& b) {
    const auto list = b.CreateVector(std::vector<uint8_t>(codecs, 1));
    return schema::CreateHello(b, low, high, b.CreateString(device), b.CreateString(software), list, 15360);
  });
}

TEST(FrameLimits, TextsAreShortAndWithoutControlCharacters) {
  expect_good(hello(std::string(63, 'd'), std::string(512, 's'), 0));
  expect_bad(hello(std::string(64, 'd'), "", 0), Error::kLimit, "Hello.device is 64 bytes long, the limit is 63");
  expect_bad(hello("d", std::string(513, 's'), 0), Error::kLimit, "Hello.software is 513 bytes long, the limit is 512");
  for (const char c : {'\0', '\n', '\x1b', '\x1f', '\x7f'}) {
    expect_bad(hello(std::string("a") + c, "", 0), Error::kMalformed, "Hello.device holds a control character");
    expect_bad(hello("a", std::string(1, c), 0), Error::kMalformed, "Hello.software holds a control character");
  }
  expect_good(hello("d\xC3\xBCse \x80\xFF", "", 0));
  const auto refusal = [](const std::string& detail) {
    return frame_of(schema::Body::Refusal, [&](Builder& b) {
      return schema::CreateRefusal(b, schema::Reason::limit, b.CreateString(detail), 1, 0);
    });
  };
  expect_good(refusal(std::string(512, 'x')));
  expect_bad(refusal(std::string(513, 'x')), Error::kLimit, "Refusal.detail");
  expect_bad(refusal("two\nlines"), Error::kMalformed, "Refusal.detail");
}

TEST(FrameLimits, Hello) {
  expect_good(hello("d", "s", 32));
  expect_bad(hello("d", "s", 33), Error::kLimit, "Hello.codecs lists more than 32 codecs");
  expect_good(hello("d", "s", 1, 7, 7));
  expect_bad(hello("d", "s", 1, 8, 7), Error::kMalformed, "Hello.protocol_min is above protocol_max");
}

TEST(FrameLimits, AbsentTextsAndListsAreEmpty) {
  const auto bare = frame_of(schema::Body::Hello, [](Builder& b) { return schema::CreateHello(b); });
  const Result<Message> message = decode_frame(bare.view());
  ASSERT_TRUE(message.ok()) << message.failure().text();
  EXPECT_TRUE(std::get<Hello>(*message).device.empty());
  EXPECT_TRUE(std::get<Hello>(*message).codecs.empty());
  expect_good(frame_of(schema::Body::Refusal, [](Builder& b) { return schema::CreateRefusal(b); }));
}

TEST(FrameLimits, Welcome) {
  const auto welcome = [](uint32_t chunk, uint32_t window, const std::string& software = "s") {
    return frame_of(schema::Body::Welcome, [&](Builder& b) {
      return schema::CreateWelcome(b, 1, b.CreateString(software), 1, 1, chunk, window);
    });
  };
  expect_good(welcome(1, 1));
  expect_good(welcome(14336, 14336));
  expect_bad(welcome(0, 100), Error::kOutOfRange, "Welcome.chunk_bytes_max is 0, it must be 1..14336");
  expect_bad(welcome(14337, 100000), Error::kOutOfRange, "Welcome.chunk_bytes_max is 14337");
  expect_bad(welcome(100, 99), Error::kOutOfRange, "Welcome.window_bytes is less than one chunk");
  expect_bad(welcome(1, 1, std::string(513, 's')), Error::kLimit, "Welcome.software");
  expect_bad(welcome(1, 1, "\t"), Error::kMalformed, "Welcome.software");
}

struct PlanFields {
  uint32_t round = 1, rounds = 2;
  uint64_t model_bytes = 100, time_left_ms = 1000;
  float learning_rate = 0.1F, momentum = 0.9F, weight_decay = 0.0F, proximal_mu = 0.0F;
  uint32_t batch_size = 8, local_epochs = 1, local_steps = 0;
  uint8_t codec = 1;
  uint32_t levels = 7, bucket = 128, exact_coordinates_max = 64;
  uint8_t coder = 0;
  float step = 0.0F, bits = 2.0F, keep = 1.0F;
};

ExactBytes plan_of(const std::function<void(PlanFields&)>& change) {
  PlanFields f;
  change(f);
  return frame_of(schema::Body::RoundPlan, [&](Builder& b) {
    return schema::CreateRoundPlan(b, 1, f.round, f.rounds, 1, f.model_bytes, 1, f.time_left_ms, f.learning_rate,
                                   f.momentum, f.weight_decay, f.proximal_mu, f.batch_size, f.local_epochs,
                                   f.local_steps, f.codec, f.levels, f.bucket, f.exact_coordinates_max, f.coder, f.step,
                                   f.bits, false, false, f.keep);
  });
}

TEST(FrameLimits, RoundPlanSizesAndTimes) {
  expect_good(plan_of([](PlanFields&) {}));
  expect_good(plan_of([](PlanFields& f) { f.model_bytes = kBlobBytesMax; }));
  expect_bad(plan_of([](PlanFields& f) { f.model_bytes = 0; }), Error::kLimit, "RoundPlan.model_bytes is 0");
  expect_bad(plan_of([](PlanFields& f) { f.model_bytes = kBlobBytesMax + 1; }), Error::kLimit,
             "RoundPlan.model_bytes is 268435457");
  constexpr uint64_t kYearMs = 366ULL * 86400 * 1000;
  expect_good(plan_of([](PlanFields& f) { f.time_left_ms = kYearMs; }));
  for (const uint64_t time : {kYearMs + 1, uint64_t{1} << 63, UINT64_MAX}) {
    expect_bad(plan_of([&](PlanFields& f) { f.time_left_ms = time; }), Error::kOutOfRange,
               "RoundPlan.time_left_ms is over a year");
  }
}

TEST(FrameLimits, RoundPlanNumbers) {
  using F = PlanFields;
  const auto bad = [](const std::function<void(F&)>& change, const char* field) {
    expect_bad(plan_of(change), Error::kOutOfRange, std::string("RoundPlan: ") + field + " must be ");
  };
  bad([](F& f) { f.round = 0; }, "round");
  bad([](F& f) { f.round = 3; }, "round");
  bad([](F& f) { f.rounds = 1000001; }, "rounds");
  bad([](F& f) { f.learning_rate = 0.0F; }, "learning_rate");
  bad([](F& f) { f.learning_rate = -0.1F; }, "learning_rate");
  bad([](F& f) { f.learning_rate = 100.1F; }, "learning_rate");
  bad([](F& f) { f.momentum = 1.0F; }, "momentum");
  bad([](F& f) { f.weight_decay = 1.1F; }, "weight_decay");
  bad([](F& f) { f.proximal_mu = -1.0F; }, "proximal_mu");
  bad([](F& f) { f.batch_size = 0; }, "batch_size");
  bad([](F& f) { f.batch_size = 4097; }, "batch_size");
  bad([](F& f) { f.local_epochs = 0; }, "local_epochs");
  bad([](F& f) { f.local_epochs = 1001; }, "local_epochs");
  bad([](F& f) { f.local_steps = 1000001; }, "local_steps");
  bad([](F& f) { f.levels = 0; }, "levels");
  bad([](F& f) { f.levels = 32768; }, "levels");
  bad([](F& f) { f.bucket = 7; }, "bucket");
  bad([](F& f) { f.bucket = 1048577; }, "bucket");
  bad([](F& f) { f.exact_coordinates_max = 65537; }, "exact_coordinates_max");
  for (const float value : {kNan, kInfinity, -kInfinity}) {
    expect_bad(plan_of([&](F& f) { f.learning_rate = value; }), Error::kNotFinite, "RoundPlan: learning_rate");
    expect_bad(plan_of([&](F& f) { f.momentum = value; }), Error::kNotFinite, "RoundPlan: momentum");
    expect_bad(plan_of([&](F& f) { f.weight_decay = value; }), Error::kNotFinite, "RoundPlan: weight_decay");
    expect_bad(plan_of([&](F& f) { f.proximal_mu = value; }), Error::kNotFinite, "RoundPlan: proximal_mu");
  }
  for (const uint8_t number : {plan::kCodecCount, uint8_t{255}}) {
    expect_bad(plan_of([&](F& f) { f.codec = number; }), Error::kUnsupported,
               "codec " + std::to_string(number) + " is not known here");
  }
}

TEST(FrameLimits, RoundPlanOptimizers) {
  const auto with = [](const std::function<void(plan::TrainingSpec&)>& change) {
    RoundPlan message;
    message.plan.round = message.plan.rounds = 1;
    message.model_bytes = 1;
    change(message.plan.training);
    FrameBuilder builder;
    return ExactBytes(builder.build(message));
  };
  const auto bad = [&with](const std::function<void(plan::TrainingSpec&)>& change, const char* field) {
    expect_bad(with(change), Error::kOutOfRange, std::string("RoundPlan: ") + field + " must be ");
  };
  using T = plan::TrainingSpec;
  expect_good(with([](T&) {}));
  expect_good(with([](T& t) { t.optimizer = plan::Optimizer::kAdamW; }));
  expect_bad(with([](T& t) { t.optimizer = static_cast<plan::Optimizer>(plan::kOptimizerCount); }), Error::kUnsupported,
             "RoundPlan: optimizer 4 is not known here");
  bad([](T& t) { t.beta1 = 1.0F; }, "beta1");
  bad([](T& t) { t.beta2 = 1.0F; }, "beta2");
  bad([](T& t) { t.epsilon = 0.0F; }, "epsilon");
  bad([](T& t) { t.clip_norm = -1.0F; }, "clip_norm");
  bad([](T& t) { t.accumulate = 0; }, "accumulate");
  bad([](T& t) { t.accumulate = 1025; }, "accumulate");
  bad([](T& t) { t.warmup_rounds = 1000001; }, "warmup_rounds");
  expect_good(with([](T& t) {
    t.scaffold_share = 1.0F;
    t.local_steps = 3;
    t.proximal_mu = 0.0F;
  }));
  expect_bad(with([](T& t) {
               t.scaffold_share = 1.0F;
               t.local_steps = 0;
             }),
             Error::kInvalidArgument, "RoundPlan: scaffold_share needs local_steps");
  bad([](T& t) { t.scaffold_share = 1.5F; }, "scaffold_share");
  expect_bad(with([](T& t) { t.clip_norm = kNan; }), Error::kNotFinite, "RoundPlan: clip_norm");
}

TEST(FrameLimits, RoundPlanCodecs) {
  using F = PlanFields;
  for (uint8_t codec = 0; codec < plan::kCodecCount; ++codec) {
    expect_good(plan_of([&](F& f) { f.codec = codec; }));
  }
  for (uint8_t coder = 0; coder < plan::kCoderCount; ++coder) {
    expect_good(plan_of([&](F& f) { f.coder = coder; }));
  }
  for (const uint8_t number : {plan::kCoderCount, uint8_t{255}}) {
    expect_bad(plan_of([&](F& f) { f.coder = number; }), Error::kUnsupported,
               "RoundPlan: coder " + std::to_string(number) + " is not known here");
  }
  const auto bad = [](const std::function<void(F&)>& change, Error error, const char* field) {
    expect_bad(plan_of(change), error, std::string("RoundPlan: ") + field + " must be ");
  };
  expect_good(plan_of([](F& f) { f.step = 1e-30F; }));
  bad([](F& f) { f.step = 9e-31F; }, Error::kOutOfRange, "step");
  bad([](F& f) { f.step = -1.0F; }, Error::kOutOfRange, "step");
  bad([](F& f) { f.bits = 0.0F; }, Error::kOutOfRange, "bits");
  bad([](F& f) { f.bits = 16.5F; }, Error::kOutOfRange, "bits");
  bad([](F& f) { f.keep = 0.0F; }, Error::kOutOfRange, "keep");
  bad([](F& f) { f.keep = 1.5F; }, Error::kOutOfRange, "keep");
  for (const float value : {kNan, kInfinity, -kInfinity}) {
    bad([&](F& f) { f.step = value; }, Error::kNotFinite, "step");
    bad([&](F& f) { f.bits = value; }, Error::kNotFinite, "bits");
    bad([&](F& f) { f.keep = value; }, Error::kNotFinite, "keep");
  }
}

// A plan of a coordinator that knows none of the fields appended since reads as what it meant.
TEST(FrameLimits, ARoundPlanOfBeforeTheCodersHasTheirDefaults) {
  const auto bytes = frame_of(schema::Body::RoundPlan, [](Builder& b) {
    return schema::CreateRoundPlan(b, 1, 1, 2, 1, 100, 1, 1000, 0.1F, 0.9F, 0.0F, 0.0F, 8, 1, 0, 1, 7, 128, 64);
  });
  const Result<Message> message = decode_frame(bytes.view());
  ASSERT_TRUE(message.ok()) << message.failure().text();
  const plan::CodecSpec& codec = std::get<RoundPlan>(*message).plan.codec;
  EXPECT_EQ(codec.coder, plan::Coder::kAuto);
  EXPECT_EQ(codec.step, 0.0F);
  EXPECT_EQ(codec.bits, 2.0F);
  EXPECT_FALSE(codec.rotate);
  EXPECT_FALSE(codec.error_feedback);
  EXPECT_EQ(codec.keep, 1.0F);
  const plan::RateSpec& rate = std::get<RoundPlan>(*message).plan.rate;
  EXPECT_EQ(rate.mode, plan::RateMode::kFixed);
  EXPECT_EQ(rate.contraction, 1.0F);
  EXPECT_FALSE(rate.deadline);
  const plan::TrainingSpec& training = std::get<RoundPlan>(*message).plan.training;
  EXPECT_EQ(training.schedule, plan::Schedule::kConstant);
  EXPECT_EQ(training.optimizer, plan::Optimizer::kSgd);
  EXPECT_EQ(training.clip_norm, 0.0F);
  EXPECT_EQ(training.accumulate, 1U);
  EXPECT_EQ(training.warmup_rounds, 0U);
  EXPECT_EQ(training.scaffold_share, 0.0F);
}

ExactBytes model_chunk(uint64_t offset, uint64_t total, size_t bytes) {
  return frame_of(schema::Body::ModelChunk, [&](Builder& b) {
    return schema::CreateModelChunk(b, 1, offset, total, b.CreateVector(std::vector<uint8_t>(bytes, 1)));
  });
}

ExactBytes update_chunk(uint64_t offset, size_t bytes) {
  return frame_of(schema::Body::UpdateChunk, [&](Builder& b) {
    return schema::CreateUpdateChunk(b, 1, offset, b.CreateVector(std::vector<uint8_t>(bytes, 1)));
  });
}

TEST(FrameLimits, ChunksLieWithinTheirMessage) {
  expect_good(model_chunk(0, kChunkBytesMax, kChunkBytesMax));
  expect_good(model_chunk(5, 10, 5));
  expect_bad(model_chunk(0, 10, 0), Error::kMalformed, "ModelChunk without payload");
  expect_bad(model_chunk(0, 100000, kChunkBytesMax + 1), Error::kLimit, "ModelChunk payload is 14337 bytes");
  expect_bad(model_chunk(6, 10, 5), Error::kOutOfRange, "ModelChunk covers [6, +5) of 10 bytes");
  expect_bad(model_chunk(UINT64_MAX, 10, 5), Error::kOutOfRange, "ModelChunk covers");
  expect_bad(model_chunk(0, kBlobBytesMax + 1, 5), Error::kOutOfRange, "ModelChunk covers");
  expect_bad(model_chunk(UINT64_MAX - 4, UINT64_MAX, 5), Error::kOutOfRange, "ModelChunk covers");
  expect_good(update_chunk(kBlobBytesMax - 5, 5));
  expect_bad(update_chunk(0, 0), Error::kMalformed, "UpdateChunk without payload");
  expect_bad(update_chunk(0, kChunkBytesMax + 1), Error::kLimit, "UpdateChunk payload is 14337 bytes");
  expect_bad(update_chunk(kBlobBytesMax - 4, 5), Error::kOutOfRange, "UpdateChunk covers");
  expect_bad(update_chunk(UINT64_MAX, 5), Error::kOutOfRange, "UpdateChunk covers");
  expect_bad(frame_of(schema::Body::UpdateChunk, [](Builder& b) { return schema::CreateUpdateChunk(b, 1, 0); }),
             Error::kMalformed, "UpdateChunk without payload");
}

TEST(FrameLimits, UpdateOffer) {
  const auto offer = [](uint64_t sequence, uint64_t total) {
    return frame_of(schema::Body::UpdateOffer,
                    [&](Builder& b) { return schema::CreateUpdateOffer(b, 1, sequence, 1, total, 0); });
  };
  expect_good(offer(1, 1));
  expect_good(offer(UINT64_MAX, kBlobBytesMax));
  const auto carrying = [](uint64_t total, size_t bytes) {
    return frame_of(schema::Body::UpdateOffer, [&](Builder& b) {
      return schema::CreateUpdateOffer(b, 1, 1, 1, total, 0, b.CreateVector(std::vector<uint8_t>(bytes, 1)));
    });
  };
  EXPECT_TRUE(decode_frame(carrying(kChunkBytesMax, kChunkBytesMax).view()).ok());
  expect_bad(carrying(100, 99), Error::kMalformed, "UpdateOffer.payload has 99 of 100 bytes");
  expect_bad(carrying(kChunkBytesMax + 1, kChunkBytesMax + 1), Error::kLimit, "UpdateOffer.payload has 14337 bytes");
  expect_bad(offer(0, 1), Error::kMalformed, "UpdateOffer.sequence is 0");
  expect_bad(offer(1, 0), Error::kLimit, "UpdateOffer.total_bytes is 0, it must be 1..268435456");
  expect_bad(offer(1, kBlobBytesMax + 1), Error::kLimit, "UpdateOffer.total_bytes is 268435457");
}

TEST(FrameLimits, EnumValuesOfANewerPeer) {
  expect_bad(frame_of(schema::Body::UpdateAck,
                      [](Builder& b) { return schema::CreateUpdateAck(b, 1, static_cast<schema::UpdateState>(2), 3); }),
             Error::kUnsupported, "UpdateAck.state");
  const auto bye =
      frame_of(schema::Body::Bye, [](Builder& b) { return schema::CreateBye(b, static_cast<schema::ByeCause>(9)); });
  const Result<Message> message = decode_frame(bye.view());
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(std::get<Bye>(*message).cause, ByeCause::kLeaving);
}

TEST(FrameLimits, AKindThatIsNotKnownIsUnsupported) {
  for (const unsigned kind : {13U, 14U, 200U, 255U}) {
    expect_bad(frame_of(static_cast<schema::Body>(kind), [](Builder& b) { return schema::CreatePing(b, 1); }),
               Error::kUnsupported, "message kind " + std::to_string(kind) + " is not known here");
  }
}

TEST(FrameLimits, AFrameWithoutABodyIsMalformed) {
  Builder builder;
  schema::FinishFrameBuffer(builder, schema::CreateFrame(builder));
  expect_bad(ExactBytes({builder.GetBufferPointer(), builder.GetSize()}), Error::kMalformed, "without a body");
  for (const unsigned kind : {1U, 12U, 13U}) {
    builder.Clear();
    schema::FinishFrameBuffer(builder, schema::CreateFrame(builder, static_cast<schema::Body>(kind), 0));
    expect_bad(ExactBytes({builder.GetBufferPointer(), builder.GetSize()}), Error::kMalformed, "without a body");
  }
  expect_bad(frame_of(schema::Body::NONE, [](Builder& b) { return schema::CreatePing(b, 1); }), Error::kMalformed,
             "without a body");
}

TEST(FrameLimits, ABodyOfAnotherKindThanItSaysNeverCrashes) {
  for (uint8_t kind = 1; kind <= 12; ++kind) {
    const auto bytes = frame_of(static_cast<schema::Body>(kind), [](Builder& b) {
      return schema::CreateHello(b, 1, 1, b.CreateString("device"), b.CreateString("software"),
                                 b.CreateVector(std::vector<uint8_t>{0, 1}), 15360, 1, 2);
    });
    const Result<Message> message = decode_frame(bytes.view());
    if (!message) {
      EXPECT_STRNE(message.failure().text(), "");
    }
  }
}

}  // namespace
}  // namespace runnel::wire
