// The coordinator's outgoing messages, until its socket takes them: in order, bounded for each session and altogether,
// and with a limit on how often strangers are told that their session is unknown. Internal to this room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/time.h"
#include "runtime/host/channel_message.h"
#include "runtime/host/routing_id.h"

namespace runnel::host {

class ChannelOutbox {
 public:
  ChannelOutbox(size_t session_messages_max, uint32_t hints_per_second_max)
      : session_messages_max_(session_messages_max), hints_per_second_max_(hints_per_second_max) {}

  // Whether one more message of any length fits for that session.
  bool has_room(SessionId session) const;
  // False, and nothing queued, when there is no room.
  bool push(const RoutingId& to, MessageKind kind, SessionId session, ByteView body);
  // False, and nothing queued, when there were too many hints this second or too many are still here.
  bool push_hint(const RoutingId& to, SessionId session, Instant now);
  bool pop(RoutingId& to, std::vector<uint8_t>& out);

 private:
  struct Entry {
    RoutingId to;
    SessionId session = 0;
    bool hint = false;
    std::vector<uint8_t> message;
  };

  size_t session_messages_max_;
  uint32_t hints_per_second_max_;
  std::deque<Entry> entries_;
  std::map<SessionId, size_t> counts_;  // of the sessions that have messages here
  size_t bytes_ = 0;
  int64_t hint_second_ = -1;
  uint32_t hints_this_second_ = 0;
  size_t hints_queued_ = 0;
};

}  // namespace runnel::host
