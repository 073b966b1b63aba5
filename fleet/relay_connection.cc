#include "fleet/relay_connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace runnel::fleet {
namespace {

constexpr size_t kReadBytesMax = size_t{16} << 10;

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

void close_with_reset(UniqueFd& fd) {
  if (!fd.open()) return;
  const linger abort{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  fd.reset();
}

}  // namespace

RelayConnection::RelayConnection(UniqueFd device, UniqueFd coordinator) {
  device_.fd = std::move(device);
  coordinator_.fd = std::move(coordinator);
}

void RelayConnection::handle_events(RelaySide side, uint32_t events) {
  Socket& socket = side == RelaySide::kDevice ? device_ : coordinator_;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0) socket.readable = true;
  if ((events & (EPOLLOUT | EPOLLHUP)) != 0) socket.writable = true;
  if ((events & EPOLLERR) != 0) failed_ = true;
}

RelayConnection::Step RelayConnection::finish_connect() {
  if (!connecting_) return Step::kIdle;
  if (!coordinator_.writable) return Step::kIdle;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(coordinator_.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return Step::kBroken;
  connecting_ = false;
  return Step::kMoved;
}

RelayConnection::Step RelayConnection::read(Instant now, Socket& from, Direction& direction, TokenBucket& bucket,
                                            Duration latency, uint64_t& counter) {
  if (!from.readable || direction.end_seen) return Step::kIdle;
  std::array<uint8_t, kReadBytesMax> block;  // NOLINT(cppcoreguidelines-pro-type-member-init): recv fills it
  const uint64_t allowed =
      std::min<uint64_t>({bucket.available_bytes(now), direction.line.room_bytes(), uint64_t{block.size()}});
  if (allowed == 0) return Step::kIdle;
  const ssize_t got = ::recv(from.fd.get(), block.data(), static_cast<size_t>(allowed), MSG_DONTWAIT);
  if (got < 0) {
    if (!would_block(errno)) return Step::kBroken;
    from.readable = false;
    return Step::kIdle;
  }
  if (got == 0) {
    direction.end_seen = true;
    return Step::kMoved;
  }
  const auto bytes = static_cast<size_t>(got);
  bucket.take(bytes);
  counter += bytes;
  direction.line.push({block.data(), bytes}, now + latency);
  return Step::kMoved;
}

RelayConnection::Step RelayConnection::write(Instant now, Direction& direction, Socket& to) {
  if (direction.end_seen && direction.line.empty() && !direction.end_passed) {
    direction.end_passed = true;
    ::shutdown(to.fd.get(), SHUT_WR);
    return Step::kMoved;
  }
  const ByteView due = direction.line.front(now);
  if (due.empty() || !to.writable) return Step::kIdle;
  const ssize_t sent = ::send(to.fd.get(), due.data(), due.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (!would_block(errno)) return Step::kBroken;
    to.writable = false;
    return Step::kIdle;
  }
  direction.line.consume(static_cast<size_t>(sent));
  return Step::kMoved;
}

bool RelayConnection::pump(Instant now, const Link& link) {
  if (finish_connect() == Step::kBroken || failed_) return false;
  if (connecting_) return true;
  for (bool moved = true; moved;) {
    moved = false;
    for (const Step step : {read(now, device_, up_, link.up, link.latency, link.uplink_bytes),
                            read(now, coordinator_, down_, link.down, link.latency, link.downlink_bytes),
                            write(now, up_, coordinator_), write(now, down_, device_)}) {
      if (step == Step::kBroken) return false;
      moved = moved || step == Step::kMoved;
    }
  }
  return !(up_.end_passed && down_.end_passed);
}

Instant RelayConnection::direction_timeout(Instant now, const Socket& from, const Socket& to,
                                           const Direction& direction, TokenBucket& bucket) const {
  Instant next = kNever;
  if (!direction.line.empty() && to.writable) next = direction.line.next_due();
  if (from.readable && !direction.end_seen && direction.line.room_bytes() > 0) {
    next = std::min(next, bucket.ready_at(now));
  }
  return next;
}

Instant RelayConnection::next_timeout(Instant now, const Link& link) const {
  if (connecting_) return kNever;
  return std::min(direction_timeout(now, device_, coordinator_, up_, link.up),
                  direction_timeout(now, coordinator_, device_, down_, link.down));
}

void RelayConnection::reset() {
  close_with_reset(device_.fd);
  close_with_reset(coordinator_.fd);
}

}  // namespace runnel::fleet
