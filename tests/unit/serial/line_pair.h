// A board's end and a gateway's end of a line in virtual time, with a line between them that does what a test wants.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/serial/serial_link.h"

namespace runnel::serial {

using Bytes = std::vector<uint8_t>;

inline Bytes numbered(size_t size, uint32_t seed) {
  Rng rng(seed);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(4) == 0 ? 0 : rng.next_u64());
  return bytes;
}

inline SerialLinkOptions small_options(Role role) {
  SerialLinkOptions options;
  options.role = role;
  if (!options.name.assign("pump-7")) std::abort();
  options.piece_bytes_max = kPieceBytesMin;
  options.message_bytes_max = 1024;
  options.queue_bytes = 2048;
  return options;
}

// One end: the link, its memory, and everything that came out of it.
struct End {
  explicit End(const SerialLinkOptions& link_options, Instant now)
      : options(link_options), memory(SerialLink::memory_bytes(link_options) / 8), link(options, bytes(), now) {}
  MutableByteView bytes() { return {reinterpret_cast<uint8_t*>(memory.data()), memory.size() * 8}; }

  void drain() {
    while (const std::optional<SerialEvent> event = link.poll_event()) {
      events += event->kind == SerialEvent::Kind::kUp ? 'U' : event->kind == SerialEvent::Kind::kDown ? 'D' : 'R';
      last_words = event->why.text();
    }
    while (const std::optional<SerialMessage> message = link.poll_message()) {
      types.push_back(message->type);
      messages.emplace_back(message->bytes.begin(), message->bytes.end());
      aligned = aligned && reinterpret_cast<uintptr_t>(message->bytes.data()) % 8 == 0;
    }
  }
  void take(Instant now, ByteView input) {
    if (options.datagrams) {
      link.handle_datagram(now, input);
      drain();
      return;
    }
    while (!input.empty()) {
      input = input.subspan(link.handle_bytes(now, input));
      drain();
    }
  }

  SerialLinkOptions options;
  std::vector<uint64_t> memory;
  SerialLink link;
  std::string events;  // U, D, R
  std::string last_words;
  std::vector<Bytes> messages;
  std::vector<MessageType> types;
  bool aligned = true;
};

class LinePair {
 public:
  explicit LinePair(SerialLinkOptions board_options = small_options(Role::kBoard),
                    SerialLinkOptions gateway_options = small_options(Role::kGateway)) {
    ends_[0] = std::make_unique<End>(board_options, now);
    ends_[1] = std::make_unique<End>(gateway_options, now);
  }
  End& board() { return *ends_[0]; }
  End& gateway() { return *ends_[1]; }

  // The board, or the gateway, loses its power and starts again.
  void restart(size_t end) {
    SerialLinkOptions options = ends_[end]->options;
    if (end == 1) options.nonce += 1000;
    ends_[end].reset();
    ends_[end] = std::make_unique<End>(options, now);
  }

  // Advances until both are idle or `span` has passed.
  void run(Duration span) {
    const Instant until = now + span;
    for (;;) {
      step();
      Instant next = std::min(ends_[0]->link.next_timeout(), ends_[1]->link.next_timeout());
      if (!arrivals_.empty()) next = std::min(next, arrivals_.begin()->first);
      if (next > until) break;
      now = std::max(now, next);
    }
    now = until;
  }

  // What the line does with bytes on their way to `end` (0 board, 1 gateway): called for each frame; what it adds to
  // the list arrives, each after its own delay.
  struct Arrival {
    Duration after{};
    Bytes bytes;
  };
  std::function<std::vector<Arrival>(size_t end, Bytes bytes)> line = [](size_t, Bytes bytes) {
    return std::vector<Arrival>{{milliseconds(1), std::move(bytes)}};
  };
  Instant now{};
  uint64_t frames = 0;

 private:
  void step() {
    bool busy = true;
    while (busy) {
      busy = false;
      while (!arrivals_.empty() && arrivals_.begin()->first <= now) {
        auto [to, bytes] = std::move(arrivals_.begin()->second);
        arrivals_.erase(arrivals_.begin());
        ends_[to]->take(now, bytes);
        busy = true;
      }
      for (size_t from = 0; from < 2; ++from) {
        SerialLink& link = ends_[from]->link;
        link.handle_timeout(now);
        ends_[from]->drain();
        for (ByteView out = link.poll_output(now); !out.empty(); out = link.poll_output(now)) {
          ++frames;
          busy = true;
          for (Arrival& arrival : line(1 - from, Bytes(out.begin(), out.end())))
            arrivals_.emplace(now + arrival.after, std::pair(1 - from, std::move(arrival.bytes)));
        }
      }
    }
  }

  std::unique_ptr<End> ends_[2];
  std::multimap<Instant, std::pair<size_t, Bytes>> arrivals_;
};

}  // namespace runnel::serial
