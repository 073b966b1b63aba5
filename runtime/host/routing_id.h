// Where a message came from: the name that a ROUTER socket gives to one connection. It dies with the connection.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>

#include "runtime/base/bytes.h"

namespace runnel::host {

class RoutingId {
 public:
  static constexpr size_t kBytesMax = 16;

  RoutingId() = default;

  // False, and unchanged, when there are more than kBytesMax bytes.
  [[nodiscard]] bool assign(ByteView bytes) {
    if (bytes.size() > kBytesMax) return false;
    bytes_.fill(0);
    if (!bytes.empty()) std::memcpy(bytes_.data(), bytes.data(), bytes.size());
    size_ = static_cast<uint8_t>(bytes.size());
    return true;
  }
  ByteView view() const { return {bytes_.data(), size_}; }
  friend auto operator<=>(const RoutingId&, const RoutingId&) = default;

 private:
  std::array<uint8_t, kBytesMax> bytes_{};
  uint8_t size_ = 0;
};

}  // namespace runnel::host
