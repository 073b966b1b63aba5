#include "gateway/board_address.h"

#include <charconv>
#include <string_view>

namespace runnel::gateway {
namespace {

bool parse_number(std::string_view text, uint32_t max, uint32_t& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc() && end == text.data() + text.size() && to <= max;
}

// "HOST:PORT", or "[HOST]:PORT" where the host has colons.
bool parse_host_port(std::string_view text, std::string& host, uint16_t& port) {
  const size_t colon = text.rfind(':');
  uint32_t number = 0;
  if (colon == std::string_view::npos || !parse_number(text.substr(colon + 1), 65535, number) || number == 0)
    return false;
  std::string_view name = text.substr(0, colon);
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
  host = name;
  port = static_cast<uint16_t>(number);
  return !host.empty();
}

Failure bad(const std::string& text, const char* why) {
  return fail(Error::kInvalidArgument, "--board: \"%s\": %s", text.c_str(), why);
}

}  // namespace

Result<BoardAddress> parse_board_address(const std::string& text) {
  using Kind = BoardAddress::Kind;
  BoardAddress address;
  address.text = text;
  const std::string_view all = text;
  if (all.starts_with("unix:")) {
    address.kind = Kind::kUnix;
    address.path = all.substr(5);
    if (address.path.empty() || address.path.size() > 107) return bad(text, "not the path of a socket");
  } else if (all.starts_with("tcp:")) {
    address.kind = Kind::kTcp;
    if (!parse_host_port(all.substr(4), address.host, address.port)) return bad(text, "not tcp:HOST:PORT");
  } else if (all.starts_with("udp://")) {
    address.kind = Kind::kUdp;
    const size_t comma = all.find(",from=");
    if (comma == std::string_view::npos)
      return bad(text, "it must say who the board is: udp://HERE:PORT,from=BOARD:PORT");
    if (!parse_host_port(all.substr(6, comma - 6), address.host, address.port) ||
        !parse_host_port(all.substr(comma + 6), address.board_host, address.board_port))
      return bad(text, "not udp://HERE:PORT,from=BOARD:PORT");
  } else if (all.starts_with("/")) {
    const size_t at = all.rfind('@');
    address.path = all.substr(0, at);
    if (at != std::string_view::npos &&
        (!parse_number(all.substr(at + 1), 4'000'000, address.baud) || address.baud == 0))
      return bad(text, "what follows the @ is no baud rate");
  } else {
    return bad(text, "neither a device (/dev/...) nor unix:, tcp: or udp://");
  }
  return address;
}

Result<BoardOption> parse_board_option(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return bad(text, "not BUNDLE=ADDRESS");
  Result<BoardAddress> address = parse_board_address(text.substr(equals + 1));
  if (!address) return address.failure();
  return BoardOption{text.substr(0, equals), std::move(address).value()};
}

}  // namespace runnel::gateway
