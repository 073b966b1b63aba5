// The emulated links of a fleet: for each device a listening TCP port, relayed to the coordinator, shaped by the
// device's trace and counted.
//
// A link that is cut (an outage of a second or more) resets its connections and resets new ones at once until it is
// over; a shorter outage only stalls. The coordinator may be absent, restart, or move to another port: connections that
// cannot be relayed are reset, and the device tries again, as it would in the field. Latency is added to the bytes; the
// TCP handshake itself is answered at once.
//
// Threads: one. Nothing blocks: wait until fd() is readable or next_timeout() has come, then call service().
// Time: from the clock that is passed in; traces begin when the proxy is made, or at begin(). Memory: see
// RelayConnection, a connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fleet/rate_trace.h"
#include "fleet/relay_connection.h"
#include "fleet/token_bucket.h"
#include "fleet/unique_fd.h"
#include "runtime/base/time.h"

namespace runnel::fleet {

struct LinkCounters {
  uint64_t uplink_bytes = 0;    // TCP payload sent by the device
  uint64_t downlink_bytes = 0;  // TCP payload sent by the coordinator
  uint64_t connections = 0;     // relayed to the coordinator
  uint64_t refused = 0;         // attempts while the link was cut or the coordinator away
  uint64_t cuts = 0;            // connections broken by an outage
};

// A link went dark or came back.
struct LinkNotice {
  size_t link = 0;
  bool dark = false;
  Instant at{};
};

class LinkProxy {
 public:
  using Clock = std::function<Instant()>;

  // `bind_address` is an IPv4 address of this machine. Throws FleetError.
  LinkProxy(std::string bind_address, Clock clock);
  ~LinkProxy();
  LinkProxy(const LinkProxy&) = delete;
  LinkProxy& operator=(const LinkProxy&) = delete;

  // Opens one more listening port and returns the link's index. The link starts `offset` into its trace. Throws
  // FleetError.
  size_t add_link(std::shared_ptr<const RateTrace> trace, Duration offset = Duration::zero());

  // All traces begin anew, now.
  void begin();

  size_t link_count() const { return links_.size(); }
  uint16_t port(size_t link) const { return links_[link]->port; }

  // Resets the link's connections as an outage would; new ones are relayed at once.
  void cut(size_t link);

  // Where new connections lead: an IPv4 address and a port. Throws FleetError when the address cannot be read.
  void set_target(const std::string& address, uint16_t port);
  void clear_target() { target_port_ = 0; }

  int fd() const { return epoll_.get(); }
  Instant next_timeout() const;
  void service();

  LinkCounters counters(size_t link) const { return links_[link]->counters; }
  const LinkState& state(size_t link) const { return links_[link]->state; }

  // Outages since the last call, in order of time.
  std::vector<LinkNotice> take_notices();

 private:
  struct LinkPort {
    LinkPort(Instant now, double up_kbps, double down_kbps) : up(now, up_kbps), down(now, down_kbps) {}
    std::shared_ptr<const RateTrace> trace;
    Duration offset{};
    UniqueFd listener;
    uint16_t port = 0;
    LinkState state;
    Instant row_ends_at{};
    TokenBucket up;
    TokenBucket down;
    LinkCounters counters;
    std::map<uint32_t, std::unique_ptr<RelayConnection>> connections;
    uint32_t next_connection = 0;
    Instant next_timeout{};
  };

  void follow_trace(size_t link, Instant now);
  void accept_all(size_t link);
  void pump(size_t link, Instant now);
  void watch(int fd, uint64_t tag, uint32_t events) const;
  static RelayConnection::Link view(LinkPort& port);

  std::string bind_address_;
  Clock clock_;
  Instant began_at_;
  UniqueFd epoll_;
  uint32_t target_address_ = 0;  // network byte order
  uint16_t target_port_ = 0;     // 0: nowhere
  std::vector<std::unique_ptr<LinkPort>> links_;
  std::vector<LinkNotice> notices_;
};

}  // namespace runnel::fleet
