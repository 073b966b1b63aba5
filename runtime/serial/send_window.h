// Outgoing messages of a line: a queue in a ring of bytes, cut into pieces, with those under way kept until the other
// side has them. Go-back-N: the receiver takes pieces in order alone, so it needs no room for any that come early.
//
// Threads: one at a time. Memory: the ring is the caller's and must outlive the window. Time: passed in.
#pragma once

#include <array>
#include <optional>

#include "runtime/base/time.h"
#include "runtime/serial/line_frame.h"

namespace runnel::serial {

class SendWindow {
 public:
  static constexpr size_t kQueuedHeaderBytes = 4;  // in the ring, for each message

  explicit SendWindow(MutableByteView ring) : ring_(ring) {}

  // Forgets everything; sequences begin at 0.
  void reset(uint32_t piece_bytes, uint8_t window);

  bool has_room(size_t message_bytes) const {
    return message_bytes <= kLineMessageBytesMax && message_bytes + kQueuedHeaderBytes <= ring_.size() - used_;
  }
  // REQUIRES: has_room(message.size()).
  void push(MessageType type, ByteView message);

  struct Piece {
    uint16_t sequence = 0;
    uint8_t flags = 0;
    MessageType type = MessageType::kFrame;
    size_t at = 0;  // in the ring
    size_t bytes = 0;
    bool again = false;  // not for the first time
  };
  // The piece to be sent now, for the first time or again; nullopt when the window is full or nothing is left.
  std::optional<Piece> next(Instant now);
  void copy(const Piece& piece, MutableByteView to) const;

  struct Progress {
    bool possible = true;  // false: pieces were acknowledged that were never sent
    bool any = false;
    std::optional<Duration> round_trip;  // of a piece that was sent once
  };
  // All pieces before `next` have arrived.
  Progress acknowledge(uint16_t next, Instant now);

  // Everything under way is sent again.
  void go_back() { sent_ = 0; }
  bool in_flight() const { return count_ != 0; }
  bool idle() const { return used_ == 0; }
  uint16_t first_sequence() const { return first_sequence_; }  // the oldest under way, or the next to be cut

 private:
  struct Flight {
    Piece piece;
    Instant sent_at{};
  };
  size_t wrapped(size_t at) const { return at < ring_.size() ? at : at - ring_.size(); }
  void put(size_t at, ByteView bytes);
  void get(size_t at, MutableByteView bytes) const;
  bool cut();

  MutableByteView ring_;
  size_t read_ = 0;    // oldest message of which something is not acknowledged
  size_t used_ = 0;    // bytes from there on
  size_t cursor_ = 0;  // from read_ to the message that is being cut
  size_t cut_ = 0;     // of that message
  uint32_t piece_bytes_ = kPieceBytesMin;
  uint8_t window_ = 1;
  uint16_t first_sequence_ = 0;
  std::array<Flight, kWindowMax> flights_{};
  size_t count_ = 0;  // under way
  size_t sent_ = 0;   // of these, since going back
};

}  // namespace runnel::serial
