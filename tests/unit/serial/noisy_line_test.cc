// Lines that lose, repeat, reorder and garble: every message arrives once, whole and in order, or the link says that it
// is down.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tests/unit/serial/line_pair.h"

namespace runnel::serial {
namespace {

struct Noise {
  double lose = 0.0;
  double repeat = 0.0;
  double flip = 0.0;
  double garbage = 0.0;
  int64_t delay_ms_max = 1;  // more than 1 reorders
};

std::vector<LinePair::Arrival> through(const Noise& noise, Rng& rng, Bytes bytes) {
  const auto chance = [&rng](double p) { return rng.below(1'000'000) < static_cast<uint64_t>(p * 1e6); };
  std::vector<LinePair::Arrival> out;
  if (chance(noise.lose)) return out;
  if (chance(noise.flip) && !bytes.empty()) {
    uint8_t& byte = bytes[static_cast<size_t>(rng.below(bytes.size()))];
    byte = static_cast<uint8_t>(byte ^ (1U << rng.below(8)));
  }
  const auto delay = [&] {
    return milliseconds(1 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(noise.delay_ms_max))));
  };
  if (chance(noise.garbage)) {
    Bytes garbage(static_cast<size_t>(rng.below(300)));
    for (uint8_t& byte : garbage) byte = static_cast<uint8_t>(rng.next_u64());
    out.push_back({delay(), std::move(garbage)});
  }
  if (chance(noise.repeat)) out.push_back({delay(), bytes});
  out.push_back({delay(), std::move(bytes)});
  return out;
}

// Sends `count` messages each way as room comes; returns the pair when all has arrived or an hour has passed.
void exchange(LinePair& pair, size_t count, uint32_t seed, std::vector<Bytes>& up, std::vector<Bytes>& down) {
  Rng rng(seed);
  for (int slice = 0; slice < 36000; ++slice) {
    pair.run(milliseconds(100));
    for (auto [end, sent] : {std::pair(&pair.board(), &up), std::pair(&pair.gateway(), &down)}) {
      while (sent->size() < count) {
        const Bytes message = numbered(static_cast<size_t>(rng.below(1025)), static_cast<uint32_t>(rng.next_u64()));
        if (end->link.send(MessageType::kFrame, message) != Error::kOk) break;
        sent->push_back(message);
      }
    }
    if (pair.gateway().messages.size() == count && pair.board().messages.size() == count) return;
  }
}

void check_arrives(const Noise& noise, uint32_t seed, bool datagrams, uint8_t window) {
  SerialLinkOptions board = small_options(Role::kBoard);
  SerialLinkOptions gateway = small_options(Role::kGateway);
  board.datagrams = gateway.datagrams = datagrams;
  board.window = gateway.window = window;
  board.give_up_after = gateway.give_up_after = seconds(3600);
  LinePair pair(board, gateway);
  Rng rng(seed + 1);
  pair.line = [&](size_t, Bytes bytes) { return through(noise, rng, std::move(bytes)); };
  std::vector<Bytes> up;
  std::vector<Bytes> down;
  exchange(pair, 25, seed, up, down);
  RC_ASSERT(pair.gateway().messages == up);
  RC_ASSERT(pair.board().messages == down);
  RC_ASSERT(up.size() == 25U);
  RC_ASSERT(pair.board().events == "U");
}

TEST(NoisyLine, EveryMessageArrivesOnceAndInOrder) {
  RC_ASSERT(rc::check("serial line", [] {
    Noise noise;
    noise.lose = *rc::gen::inRange(0, 30) / 100.0;
    noise.repeat = *rc::gen::inRange(0, 30) / 100.0;
    noise.flip = *rc::gen::inRange(0, 30) / 100.0;
    noise.garbage = *rc::gen::inRange(0, 20) / 100.0;
    check_arrives(noise, *rc::gen::arbitrary<uint32_t>(), false, static_cast<uint8_t>(*rc::gen::inRange(1, 17)));
  }));
}

TEST(NoisyLine, DatagramsMayOvertakeEachOther) {
  RC_ASSERT(rc::check("datagrams", [] {
    Noise noise;
    noise.lose = *rc::gen::inRange(0, 20) / 100.0;
    noise.repeat = *rc::gen::inRange(0, 30) / 100.0;
    noise.flip = *rc::gen::inRange(0, 20) / 100.0;
    noise.delay_ms_max = *rc::gen::inRange(1, 40);
    check_arrives(noise, *rc::gen::arbitrary<uint32_t>(), true, static_cast<uint8_t>(*rc::gen::inRange(1, 17)));
  }));
}

TEST(NoisyLine, EverySplitOfTheStreamIsTheSame) {
  for (const size_t at_once : std::initializer_list<size_t>{1, 2, 3, 7, 64, 1000}) {
    LinePair pair;
    Bytes held;
    pair.line = [&](size_t end, Bytes bytes) {
      std::vector<LinePair::Arrival> out;
      for (size_t at = 0; at < bytes.size(); at += at_once) {
        const size_t size = std::min(at_once, bytes.size() - at);
        out.push_back({milliseconds(1), Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                                              bytes.begin() + static_cast<std::ptrdiff_t>(at + size))});
      }
      static_cast<void>(end);
      return out;
    };
    std::vector<Bytes> up;
    std::vector<Bytes> down;
    exchange(pair, 10, 5, up, down);
    EXPECT_EQ(pair.gateway().messages, up) << at_once;
    EXPECT_EQ(pair.board().messages, down) << at_once;
    EXPECT_EQ(pair.board().link.frames_dropped() + pair.gateway().link.frames_dropped(), 0U);
  }
}

// Boards that lose their power at any moment: what a message of the new life says comes from the new life.
TEST(NoisyLine, RestartsLoseMessagesButNeverMixThem) {
  RC_ASSERT(rc::check("restarts", [] {
    const auto seed = *rc::gen::arbitrary<uint32_t>();
    Rng rng(seed);
    LinePair pair;
    const Noise noise{0.05, 0.05, 0.05, 0.05, 1};
    pair.line = [&](size_t, Bytes bytes) { return through(noise, rng, std::move(bytes)); };
    for (int life = 0; life < 6; ++life) {
      pair.run(milliseconds(static_cast<int64_t>(rng.below(400))));
      pair.restart(rng.below(3) == 0 ? 1 : 0);
      for (int i = 0; i < 40; ++i) {
        pair.run(milliseconds(50));
        const Bytes message = numbered(static_cast<size_t>(rng.below(1025)), static_cast<uint32_t>(rng.below(50)));
        for (End* end : {&pair.board(), &pair.gateway()})
          static_cast<void>(end->link.send(MessageType::kFrame, message));
      }
      // A message that was put together of parts of two would not be one of the fifty.
      for (End* end : {&pair.board(), &pair.gateway()}) {
        for (const Bytes& got : end->messages) {
          bool known = false;
          for (uint32_t text = 0; text < 50 && !known; ++text) known = numbered(got.size(), text) == got;
          RC_ASSERT(known);
        }
        end->messages.clear();
      }
    }
    pair.run(seconds(30));
    RC_ASSERT(pair.board().link.up() && pair.gateway().link.up());
  }));
}

}  // namespace
}  // namespace runnel::serial
