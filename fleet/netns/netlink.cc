#include "fleet/netns/netlink.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

constexpr size_t kAnswerBytes = size_t{64} << 10;

}  // namespace

NetlinkRequest::NetlinkRequest(uint16_t type, uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  append(&header, sizeof header);
}

void NetlinkRequest::append(const void* data, size_t bytes) {
  const auto* first = static_cast<const uint8_t*>(data);
  bytes_.insert(bytes_.end(), first, first + bytes);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void NetlinkRequest::attribute_bytes(uint16_t type, const void* data, size_t bytes) {
  const rtattr head{static_cast<unsigned short>(RTA_LENGTH(bytes)), type};
  append(&head, sizeof head);
  append(data, bytes);
}

size_t NetlinkRequest::open_nest(uint16_t type) {
  const size_t at = bytes_.size();
  const rtattr head{0, type};
  append(&head, sizeof head);
  return at;
}

void NetlinkRequest::close_nest(size_t nest) {
  const auto length = static_cast<unsigned short>(bytes_.size() - nest);
  std::memcpy(bytes_.data() + nest, &length, sizeof length);
}

std::span<const uint8_t> NetlinkRequest::finish(uint32_t sequence) {
  nlmsghdr header{};
  std::memcpy(&header, bytes_.data(), sizeof header);
  header.nlmsg_len = static_cast<uint32_t>(bytes_.size());
  header.nlmsg_seq = sequence;
  std::memcpy(bytes_.data(), &header, sizeof header);
  return bytes_;
}

void visit_attributes(std::span<const uint8_t> bytes, const AttributeVisitor& visit) {
  while (bytes.size() >= sizeof(rtattr)) {
    const auto head = attribute_value<rtattr>(bytes.first(sizeof(rtattr)));
    if (head.rta_len < sizeof(rtattr) || head.rta_len > bytes.size()) return;
    visit(static_cast<uint16_t>(head.rta_type & NLA_TYPE_MASK),
          bytes.subspan(sizeof(rtattr), head.rta_len - sizeof(rtattr)));
    const size_t step = RTA_ALIGN(size_t{head.rta_len});
    if (step >= bytes.size()) return;
    bytes = bytes.subspan(step);
  }
}

NetlinkSocket::NetlinkSocket() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  if (!fd_.open()) throw system_error("netlink");
}

void NetlinkSocket::send(NetlinkRequest& request) {
  const std::span<const uint8_t> message = request.finish(++sequence_);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(fd_.get(), message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&kernel),
               sizeof kernel) < 0) {
    throw system_error("netlink");
  }
}

int NetlinkSocket::try_request(NetlinkRequest& request) {
  int result = 0;
  send(request);
  std::array<uint8_t, 8192> answer;  // NOLINT(cppcoreguidelines-pro-type-member-init): recv fills it
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), answer.data(), answer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error("netlink");
    const std::span<const uint8_t> bytes(answer.data(), static_cast<size_t>(got));
    if (bytes.size() < sizeof(nlmsghdr)) continue;
    const auto header = attribute_value<nlmsghdr>(bytes.first(sizeof(nlmsghdr)));
    if (header.nlmsg_seq != sequence_ || header.nlmsg_type != NLMSG_ERROR) continue;
    result = -attribute_value<nlmsgerr>(bytes.subspan(sizeof(nlmsghdr))).error;
    return result;
  }
}

void NetlinkSocket::request(NetlinkRequest& request, const std::string& what) {
  const int error = try_request(request);
  if (error != 0) throw FleetError(what + ": " + std::strerror(error));
}

void NetlinkSocket::dump(NetlinkRequest& request, const std::string& what,
                         const std::function<void(uint16_t type, std::span<const uint8_t> payload)>& visit) {
  send(request);
  std::vector<uint8_t> answer(kAnswerBytes);
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), answer.data(), answer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error("netlink");
    std::span<const uint8_t> bytes(answer.data(), static_cast<size_t>(got));
    while (bytes.size() >= sizeof(nlmsghdr)) {
      const auto header = attribute_value<nlmsghdr>(bytes.first(sizeof(nlmsghdr)));
      if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > bytes.size()) break;
      const auto payload = bytes.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
      if (header.nlmsg_seq == sequence_) {
        if (header.nlmsg_type == NLMSG_DONE) return;
        if (header.nlmsg_type == NLMSG_ERROR) {
          throw FleetError(what + ": " + std::strerror(-attribute_value<nlmsgerr>(payload).error));
        }
        visit(header.nlmsg_type, payload);
      }
      const size_t step = NLMSG_ALIGN(size_t{header.nlmsg_len});
      if (step >= bytes.size()) break;
      bytes = bytes.subspan(step);
    }
  }
}

}  // namespace runnel::fleet
