#include "runtime/serial/send_window.h"

#include <algorithm>

namespace runnel::serial {

void SendWindow::reset(uint32_t piece_bytes, uint8_t window) {
  piece_bytes_ = piece_bytes;
  window_ = std::min(window, kWindowMax);
  read_ = used_ = cursor_ = cut_ = count_ = sent_ = 0;
  first_sequence_ = 0;
}

void SendWindow::put(size_t at, ByteView bytes) {
  if (bytes.empty()) return;
  const size_t before_end = std::min(bytes.size(), ring_.size() - at);
  std::memcpy(&ring_[at], bytes.data(), before_end);
  if (before_end < bytes.size()) std::memcpy(&ring_[0], &bytes[before_end], bytes.size() - before_end);
}

void SendWindow::get(size_t at, MutableByteView bytes) const {
  if (bytes.empty()) return;
  const size_t before_end = std::min(bytes.size(), ring_.size() - at);
  std::memcpy(bytes.data(), &ring_[at], before_end);
  if (before_end < bytes.size()) std::memcpy(&bytes[before_end], &ring_[0], bytes.size() - before_end);
}

void SendWindow::push(MessageType type, ByteView message) {
  RUNNEL_ASSERT(has_room(message.size()));
  std::array<uint8_t, kQueuedHeaderBytes> header;
  store_le<uint32_t>(header.data(),
                     static_cast<uint32_t>(message.size()) | static_cast<uint32_t>(static_cast<uint8_t>(type)) << 24);
  put(wrapped(read_ + used_), header);
  put(wrapped(wrapped(read_ + used_) + kQueuedHeaderBytes), message);
  used_ += kQueuedHeaderBytes + message.size();
}

bool SendWindow::cut() {
  if (cursor_ == used_ || count_ == window_) return false;
  std::array<uint8_t, kQueuedHeaderBytes> header;
  const size_t message_at = wrapped(read_ + cursor_);
  get(message_at, header);
  const auto word = load_le<uint32_t>(header.data());
  const size_t total = word & 0xFFFFFFU;
  Flight& flight = flights_[count_];
  flight.piece.sequence = static_cast<uint16_t>(first_sequence_ + count_);
  flight.piece.type = static_cast<MessageType>(word >> 24);
  flight.piece.at = wrapped(wrapped(message_at + kQueuedHeaderBytes) + cut_);
  flight.piece.bytes = std::min<size_t>(piece_bytes_, total - cut_);
  flight.piece.flags = cut_ == 0 ? kFirstPiece : 0;
  flight.piece.again = false;
  cut_ += flight.piece.bytes;
  if (cut_ == total) {
    flight.piece.flags |= kLastPiece;
    cursor_ += kQueuedHeaderBytes + total;
    cut_ = 0;
  }
  ++count_;
  return true;
}

std::optional<SendWindow::Piece> SendWindow::next(Instant now) {
  const bool again = sent_ < count_;
  if (!again && !cut()) return std::nullopt;
  Flight& flight = flights_[sent_++];
  flight.piece.again = again;
  flight.sent_at = now;
  const Piece piece = flight.piece;
  return piece;
}

void SendWindow::copy(const Piece& piece, MutableByteView to) const {
  RUNNEL_ASSERT(to.size() >= piece.bytes);
  get(piece.at, to.first(piece.bytes));
}

SendWindow::Progress SendWindow::acknowledge(uint16_t next, Instant now) {
  const auto arrived = static_cast<uint16_t>(next - first_sequence_);
  if (arrived > 0x7FFF) return {};  // an old one
  if (arrived > count_) return {false, false, std::nullopt};
  if (arrived == 0) return {};
  Progress progress{true, true, std::nullopt};
  const Flight& newest = flights_[arrived - 1U];
  if (!newest.piece.again) progress.round_trip = now - newest.sent_at;
  for (size_t i = 0; i < arrived; ++i) {
    if ((flights_[i].piece.flags & kLastPiece) == 0) continue;
    std::array<uint8_t, kQueuedHeaderBytes> header;
    get(read_, header);
    const size_t whole = kQueuedHeaderBytes + (load_le<uint32_t>(header.data()) & 0xFFFFFFU);
    read_ = wrapped(read_ + whole);
    used_ -= whole;
    cursor_ -= whole;
  }
  std::move(flights_.begin() + arrived, flights_.begin() + static_cast<std::ptrdiff_t>(count_), flights_.begin());
  count_ -= arrived;
  sent_ -= std::min<size_t>(sent_, arrived);
  first_sequence_ = next;
  return progress;
}

}  // namespace runnel::serial
