// Emulated links in front of a coordinator, served by a thread of their own, with what crossed them and when.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "fleet/endpoint.h"
#include "fleet/link_proxy.h"

namespace runnel::testing_programs {

class ThinLink {
 public:
  // One port for all devices. Rows repeat; kbit/s.
  explicit ThinLink(std::vector<fleet::LinkRow> rows) : proxy_("127.0.0.1", now) {
    proxy_.add_link(std::make_shared<const fleet::RateTrace>("test", std::move(rows)));
    thread_ = std::thread([this] { serve(); });
  }
  ~ThinLink() {
    stop_ = true;
    thread_.join();
  }
  ThinLink(const ThinLink&) = delete;
  ThinLink& operator=(const ThinLink&) = delete;

  std::string endpoint() {
    const std::lock_guard lock(mutex_);
    return "tcp://127.0.0.1:" + std::to_string(proxy_.port(0));
  }
  void lead_to(const std::string& endpoint) {
    const std::lock_guard lock(mutex_);
    const fleet::Endpoint target = fleet::parse_endpoint(endpoint);
    proxy_.set_target(target.address, target.port);
    proxy_.begin();
  }
  void lead_nowhere() {
    const std::lock_guard lock(mutex_);
    proxy_.clear_target();
  }
  fleet::LinkCounters counters() {
    const std::lock_guard lock(mutex_);
    return proxy_.counters(0);
  }
  // Attempts to connect, relayed or not, in each second since the link was made.
  std::vector<uint64_t> attempts_by_second() {
    const std::lock_guard lock(mutex_);
    return attempts_;
  }

 private:
  static Instant now() {
    return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
  }
  void serve() {
    const Instant began = now();
    uint64_t seen = 0;
    while (!stop_) {
      pollfd waited{proxy_.fd(), POLLIN, 0};
      ::poll(&waited, 1, 2);
      const std::lock_guard lock(mutex_);
      proxy_.service();
      const fleet::LinkCounters counters = proxy_.counters(0);
      attempts_.resize(static_cast<size_t>(to_ms(now() - began)) / 1000 + 1);
      attempts_.back() += counters.connections + counters.refused - seen;
      seen = counters.connections + counters.refused;
    }
  }

  std::mutex mutex_;
  fleet::LinkProxy proxy_;
  std::vector<uint64_t> attempts_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace runnel::testing_programs
