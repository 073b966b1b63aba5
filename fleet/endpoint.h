// "tcp://127.0.0.1:40001": where a program listens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace runnel::fleet {

struct Endpoint {
  std::string address;  // IPv4, or * for all
  uint16_t port = 0;
};

// Throws FleetError.
Endpoint parse_endpoint(std::string_view text);

// The address to connect to when a program is bound to `bind_address`: loopback stands for "all addresses".
std::string connect_address(const std::string& bind_address);

}  // namespace runnel::fleet
