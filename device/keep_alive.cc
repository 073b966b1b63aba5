#include "device/keep_alive.h"

#include "runtime/host/secure_channel.h"
#include "runtime/wire/frame.h"

namespace runnel::device {
namespace {

constexpr uint64_t kZmqHeaderBytes = 2;
constexpr uint64_t kTcpIpHeaderBytes = 40;

uint64_t exchange_bytes(const wire::Message& message) {
  wire::FrameBuilder builder;
  const uint64_t record = builder.build(message).size() + host::kMessageHeaderBytes + host::kRecordOverheadBytes;
  return record + kZmqHeaderBytes + kTcpIpHeaderBytes + kTcpIpHeaderBytes;  // the segment, and its acknowledgement
}

}  // namespace

uint64_t keep_alive_bytes_a_day(Duration ping_after) {
  if (ping_after <= Duration::zero()) return 0;
  const uint64_t exchanges = static_cast<uint64_t>(seconds(86400) / ping_after);
  return exchanges * (exchange_bytes(wire::Ping{1}) + exchange_bytes(wire::Pong{1}));
}

}  // namespace runnel::device
