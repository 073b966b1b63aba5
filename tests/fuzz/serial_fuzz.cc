// A link that hears anything stays within its memory, never gives a message longer than its bound, and comes back to a
// peer that behaves.
//
// Input: one byte of options (1 gateway, 2 datagrams, 4 a window of one, 8 frames are made whole: what follows is cut
// into frames by its zeros, each with a right checksum), then what is heard.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "runtime/serial/serial_link.h"

namespace {

using namespace runnel;          // NOLINT(google-build-using-namespace): a program of one file
using namespace runnel::serial;  // NOLINT(google-build-using-namespace)

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "serial_fuzz: %s\n", what);
  std::abort();
}

struct End {
  explicit End(const SerialLinkOptions& options)
      : memory(SerialLink::memory_bytes(options) / 8),
        link(options, {reinterpret_cast<uint8_t*>(memory.data()), memory.size() * 8}, Instant{}),
        bound(options.message_bytes_max) {}
  void drain() {
    while (link.poll_event().has_value()) {
    }
    while (const std::optional<SerialMessage> message = link.poll_message())
      require(message->bytes.size() <= bound, "a message beyond its bound");
  }
  void hear(Instant now, ByteView bytes, bool datagram) {
    if (datagram) {
      link.handle_datagram(now, bytes);
      return drain();
    }
    while (!bytes.empty()) {
      const size_t taken = link.handle_bytes(now, bytes);
      require(taken > 0 && taken <= bytes.size(), "the stream does not move");
      bytes = bytes.subspan(taken);
      drain();
    }
  }
  std::vector<uint64_t> memory;
  SerialLink link;
  size_t bound;
};

SerialLinkOptions options_of(Role role, uint8_t flags) {
  SerialLinkOptions options;
  options.role = role;
  require(options.name.assign("b"), "a name");
  options.piece_bytes_max = kPieceBytesMin;
  options.message_bytes_max = 300;
  options.queue_bytes = 700;
  options.datagrams = (flags & 2) != 0;
  options.window = (flags & 4) != 0 ? 1 : 4;
  return options;
}

void pass(Instant now, End& from, End& to, bool datagram) {
  for (int frames = 0; frames < 100; ++frames) {
    const ByteView out = from.link.poll_output(now);
    if (out.empty()) return;
    const std::vector<uint8_t> copy(out.begin(), out.end());
    to.hear(now, copy, datagram);
  }
  require(false, "there is no end of what it says");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t flags = data[0];
  const bool datagram = (flags & 2) != 0;
  ByteView rest(data + 1, size - 1);
  const Role role = (flags & 1) != 0 ? Role::kGateway : Role::kBoard;
  End end(options_of(role, flags));
  End peer(options_of(role == Role::kBoard ? Role::kGateway : Role::kBoard, flags));
  Instant now{};
  // A link that stands is more to break.
  for (int turn = 0; turn < 4; ++turn) {
    end.link.handle_timeout(now);
    peer.link.handle_timeout(now);
    pass(now, end, peer, datagram);
    pass(now, peer, end, datagram);
  }
  require(end.link.up() && peer.link.up(), "no link on a good line");
  static_cast<void>(end.link.send(MessageType::kFrame, rest.first(std::min<size_t>(rest.size(), 300))));
  while (!rest.empty()) {
    size_t length = 0;
    while (length < rest.size() && rest[length] != 0) ++length;
    std::vector<uint8_t> heard(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length));
    rest = rest.subspan(std::min(rest.size(), length + 1));
    if ((flags & 8) != 0 && heard.size() >= kHeaderBytes) {
      LineFrame frame;
      frame.version = heard[0];
      frame.kind = static_cast<FrameKind>(heard[1] % 8);
      frame.link = heard[2] < 128 ? 1 : heard[2];
      frame.sequence = heard[4] < 128 ? heard[4] % 8 : heard[4];
      frame.next = heard[6] < 128 ? heard[6] % 8 : heard[6];
      frame.flags = heard[8];
      frame.type = static_cast<MessageType>(heard[9]);
      frame.payload = ByteView(heard).subspan(kHeaderBytes);
      std::vector<uint8_t> raw(heard.size() + kChecksumBytes);
      static_cast<void>(write_frame(frame, raw));
      heard = raw;
      if (!datagram) {
        heard.resize(cobs_bytes_max(raw.size()));
        heard.resize(cobs_encode(raw, heard));
      }
    }
    end.hear(now, heard, datagram);
    now += milliseconds(7);
    end.link.handle_timeout(now);
    for (int frames = 0; !end.link.poll_output(now).empty(); ++frames) require(frames < 100, "it never stops");
  }
  // Whatever it heard, a gateway that starts anew, or a board, finds it within the longest pauses.
  SerialLinkOptions anew = options_of(role == Role::kBoard ? Role::kGateway : Role::kBoard, flags);
  anew.nonce = 77;
  End fresh(anew);
  if (!datagram) end.hear(now, std::vector<uint8_t>(2, 0), false);
  for (int turn = 0; turn < 40; ++turn) {
    now += seconds(5);
    end.link.handle_timeout(now);
    fresh.link.handle_timeout(now);
    end.drain();
    pass(now, end, fresh, datagram);
    pass(now, fresh, end, datagram);
    pass(now, end, fresh, datagram);
  }
  require(end.link.up() && fresh.link.up(), "no link any more");
  return 0;
}
