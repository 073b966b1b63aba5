#include "fleet/simulator/hostile_frames.h"

#include "runtime/base/crc32c.h"
#include "runtime/wire/frame.h"

namespace runnel::fleet {
namespace {

// Small, huge, or in between: whatever a counter or a size could be mistaken for.
uint64_t wild(Rng& rng) {
  switch (rng.below(5)) {
    case 0:
      return rng.below(4);
    case 1:
      return rng.below(64);
    case 2:
      return rng.below(1 << 20);
    case 3:
      return ~uint64_t{0} - rng.below(3);
    default:
      return rng.next_u64();
  }
}

uint32_t wild32(Rng& rng) {
  return static_cast<uint32_t>(wild(rng));
}

std::vector<uint8_t> noise(Rng& rng, size_t bytes) {
  std::vector<uint8_t> result(bytes);
  for (uint8_t& byte : result) byte = static_cast<uint8_t>(rng.next_u64());
  return result;
}

std::vector<uint8_t> built(const wire::Message& message) {
  wire::FrameBuilder builder;
  const ByteView bytes = builder.build(message);
  return {bytes.begin(), bytes.end()};
}

// Flips a few bits and cuts something off the end, or does neither.
void damage(Rng& rng, std::vector<uint8_t>& bytes) {
  for (uint64_t flips = rng.below(6); flips > 0; --flips)
    bytes[rng.below(bytes.size())] ^= static_cast<uint8_t>(1U << rng.below(8));
  bytes.resize(bytes.size() - rng.below(3) * rng.below(bytes.size() / 2));
}

}  // namespace

std::vector<uint8_t> hostile_frame_up(Rng& rng, uint64_t run, const std::string& device, uint64_t settled) {
  const uint64_t far = (uint64_t{3} << 40) + rng.below(1 << 20);
  const uint64_t other = settled != 0 && rng.below(2) == 0 ? 1 + rng.below(settled) : far;
  const std::vector<uint8_t> junk = noise(rng, 1 + rng.below(256));
  const uint64_t maybe_run = rng.below(4) == 0 ? wild(rng) : run;
  wire::Hello hello;
  switch (rng.below(11)) {
    case 0:
      return junk;
    case 1: {  // an offer whose payload is as announced, and is no update
      const uint32_t checksum = crc32c(junk);
      return built(wire::UpdateOffer{maybe_run, other, wild32(rng), junk.size(), checksum, junk, wild(rng)});
    }
    case 2: {
      auto bytes = built(wire::UpdateOffer{run, far, 1, 1 + rng.below(4096), 7, {}, 0});
      damage(rng, bytes);
      return bytes;
    }
    case 3:
      return built(wire::UpdateOffer{maybe_run, other, wild32(rng), 1 + rng.below(1 << 16), wild32(rng), {}, 1});
    case 4:
      return built(wire::UpdateChunk{wild(rng), wild(rng) >> 1, junk});
    case 5:
      return built(wire::UpdateChunk{1 + rng.below(9), rng.below(4096), junk});
    case 6:
      return built(wire::ModelRequest{maybe_run, wild(rng), wild(rng), wild32(rng), wild(rng)});
    case 7:
      hello.device = device;
      hello.held_run = maybe_run;
      hello.held_model_version = wild(rng);
      for (uint8_t codec = 0; codec < plan::kCodecCount; ++codec) static_cast<void>(hello.codecs.push_back(codec));
      return built(hello);
    case 8:
      hello.device = "somebody-else";
      return built(hello);
    case 9:  // nothing for a coordinator
      return built(wire::UpdateAck{wild(rng), wire::UpdateState::kDurable, wild(rng)});
    default:
      return rng.below(2) == 0 ? built(wire::Bye{}) : built(wire::Ping{wild(rng)});
  }
}

std::vector<uint8_t> hostile_frame_down(Rng& rng, uint64_t run) {
  const std::vector<uint8_t> junk = noise(rng, 1 + rng.below(256));
  switch (rng.below(7)) {
    case 0:
      return junk;
    case 1: {
      auto bytes = built(wire::Pong{wild(rng)});
      damage(rng, bytes);
      const Result<wire::Message> read = wire::decode_frame(bytes);
      return !read.ok() || std::holds_alternative<wire::Pong>(*read) ? bytes : junk;  // else it might be a lie
    }
    case 2:
      return built(wire::ModelChunk{wild(rng), wild(rng) >> 1, wild(rng) >> 1, junk, wild(rng)});
    case 3:
      return built(wire::ModelChunk{1 + rng.below(4), rng.below(2048), 4096, junk, rng.below(3)});
    case 4:
      return built(wire::UpdateAck{wild(rng), wire::UpdateState::kReceiving, wild(rng)});
    case 5:  // nothing for a device
      return built(wire::ModelRequest{run, wild(rng), wild(rng), wild32(rng), wild(rng)});
    default:
      return built(wire::Ping{wild(rng)});
  }
}

}  // namespace runnel::fleet
