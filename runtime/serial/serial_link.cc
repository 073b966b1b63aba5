#include "runtime/serial/serial_link.h"

#include <algorithm>

namespace runnel::serial {
namespace {

constexpr size_t aligned(size_t bytes) {
  return (bytes + 7) / 8 * 8;
}

size_t frame_bytes(const SerialLinkOptions& options) {
  return options.piece_bytes_max + kFrameOverheadBytes;
}

}  // namespace

size_t SerialLink::memory_bytes(const SerialLinkOptions& options) {
  return aligned(options.message_bytes_max) + aligned(frame_bytes(options)) +
         aligned(cobs_bytes_max(frame_bytes(options))) + aligned(options.queue_bytes);
}

Failure SerialLink::check(const SerialLinkOptions& options, ByteView memory) {
  if (options.name.empty()) return fail(Error::kInvalidArgument, "serial line: a board without a name");
  if (options.piece_bytes_max < kPieceBytesMin || options.piece_bytes_max > kPieceBytesMax)
    return fail(Error::kInvalidArgument, "serial line: pieces of %u bytes, not %u to %u",
                static_cast<unsigned>(options.piece_bytes_max), static_cast<unsigned>(kPieceBytesMin),
                static_cast<unsigned>(kPieceBytesMax));
  if (options.window == 0 || options.window > kWindowMax)
    return fail(Error::kInvalidArgument, "serial line: a window of %u, not 1 to %u", unsigned{options.window},
                unsigned{kWindowMax});
  if (options.message_bytes_max == 0 || options.message_bytes_max > kLineMessageBytesMax ||
      options.queue_bytes <= SendWindow::kQueuedHeaderBytes || options.queue_bytes > kLineMessageBytesMax)
    return fail(Error::kInvalidArgument, "serial line: messages of %u bytes, a queue of %u",
                static_cast<unsigned>(options.message_bytes_max), static_cast<unsigned>(options.queue_bytes));
  if (memory.size() < memory_bytes(options) || reinterpret_cast<uintptr_t>(memory.data()) % 8 != 0)
    return fail(Error::kNoMemory, "serial line: %zu bytes of memory, aligned to 8, are needed", memory_bytes(options));
  return Error::kOk;
}

SerialLink::SerialLink(const SerialLinkOptions& options, MutableByteView memory, Instant now)
    : options_(options),
      message_(memory.first(options.message_bytes_max)),
      incoming_(memory.subspan(aligned(options.message_bytes_max), frame_bytes(options))),
      outgoing_(memory.subspan(aligned(options.message_bytes_max) + aligned(frame_bytes(options)),
                               cobs_bytes_max(frame_bytes(options)))),
      decoder_(incoming_),
      window_(memory.subspan(aligned(options.message_bytes_max) + aligned(frame_bytes(options)) +
                                 aligned(cobs_bytes_max(frame_bytes(options))),
                             options.queue_bytes)) {
  RUNNEL_ASSERT(check(options, memory).ok());
  if (gateway()) {
    gone_wanted_ = true;
    // Not the numbers of its last life, should frames of that be under way still.
    life_ = link_ = static_cast<uint16_t>(options.nonce);
  } else {
    greet_pause_ = options.greet_first;
    greet_at_ = now;
  }
}

// --- in ---

size_t SerialLink::handle_bytes(Instant now, ByteView bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && !message_whole_) {
    if (decoder_.take(bytes[taken++])) handle_raw(now, decoder_.frame());
  }
  counters_.bytes_received += taken;
  return taken;
}

void SerialLink::handle_datagram(Instant now, ByteView bytes) {
  counters_.bytes_received += bytes.size();
  if (message_whole_) return;  // not taken yet: this one is lost
  handle_raw(now, bytes);
}

void SerialLink::handle_raw(Instant now, ByteView bytes) {
  const Result<LineFrame> frame = read_frame(bytes);
  if (!frame) {
    ++counters_.frames_dropped;
    return;
  }
  ++counters_.frames_received;
  if (frame->version != kLineVersion && frame->kind != FrameKind::kGreet && frame->kind != FrameKind::kRefuse) {
    ++counters_.frames_ignored;
    return;
  }
  switch (frame->kind) {
    case FrameKind::kGreet:
      return on_greet(now, *frame);
    case FrameKind::kWelcome:
      return on_welcome(now, *frame);
    case FrameKind::kRefuse:
      return on_refuse(now, *frame);
    case FrameKind::kGone:
      return on_gone(now, *frame);
    case FrameKind::kPiece:
    case FrameKind::kAck:
      return on_linked(now, *frame);
  }
}

void SerialLink::on_linked(Instant now, const LineFrame& frame) {
  if (gateway() && offered_ != 0 && frame.link == offered_) {
    if (up_) end_link(now, fail(Error::kUnreachable, "the board has started again"));
    peer_ = offered_to_;
    begin_link(now, offered_);
    offered_ = 0;
  }
  if (!up_ || frame.link != link_) {
    ++counters_.frames_ignored;
    if (gateway()) {
      gone_wanted_ = true;
      gone_link_ = frame.link;
    }
    return;
  }
  const SendWindow::Progress progress = window_.acknowledge(frame.next, now);
  if (!progress.possible)
    return end_link(now,
                    fail(Error::kMalformed, "serial line: %u acknowledged, which was not sent", unsigned{frame.next}));
  if (progress.any) {
    progress_at_ = now;
    went_back_ = false;
    if (progress.round_trip.has_value()) {
      // RFC 6298, with samples of pieces that were sent once alone.
      const Duration sample = *progress.round_trip;
      if (round_trip_ == Duration::zero()) {
        round_trip_ = std::max<Duration>(sample, Duration(1));
        variation_ = sample / 2;
      } else {
        const Duration off = sample > round_trip_ ? sample - round_trip_ : round_trip_ - sample;
        variation_ = (3 * variation_ + off) / 4;
        round_trip_ = (7 * round_trip_ + sample) / 8;
      }
      retransmit_after_ = std::clamp<Duration>(round_trip_ + std::max<Duration>(4 * variation_, round_trip_ / 4),
                                               options_.retransmit_min, options_.retransmit_max);
    }
    retransmit_at_ = window_.in_flight() ? now + retransmit_after_ : kNever;
  }
  if ((frame.flags & kGap) != 0 && frame.next == window_.first_sequence() && window_.in_flight() && !went_back_) {
    went_back_ = true;
    window_.go_back();
  }
  if (frame.kind == FrameKind::kPiece) take_piece(now, frame);
}

void SerialLink::take_piece(Instant now, const LineFrame& frame) {
  ack_wanted_ = true;
  if (frame.sequence != expected_) {
    ++counters_.frames_ignored;
    if (static_cast<uint16_t>(frame.sequence - expected_) < 0x8000) gap_ = true;
    return;
  }
  const bool first = (frame.flags & kFirstPiece) != 0;
  if (first == message_begun_)
    return end_link(now, fail(Error::kMalformed, "serial line: a message that %s",
                              first ? "begins within another" : "has no beginning"));
  if (first) {
    message_size_ = 0;
    message_type_ = frame.type;
    message_begun_ = true;
  }
  if (frame.payload.size() > message_.size() - message_size_)
    return end_link(now, fail(Error::kLimit, "serial line: a message of more than %zu bytes", message_.size()));
  if (!frame.payload.empty()) std::memcpy(&message_[message_size_], frame.payload.data(), frame.payload.size());
  message_size_ += frame.payload.size();
  ++expected_;
  gap_ = false;
  if ((frame.flags & kLastPiece) == 0) return;
  message_begun_ = false;
  message_whole_ = true;
  ++counters_.messages_received;
}

// --- the link's beginning and end ---

void SerialLink::begin_link(Instant now, uint16_t link) {
  link_ = link;
  up_ = true;
  expected_ = 0;
  message_begun_ = message_whole_ = gap_ = false;
  ack_wanted_ = !gateway();  // the gateway waits for a first frame of the link
  window_.reset(std::min<uint32_t>(options_.piece_bytes_max, peer_.piece_bytes_max), peer_.window);
  retransmit_at_ = kNever;
  retransmit_after_ = options_.retransmit_first;
  round_trip_ = variation_ = Duration::zero();
  went_back_ = false;
  progress_at_ = now;
  greet_at_ = kNever;
  greet_wanted_ = false;
  greet_pause_ = options_.greet_first;
  ++counters_.links;
  say(SerialEvent::Kind::kUp, Error::kOk);
}

void SerialLink::end_link(Instant now, Failure why) {
  if (!up_) return;
  up_ = false;
  window_.reset(kPieceBytesMin, 1);
  message_begun_ = message_whole_ = ack_wanted_ = gap_ = false;
  retransmit_at_ = kNever;
  if (gateway()) {
    gone_wanted_ = true;
    gone_link_ = link_;
  } else {
    greet_at_ = now;
    greet_pause_ = options_.greet_first;
  }
  say(SerialEvent::Kind::kDown, why);
}

void SerialLink::handle_line_reset(Instant now, const char* why) {
  decoder_.reset();
  end_link(now, fail(Error::kUnreachable, "%s", why));
  if (gateway()) {
    offered_ = 0;
    gone_wanted_ = true;
    gone_link_ = 0;
  } else {
    greet_at_ = now;
  }
}

void SerialLink::handle_timeout(Instant now) {
  if (greet_at_ <= now) {
    greet_wanted_ = true;
    greet_at_ = now + greet_pause_;
    greet_pause_ = std::min(greet_pause_ * 2, options_.greet_last);
  }
  if (retransmit_at_ > now) return;
  if (now - progress_at_ >= options_.give_up_after)
    return end_link(now, fail(Error::kTimeout, "serial line: no answer for %lld s",
                              static_cast<long long>(to_ms(now - progress_at_) / 1000)));
  retransmit_after_ = std::min(retransmit_after_ * 2, options_.retransmit_max);
  retransmit_at_ = now + retransmit_after_;
  went_back_ = true;
  window_.go_back();
}

Instant SerialLink::next_timeout() const {
  return std::min(greet_at_, retransmit_at_);
}

// --- out ---

Error SerialLink::send(MessageType type, ByteView message) {
  if (!up_) return Error::kUnreachable;
  if (message.size() > peer_.message_bytes_max ||
      message.size() + SendWindow::kQueuedHeaderBytes > options_.queue_bytes)
    return Error::kLimit;
  if (!window_.has_room(message.size())) return Error::kBusy;
  window_.push(type, message);
  ++counters_.messages_sent;
  return Error::kOk;
}

ByteView SerialLink::poll_output(Instant now) {
  if (const ByteView greeting = poll_greeting(now); !greeting.empty()) return greeting;
  if (!up_) return {};
  if (const std::optional<SendWindow::Piece> piece = window_.next(now); piece.has_value())
    return send_piece(now, *piece);
  if (ack_wanted_) return send_control(FrameKind::kAck, link_, 0);
  return {};
}

// Where a frame's payload belongs, so that the frame is the end of the bytes that it is stuffed into.
MutableByteView SerialLink::payload_room() {
  return outgoing_.last(options_.piece_bytes_max + kChecksumBytes).first(options_.piece_bytes_max);
}

ByteView SerialLink::send_piece(Instant now, const SendWindow::Piece& piece) {
  if (retransmit_at_ == kNever) {
    retransmit_at_ = now + retransmit_after_;
    progress_at_ = now;
  }
  window_.copy(piece, payload_room());
  LineFrame frame;
  frame.kind = FrameKind::kPiece;
  frame.link = link_;
  frame.sequence = piece.sequence;
  frame.flags = piece.flags;
  frame.type = piece.type;
  frame.payload = ByteView(payload_room()).first(piece.bytes);
  ++counters_.pieces_sent;
  if (piece.again) ++counters_.pieces_sent_again;
  return finish_frame(frame);
}

ByteView SerialLink::send_control(FrameKind kind, uint16_t link, size_t payload_bytes) {
  LineFrame frame;
  frame.kind = kind;
  frame.link = link;
  if (kind == FrameKind::kWelcome || kind == FrameKind::kGone) frame.sequence = life_;
  frame.payload = ByteView(payload_room()).first(payload_bytes);
  return finish_frame(frame);
}

ByteView SerialLink::finish_frame(LineFrame frame) {
  if (frame.kind == FrameKind::kPiece || frame.kind == FrameKind::kAck) {
    frame.next = expected_;
    if (gap_) frame.flags |= kGap;
    ack_wanted_ = gap_ = false;
  }
  const size_t bytes = kFrameOverheadBytes + frame.payload.size();
  ++counters_.frames_sent;
  if (options_.datagrams) {
    const MutableByteView out = outgoing_.last(options_.piece_bytes_max + kFrameOverheadBytes);
    const size_t written = write_frame(frame, out);
    counters_.bytes_sent += written;
    return ByteView(out).first(written);
  }
  const size_t stuffed_max = cobs_bytes_max(bytes);
  const MutableByteView out = outgoing_.first(stuffed_max);
  const MutableByteView raw = out.last(bytes);
  write_frame(frame, raw);
  const size_t written = cobs_encode(raw, out);
  counters_.bytes_sent += written;
  return ByteView(out).first(written);
}

// --- events ---

std::optional<SerialMessage> SerialLink::poll_message() {
  if (!message_whole_) return std::nullopt;
  message_whole_ = false;
  return SerialMessage{message_type_, ByteView(message_).first(message_size_)};
}

// The owner drains events after each input. Should there be a third, the link of the second came and went meanwhile:
// only what became of it matters.
void SerialLink::say(SerialEvent::Kind kind, const Failure& why) {
  std::optional<SerialEvent>& slot = events_[events_[0].has_value() ? 1 : 0];
  slot = SerialEvent{kind, why};
}

std::optional<SerialEvent> SerialLink::poll_event() {
  std::optional<SerialEvent> first = events_[0];
  events_[0] = events_[1];
  events_[1].reset();
  return first;
}

}  // namespace runnel::serial
