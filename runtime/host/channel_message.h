// The envelope of every message of a secure channel: kind and session id (the grammar is in secure_channel.h).
//
// Trust: parse_message() takes a stranger's bytes.
#pragma once

#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/host/secure_channel.h"

namespace runnel::host {

struct ChannelMessage {
  MessageKind kind = MessageKind::kDtls;
  SessionId session = 0;
  ByteView body;  // within the message
};

std::vector<uint8_t> make_message(MessageKind kind, SessionId session, ByteView body);

// kTruncated, kLimit (longer than kMessageBytesMax), kUnsupported (a kind that does not exist) or kMalformed (no
// session id, or a body where none belongs, or none where one does).
Result<ChannelMessage> parse_message(ByteView bytes);

}  // namespace runnel::host
