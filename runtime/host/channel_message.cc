#include "runtime/host/channel_message.h"

namespace runnel::host {

std::vector<uint8_t> make_message(MessageKind kind, SessionId session, ByteView body) {
  std::vector<uint8_t> message(kMessageHeaderBytes + body.size());
  message[0] = static_cast<uint8_t>(kind);
  store_le(message.data() + 1, session);
  if (!body.empty()) std::memcpy(message.data() + kMessageHeaderBytes, body.data(), body.size());
  return message;
}

Result<ChannelMessage> parse_message(ByteView bytes) {
  if (bytes.size() < kMessageHeaderBytes) return Error::kTruncated;
  if (bytes.size() > kMessageBytesMax) return Error::kLimit;
  if (bytes[0] < static_cast<uint8_t>(MessageKind::kDtls) ||
      bytes[0] > static_cast<uint8_t>(MessageKind::kUnknownSession)) {
    return Error::kUnsupported;
  }
  ChannelMessage message;
  message.kind = static_cast<MessageKind>(bytes[0]);
  message.session = load_le<uint64_t>(bytes.data() + 1);
  message.body = bytes.subspan(kMessageHeaderBytes);
  if (message.session == 0) return Error::kMalformed;
  if (message.body.empty() != (message.kind == MessageKind::kUnknownSession)) return Error::kMalformed;
  return message;
}

}  // namespace runnel::host
