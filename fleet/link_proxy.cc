#include "fleet/link_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

constexpr int kSocketBufferBytes = 16 << 10;  // the kernel doubles it
constexpr int kSegmentBytes = 1400;           // loopback would offer 64 KiB, which no radio link carries
constexpr uint32_t kListenerTag = 2;          // next to the two values of RelaySide

// An epoll tag: which link, which of its connections, which socket.
uint64_t make_tag(size_t link, uint32_t connection, uint32_t which) {
  return (uint64_t{link} << 32) | (uint64_t{connection} << 2) | which;
}

void set_option(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

void make_small(int fd) {
  set_option(fd, SOL_SOCKET, SO_SNDBUF, kSocketBufferBytes);
  set_option(fd, SOL_SOCKET, SO_RCVBUF, kSocketBufferBytes);
  set_option(fd, IPPROTO_TCP, TCP_MAXSEG, kSegmentBytes);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

sockaddr_in address_of(uint32_t address, uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_addr.s_addr = address;
  result.sin_port = htons(port);
  return result;
}

uint32_t parse_address(const std::string& text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) throw FleetError("'" + text + "' is not an IPv4 address");
  return address.s_addr;
}

UniqueFd open_socket() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.open()) throw system_error("socket");
  return fd;
}

}  // namespace

LinkProxy::LinkProxy(std::string bind_address, Clock clock)
    : bind_address_(std::move(bind_address)),
      clock_(std::move(clock)),
      began_at_(clock_()),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_.open()) throw system_error("epoll");
  parse_address(bind_address_);
}

LinkProxy::~LinkProxy() = default;

void LinkProxy::watch(int fd, uint64_t tag, uint32_t events) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw system_error("epoll");
}

size_t LinkProxy::add_link(std::shared_ptr<const RateTrace> trace, Duration offset) {
  const Instant now = clock_();
  const LinkState state = trace->at(now - began_at_ + offset);
  auto port = std::make_unique<LinkPort>(now, state.up_kbps, state.down_kbps);
  port->trace = std::move(trace);
  port->offset = offset;
  port->listener = open_socket();
  make_small(port->listener.get());
  sockaddr_in address = address_of(parse_address(bind_address_), 0);
  socklen_t size = sizeof address;
  if (::bind(port->listener.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(port->listener.get(), 16) != 0 ||
      ::getsockname(port->listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw system_error("cannot listen on " + bind_address_);
  }
  port->port = ntohs(address.sin_port);
  const size_t link = links_.size();
  watch(port->listener.get(), make_tag(link, 0, kListenerTag), EPOLLIN);
  links_.push_back(std::move(port));
  links_[link]->row_ends_at = now;
  follow_trace(link, now);
  return link;
}

void LinkProxy::begin() {
  began_at_ = clock_();
  for (size_t link = 0; link < links_.size(); ++link) {
    links_[link]->row_ends_at = began_at_;
    follow_trace(link, began_at_);
  }
}

void LinkProxy::set_target(const std::string& address, uint16_t port) {
  target_address_ = parse_address(address);
  target_port_ = port;
}

RelayConnection::Link LinkProxy::view(LinkPort& port) {
  return {port.up, port.down, port.state.latency, port.counters.uplink_bytes, port.counters.downlink_bytes};
}

void LinkProxy::follow_trace(size_t link, Instant now) {
  LinkPort& port = *links_[link];
  if (now < port.row_ends_at) return;
  const bool was_dark = port.state.outage;
  port.state = port.trace->at(now - began_at_ + port.offset);
  port.row_ends_at = now + port.state.remaining;
  port.up.set_rate(now, port.state.up_kbps);
  port.down.set_rate(now, port.state.down_kbps);
  if (port.state.cut) cut(link);
  if (port.state.outage != was_dark) notices_.push_back({link, port.state.outage, now});
  port.next_timeout = port.row_ends_at;
}

void LinkProxy::cut(size_t link) {
  LinkPort& port = *links_[link];
  port.counters.cuts += port.connections.size();
  for (const auto& [id, connection] : port.connections) connection->reset();
  port.connections.clear();
}

void LinkProxy::accept_all(size_t link) {
  LinkPort& port = *links_[link];
  for (;;) {
    UniqueFd device(::accept4(port.listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!device.open()) return;  // none left, or the peer has already gone
    make_small(device.get());
    UniqueFd coordinator = open_socket();
    make_small(coordinator.get());
    const sockaddr_in target = address_of(target_address_, target_port_);
    const bool reachable =
        !port.state.cut && target_port_ != 0 &&
        (::connect(coordinator.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0 ||
         errno == EINPROGRESS);
    if (!reachable) {
      ++port.counters.refused;
      RelayConnection(std::move(device), std::move(coordinator)).reset();
      continue;
    }
    ++port.counters.connections;
    const uint32_t id = port.next_connection++ & 0x3FFFFFFFU;
    constexpr uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    watch(device.get(), make_tag(link, id, static_cast<uint32_t>(RelaySide::kDevice)), kEvents);
    watch(coordinator.get(), make_tag(link, id, static_cast<uint32_t>(RelaySide::kCoordinator)), kEvents);
    port.connections[id] = std::make_unique<RelayConnection>(std::move(device), std::move(coordinator));
  }
}

void LinkProxy::pump(size_t link, Instant now) {
  LinkPort& port = *links_[link];
  follow_trace(link, now);
  const RelayConnection::Link shaped = view(port);
  port.next_timeout = port.row_ends_at;
  for (auto each = port.connections.begin(); each != port.connections.end();) {
    if (each->second->pump(now, shaped)) {
      port.next_timeout = std::min(port.next_timeout, each->second->next_timeout(now, shaped));
      ++each;
    } else {
      each->second->reset();
      each = port.connections.erase(each);
    }
  }
}

Instant LinkProxy::next_timeout() const {
  Instant next = kNever;
  for (const auto& port : links_) next = std::min(next, port->next_timeout);
  return next;
}

void LinkProxy::service() {
  const Instant now = clock_();
  std::array<epoll_event, 256> events;  // NOLINT(cppcoreguidelines-pro-type-member-init): epoll_wait fills it
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
    const size_t link = tag >> 32;
    const auto which = static_cast<uint32_t>(tag & 3);
    LinkPort& port = *links_[link];
    port.next_timeout = now;  // something to pump
    if (which == kListenerTag) {
      follow_trace(link, now);
      port.next_timeout = now;
      accept_all(link);
      continue;
    }
    const auto found = port.connections.find(static_cast<uint32_t>((tag & 0xFFFFFFFFU) >> 2));
    if (found == port.connections.end()) continue;  // closed a moment ago
    found->second->handle_events(static_cast<RelaySide>(which), events[static_cast<size_t>(i)].events);
  }
  for (size_t link = 0; link < links_.size(); ++link) {
    if (links_[link]->next_timeout <= now) pump(link, now);
  }
}

std::vector<LinkNotice> LinkProxy::take_notices() {
  return std::exchange(notices_, {});
}

}  // namespace runnel::fleet
