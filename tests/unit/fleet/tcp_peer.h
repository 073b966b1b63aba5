// Plain blocking loopback sockets for tests of the relay: a listener that plays the coordinator, and connections.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "fleet/unique_fd.h"

namespace runnel::fleet {

inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

class TcpPeer {
 public:
  TcpPeer() = default;
  explicit TcpPeer(UniqueFd fd) : fd_(std::move(fd)) {}

  static TcpPeer connect_to(uint16_t port) {
    TcpPeer peer(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    const sockaddr_in address = loopback(port);
    if (::connect(peer.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) peer.fd_.reset();
    return peer;
  }

  bool open() const { return fd_.open(); }
  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }
  void shut_down_writing() const { ::shutdown(fd_.get(), SHUT_WR); }

  // Bytes taken by the kernel without waiting.
  size_t send(const std::string& bytes) const {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? 0 : static_cast<size_t>(sent);
  }

  // What is there now.
  std::string receive() {
    std::string all;
    char block[4096];
    for (;;) {
      const ssize_t got = ::recv(fd_.get(), block, sizeof block, MSG_DONTWAIT);
      if (got <= 0) {
        ended_ = got == 0;
        reset_ = got < 0 && errno == ECONNRESET;
        return all;
      }
      all.append(block, static_cast<size_t>(got));
    }
  }
  bool ended() const { return ended_; }  // the last receive() met the end of the stream
  bool was_reset() const { return reset_; }

 private:
  UniqueFd fd_;
  bool ended_ = false;
  bool reset_ = false;
};

class TcpServer {
 public:
  TcpServer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size);
    ::listen(fd_.get(), 16);
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  uint16_t port() const { return port_; }
  // A connection that waits, or a closed peer.
  TcpPeer accept_now() const { return TcpPeer(UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC))); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  uint16_t port_ = 0;
};

}  // namespace runnel::fleet
