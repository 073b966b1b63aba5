// Where a board is, as --board says it:
//   /dev/ttyUSB0@115200                            a serial line; 115200 baud unless told, 8 bits, no parity, 1 stop
//   bit /dev/pts/3                                     a pseudo-terminal, for example of QEMU's -serial pty
//   unix:/run/board.sock                           a socket that the board's side listens on (-serial unix:...,server)
//   tcp:127.0.0.1:7001                             the same over TCP (-serial tcp:...,server)
//   udp://0.0.0.0:7001,from=192.168.1.20:7000      datagrams from that one address
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/result.h"

namespace runnel::gateway {

struct BoardAddress {
  enum class Kind : uint8_t { kSerial, kUnix, kTcp, kUdp } kind = Kind::kSerial;
  std::string text;  // as it was given
  std::string path;  // kSerial, kUnix
  uint32_t baud = 115200;
  std::string host;  // kTcp; kUdp: ours
  uint16_t port = 0;
  std::string board_host;  // kUdp
  uint16_t board_port = 0;
};

// kInvalidArgument, quoting it.
Result<BoardAddress> parse_board_address(const std::string& text);

// "BUNDLE=ADDRESS".
struct BoardOption {
  std::string bundle_path;
  BoardAddress address;
};
Result<BoardOption> parse_board_option(const std::string& text);

}  // namespace runnel::gateway
