// The few words of rtnetlink that shaping a link takes: building a request, sending it, reading the kernel's answer.
//
// Threads: one a socket. Time: every call waits for the kernel's answer, which comes at once. Trust: the kernel's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "fleet/unique_fd.h"

namespace runnel::fleet {

class NetlinkRequest {
 public:
  // `flags` come on top of NLM_F_REQUEST.
  NetlinkRequest(uint16_t type, uint16_t flags);

  // The fixed part that follows the header, for example a tcmsg.
  template <typename T>
  void fixed(const T& part) {
    append(&part, sizeof part);
  }
  template <typename T>
  void attribute(uint16_t type, const T& value) {
    attribute_bytes(type, &value, sizeof value);
  }
  void attribute(uint16_t type, const std::string& text) { attribute_bytes(type, text.c_str(), text.size() + 1); }

  // Attributes between the two calls lie within one of type `type`.
  size_t open_nest(uint16_t type);
  void close_nest(size_t nest);

  // The whole message, with its length filled in.
  std::span<const uint8_t> finish(uint32_t sequence);

 private:
  void append(const void* data, size_t bytes);
  void attribute_bytes(uint16_t type, const void* data, size_t bytes);

  std::vector<uint8_t> bytes_;
};

// One attribute after another. `visit` gets the type without its flags, and the value.
using AttributeVisitor = std::function<void(uint16_t type, std::span<const uint8_t> value)>;
void visit_attributes(std::span<const uint8_t> bytes, const AttributeVisitor& visit);

// A plain value out of an attribute; a shorter one than expected (an older kernel's) leaves the rest zero.
template <typename T>
T attribute_value(std::span<const uint8_t> value) {
  T result{};
  std::memcpy(&result, value.data(), value.size() < sizeof(T) ? value.size() : sizeof(T));
  return result;
}

class NetlinkSocket {
 public:
  // In the network namespace of the calling thread. Throws FleetError.
  NetlinkSocket();

  // Sends and waits for the acknowledgement. The kernel's error as an errno value, 0 for success; throws FleetError
  // where the socket itself fails.
  int try_request(NetlinkRequest& request);

  // The same; throws FleetError "WHAT: why" when the kernel refuses.
  void request(NetlinkRequest& request, const std::string& what);

  // Sends a dump request; `visit` gets each message's payload behind the header.
  void dump(NetlinkRequest& request, const std::string& what,
            const std::function<void(uint16_t type, std::span<const uint8_t> payload)>& visit);

 private:
  void send(NetlinkRequest& request);

  UniqueFd fd_;
  uint32_t sequence_ = 0;
};

}  // namespace runnel::fleet
