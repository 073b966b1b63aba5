#include "gateway/board_address.h"

#include <gtest/gtest.h>

namespace runnel::gateway {
namespace {

using Kind = BoardAddress::Kind;

TEST(BoardAddress, SerialLines) {
  const Result<BoardAddress> fast = parse_board_address("/dev/ttyUSB0@921600");
  ASSERT_TRUE(fast.ok());
  EXPECT_EQ(fast->kind, Kind::kSerial);
  EXPECT_EQ(fast->path, "/dev/ttyUSB0");
  EXPECT_EQ(fast->baud, 921600U);
  const Result<BoardAddress> plain = parse_board_address("/dev/pts/3");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->path, "/dev/pts/3");
  EXPECT_EQ(plain->baud, 115200U);
}

TEST(BoardAddress, SocketsAndDatagrams) {
  const Result<BoardAddress> path = parse_board_address("unix:/run/board.sock");
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(path->kind, Kind::kUnix);
  EXPECT_EQ(path->path, "/run/board.sock");
  const Result<BoardAddress> tcp = parse_board_address("tcp:[::1]:7001");
  ASSERT_TRUE(tcp.ok());
  EXPECT_EQ(tcp->kind, Kind::kTcp);
  EXPECT_EQ(tcp->host, "::1");
  EXPECT_EQ(tcp->port, 7001);
  const Result<BoardAddress> udp = parse_board_address("udp://0.0.0.0:7001,from=192.168.1.20:7000");
  ASSERT_TRUE(udp.ok());
  EXPECT_EQ(udp->kind, Kind::kUdp);
  EXPECT_EQ(udp->host, "0.0.0.0");
  EXPECT_EQ(udp->port, 7001);
  EXPECT_EQ(udp->board_host, "192.168.1.20");
  EXPECT_EQ(udp->board_port, 7000);
}

TEST(BoardAddress, WhatIsNoneIsQuoted) {
  for (const char* text : {"", "ttyUSB0", "/dev/ttyUSB0@fast", "/dev/ttyUSB0@", "/dev/ttyUSB0@0", "unix:", "tcp:host",
                           "tcp:host:0", "tcp:host:65536", "tcp::7001", "udp://0.0.0.0:7001",
                           "udp://0.0.0.0:7001,from=1.2.3.4", "udp://0.0.0.0,from=1.2.3.4:5"}) {
    const Result<BoardAddress> address = parse_board_address(text);
    EXPECT_EQ(address.error(), Error::kInvalidArgument) << text;
    EXPECT_NE(std::string(address.failure().text()).find("\"" + std::string(text) + "\""), std::string::npos) << text;
  }
  EXPECT_FALSE(parse_board_address("unix:" + std::string(108, 'x')).ok());
}

TEST(BoardAddress, AnOptionIsABundleAndAnAddress) {
  const Result<BoardOption> option = parse_board_option("fleet/pump-7.toml=udp://[::]:7001,from=[::1]:7000");
  ASSERT_TRUE(option.ok());
  EXPECT_EQ(option->bundle_path, "fleet/pump-7.toml");
  EXPECT_EQ(option->address.text, "udp://[::]:7001,from=[::1]:7000");
  EXPECT_EQ(parse_board_option("/dev/ttyUSB0").error(), Error::kInvalidArgument);
  EXPECT_EQ(parse_board_option("=/dev/ttyUSB0").error(), Error::kInvalidArgument);
}

}  // namespace
}  // namespace runnel::gateway
