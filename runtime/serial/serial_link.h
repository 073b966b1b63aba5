// Messages over a line that loses, garbles and repeats: what a board without a secure channel speaks with its gateway
// over a UART or in UDP datagrams. A pure machine, the same for both ends: bytes and `now` go in; messages, events,
// bytes to send and the next wake-up come out.
//
// Use: on each turn
//   - give what was received to handle_bytes() (again with the rest until all is taken) or handle_datagram(), and after
//     each call drain poll_event() and poll_message();
//   - handle_timeout(now);
//   - send poll_output() while it gives something and the line can take it;
//   - sleep until next_timeout() or until something comes.
// The board greets, the gateway answers; each start of a board begins a new link, and what an older one had queued is
// gone on both sides. An idle link sends nothing. A side that gets no answer for give_up_after takes the link as down;
// the board then greets again.
//
// Threads: one at a time. Memory: memory_bytes(options), given by the caller, and sizeof(SerialLink); nothing grows.
// Time: passed in. Trust: the line's bytes may be anything, they are checked before they are used; but whoever can
// write to the line can be the board: there are no secrets here.
#pragma once

#include <optional>

#include "runtime/base/fixed_string.h"
#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/serial/cobs.h"
#include "runtime/serial/line_frame.h"
#include "runtime/serial/send_window.h"

namespace runnel::serial {

enum class Role : uint8_t { kBoard, kGateway };

struct SerialLinkOptions {
  Role role = Role::kBoard;
  FixedString<kBoardNameBytesMax> name;      // the board's, as in its certificate; the gateway refuses another
  uint32_t piece_bytes_max = 240;            // of a message in one frame; kPieceBytesMin to kPieceBytesMax
  uint32_t message_bytes_max = 16384;        // longest message that is received
  uint32_t queue_bytes = 16384 + 8;          // outgoing messages, each with 4 bytes more, until they have arrived
  uint32_t peer_message_bytes_min = 0;       // the other side must take messages of so many bytes, or there is no link
  uint8_t window = 4;                        // pieces that may be under way to this side; 1 = stop and wait, up to 16
  bool datagrams = false;                    // a frame is a datagram: no stuffing, no zeros
  uint32_t nonce = 0;                        // another one at each start; a board may have nowhere to take it from
  Duration greet_first = milliseconds(200);  // board: pause before greeting again; doubles up to the last
  Duration greet_last = seconds(10);
  Duration refused_pause = seconds(60);           // board: after a refusal
  Duration retransmit_first = milliseconds(500);  // until a round trip has been measured
  Duration retransmit_min = milliseconds(30);
  Duration retransmit_max = seconds(4);
  Duration give_up_after = seconds(30);
};

struct SerialEvent {
  enum class Kind : uint8_t {
    kUp,       // messages can be sent
    kDown,     // was up; what was queued is gone, `why` says what happened
    kRefused,  // there will be no link for now, `why` is the other side's reason or ours
  };
  Kind kind = Kind::kDown;
  Failure why = Error::kOk;
};

struct SerialMessage {
  MessageType type = MessageType::kFrame;
  ByteView bytes;  // 8-byte aligned; until the next call of handle_bytes() or handle_datagram()
};

struct SerialCounters {
  uint64_t bytes_sent = 0, bytes_received = 0;
  uint64_t frames_sent = 0, frames_received = 0;
  uint64_t frames_dropped = 0;  // noise: wrong checksum, too long, cut off
  uint64_t frames_ignored = 0;  // whole, but of another link, repeated, out of order
  uint64_t pieces_sent = 0, pieces_sent_again = 0;
  uint64_t messages_sent = 0, messages_received = 0;
  uint64_t links = 0;  // times up
};

class SerialLink {
 public:
  // What the link needs besides itself, for example 1.3 KB with pieces of 96 bytes and messages of 512.
  static size_t memory_bytes(const SerialLinkOptions& options);
  // kInvalidArgument: a number out of its range. kNoMemory: less than memory_bytes().
  static Failure check(const SerialLinkOptions& options, ByteView memory);

  // `memory` is 8-byte aligned and must outlive the link. REQUIRES: check() is content. A gateway first asks who is
  // there, so that boards need not notice that it was away.
  SerialLink(const SerialLinkOptions& options, MutableByteView memory, Instant now);

  // Takes bytes of the stream until they end, or a message is whole; returns how many.
  size_t handle_bytes(Instant now, ByteView bytes);
  void handle_datagram(Instant now, ByteView bytes);
  void handle_timeout(Instant now);
  // The line itself is gone and back (unplugged, an address that changed): begins anew.
  void handle_line_reset(Instant now, const char* why);
  // Gateway: what the next welcome says; 0 = not known.
  void handle_wall_clock(uint64_t unix_s) { unix_s_ = unix_s; }

  // Queues a message. kUnreachable: not up. kLimit: longer than the other side takes, or than the queue. kBusy: no room
  // now. Nothing is queued on failure.
  Error send(MessageType type, ByteView message);
  bool has_room(size_t message_bytes) const { return up_ && window_.has_room(message_bytes); }

  // The next bytes for the line, one frame; until the next call. Empty when there is nothing to send now.
  ByteView poll_output(Instant now);
  std::optional<SerialMessage> poll_message();
  std::optional<SerialEvent> poll_event();
  Instant next_timeout() const;

  bool up() const { return up_; }
  bool all_sent() const { return window_.idle(); }
  // Of the other side; 0 before the first link.
  uint32_t peer_message_bytes_max() const { return peer_.message_bytes_max; }
  uint64_t peer_unix_s() const { return peer_unix_s_; }  // board: as the gateway said, 0 = not known
  const SerialCounters& counters() const { return counters_; }
  uint64_t frames_dropped() const { return counters_.frames_dropped + decoder_.frames_dropped(); }

 private:
  bool gateway() const { return options_.role == Role::kGateway; }
  void handle_raw(Instant now, ByteView bytes);
  void on_greet(Instant now, const LineFrame& frame);
  void on_welcome(Instant now, const LineFrame& frame);
  void on_refuse(Instant now, const LineFrame& frame);
  void on_gone(Instant now, const LineFrame& frame);
  void on_linked(Instant now, const LineFrame& frame);
  void take_piece(Instant now, const LineFrame& frame);
  void begin_link(Instant now, uint16_t link);
  void end_link(Instant now, Failure why);
  void refuse(Failure why);
  void say(SerialEvent::Kind kind, const Failure& why);
  ByteView send_control(FrameKind kind, uint16_t link, size_t payload_bytes);
  ByteView send_piece(Instant now, const SendWindow::Piece& piece);
  ByteView finish_frame(LineFrame frame);
  ByteView poll_greeting(Instant now);
  MutableByteView payload_room();
  LineLimits own_limits() const;

  const SerialLinkOptions options_;
  MutableByteView message_;   // being put together
  MutableByteView incoming_;  // one frame
  MutableByteView outgoing_;  // one frame, stuffed
  CobsDecoder decoder_;
  SendWindow window_;

  bool up_ = false;
  uint16_t link_ = 0;
  uint16_t life_ = 0;  // of the gateway: from one start to the next
  LineLimits peer_;
  uint64_t unix_s_ = 0;
  uint64_t peer_unix_s_ = 0;

  // Greeting. Board: when to greet. Gateway: the link that begins with its first frame.
  Instant greet_at_ = kNever;
  Duration greet_pause_{};
  bool greet_wanted_ = false;
  bool welcome_wanted_ = false;
  uint16_t offered_ = 0;  // 0 = none
  uint32_t offered_nonce_ = 0;
  LineLimits offered_to_;
  bool refuse_wanted_ = false;
  Failure refusal_ = Error::kOk;
  bool gone_wanted_ = false;
  uint16_t gone_link_ = 0;

  // Receiving.
  uint16_t expected_ = 0;
  size_t message_size_ = 0;
  MessageType message_type_ = MessageType::kFrame;
  bool message_begun_ = false;
  bool message_whole_ = false;
  bool ack_wanted_ = false;
  bool gap_ = false;

  // Sending.
  Instant retransmit_at_ = kNever;
  Instant progress_at_{};
  Duration retransmit_after_{};
  Duration round_trip_{};  // smoothed; zero = none measured
  Duration variation_{};
  bool went_back_ = false;  // since the last progress

  std::optional<SerialEvent> events_[2];  // a link that ended, and what came of the next
  SerialCounters counters_;
};

}  // namespace runnel::serial
