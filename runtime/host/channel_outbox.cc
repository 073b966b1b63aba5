#include "runtime/host/channel_outbox.h"

#include <utility>

namespace runnel::host {
namespace {

constexpr size_t kHintsQueuedMax = 1024;
constexpr size_t kBytesMax = 256UL * 1024 * 1024;

}  // namespace

bool ChannelOutbox::has_room(SessionId session) const {
  if (bytes_ + kMessageBytesMax > kBytesMax) return false;
  const auto count = counts_.find(session);
  return (count == counts_.end() ? 0 : count->second) < session_messages_max_;
}

bool ChannelOutbox::push(const RoutingId& to, MessageKind kind, SessionId session, ByteView body) {
  if (!has_room(session)) return false;
  entries_.push_back({to, session, false, make_message(kind, session, body)});
  bytes_ += entries_.back().message.size();
  ++counts_[session];
  return true;
}

bool ChannelOutbox::push_hint(const RoutingId& to, SessionId session, Instant now) {
  const int64_t second = to_ms(now.time_since_epoch()) / 1000;
  if (second != hint_second_) {
    hint_second_ = second;
    hints_this_second_ = 0;
  }
  if (hints_this_second_ >= hints_per_second_max_ || hints_queued_ >= kHintsQueuedMax) return false;
  ++hints_this_second_;
  ++hints_queued_;
  entries_.push_back({to, session, true, make_message(MessageKind::kUnknownSession, session, {})});
  bytes_ += entries_.back().message.size();
  return true;
}

bool ChannelOutbox::pop(RoutingId& to, std::vector<uint8_t>& out) {
  if (entries_.empty()) return false;
  Entry entry = std::move(entries_.front());
  entries_.pop_front();
  bytes_ -= entry.message.size();
  if (entry.hint) {
    --hints_queued_;
  } else if (const auto count = counts_.find(entry.session); --count->second == 0) {
    counts_.erase(count);
  }
  to = entry.to;
  out = std::move(entry.message);
  return true;
}

}  // namespace runnel::host
