#include "fleet/endpoint.h"

#include <charconv>

#include "fleet/fleet_error.h"

namespace runnel::fleet {

Endpoint parse_endpoint(std::string_view text) {
  constexpr std::string_view kScheme = "tcp://";
  const size_t colon = text.rfind(':');
  Endpoint endpoint;
  bool valid = text.starts_with(kScheme) && colon != std::string_view::npos && colon > kScheme.size();
  if (valid) {
    endpoint.address = text.substr(kScheme.size(), colon - kScheme.size());
    const std::string_view port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    valid = error == std::errc{} && end == port.data() + port.size() && endpoint.port != 0;
  }
  if (!valid) throw FleetError("'" + std::string(text) + "' is not an endpoint such as tcp://127.0.0.1:40001");
  return endpoint;
}

std::string connect_address(const std::string& bind_address) {
  return bind_address == "0.0.0.0" || bind_address == "*" ? "127.0.0.1" : bind_address;
}

}  // namespace runnel::fleet
