// Two token bucket filters on one network interface: one for what is sent, and one, behind an intermediate device (ifb)
// to which all that arrives is led, for what is received.
//
// Threads: one. Needs CAP_NET_ADMIN in the network namespace, and a kernel with sch_tbf, sch_ingress, cls_u32,
// act_mirred and ifb. Everything is taken away again by the destructor.
#pragma once

#include <string>

#include "fleet/netns/link_plan.h"
#include "fleet/netns/netlink.h"

namespace runnel::fleet {

class LinkQueues {
 public:
  // In the calling thread's network namespace. Throws FleetError saying what the kernel refused.
  explicit LinkQueues(const std::string& interface);
  ~LinkQueues();
  LinkQueues(const LinkQueues&) = delete;
  LinkQueues& operator=(const LinkQueues&) = delete;

  void set_up(const QueueSetting& setting) { set(interface_, setting); }
  void set_down(const QueueSetting& setting) { set(intermediate_, setting); }

  struct Counters {
    QueueCounters up;
    QueueCounters down;
  };
  Counters counters();

 private:
  void set(int index, const QueueSetting& setting);
  void add_intermediate();
  void redirect_arrivals();
  void take_away() noexcept;

  NetlinkSocket socket_;
  std::string name_;
  int interface_ = 0;
  int intermediate_ = 0;
};

}  // namespace runnel::fleet
