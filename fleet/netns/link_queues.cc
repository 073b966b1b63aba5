#include "fleet/netns/link_queues.h"

#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>

#include <cerrno>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

constexpr const char* kIntermediate = "runnel-ifb";
constexpr uint32_t kIngressHandle = 0xFFFF0000;
constexpr uint16_t kEveryProtocol = 0x0300;  // ETH_P_ALL in network byte order

// The kernel's tc_u32_sel with its first key; that ends in an array of no length, which C++ does not have.
struct SelectorOfOne {
  uint8_t flags = 0;
  uint8_t offset_shift = 0;
  uint8_t keys = 0;
  uint16_t offset_mask = 0;
  uint16_t offset = 0;
  int16_t offset_offset = 0;
  int16_t hash_offset = 0;
  uint32_t hash_mask = 0;
  tc_u32_key key{};
};
static_assert(sizeof(SelectorOfOne) == sizeof(tc_u32_sel) + sizeof(tc_u32_key));

tcmsg traffic_message(int interface, uint32_t parent, uint32_t handle) {
  tcmsg message{};
  message.tcm_family = AF_UNSPEC;
  message.tcm_ifindex = interface;
  message.tcm_parent = parent;
  message.tcm_handle = handle;
  return message;
}

NetlinkRequest delete_request(uint16_t type, const tcmsg& message) {
  NetlinkRequest request(type, NLM_F_ACK);
  request.fixed(message);
  return request;
}

QueueCounters counters_of(std::span<const uint8_t> attributes) {
  QueueCounters counters;
  visit_attributes(attributes, [&](uint16_t type, std::span<const uint8_t> value) {
    if (type == TCA_STATS_BASIC) counters.bytes = attribute_value<gnet_stats_basic>(value).bytes;
    if (type == TCA_STATS_QUEUE) {
      const auto queue = attribute_value<gnet_stats_queue>(value);
      counters.backlog_bytes = queue.backlog;
      counters.drops = queue.drops;
    }
  });
  return counters;
}

}  // namespace

LinkQueues::LinkQueues(const std::string& interface)
    : name_(interface), interface_(static_cast<int>(::if_nametoindex(interface.c_str()))) {
  if (interface_ == 0) throw system_error("interface " + interface);
  try {
    add_intermediate();
    // Both filters are there, wide open, before anything is led to them.
    const QueueSetting open = queue_setting(kUnlimitedKbps, {seconds(1), kUnlimitedKbps, kUnlimitedKbps, false});
    set_up(open);
    set_down(open);
    redirect_arrivals();
  } catch (...) {
    take_away();
    throw;
  }
}

LinkQueues::~LinkQueues() {
  take_away();
}

void LinkQueues::add_intermediate() {
  NetlinkRequest request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg link{};
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  request.fixed(link);
  request.attribute(IFLA_IFNAME, std::string(kIntermediate));
  const size_t info = request.open_nest(IFLA_LINKINFO);
  request.attribute(IFLA_INFO_KIND, std::string("ifb"));
  request.close_nest(info);
  const int error = socket_.try_request(request);
  // One may be left of a program in this namespace that was killed.
  if (error != 0 && error != EEXIST) {
    throw FleetError("making an intermediate device (ifb), which takes CAP_NET_ADMIN and the kernel's ifb: " +
                     std::string(std::strerror(error)));
  }
  intermediate_ = static_cast<int>(::if_nametoindex(kIntermediate));
  if (intermediate_ == 0) throw system_error(kIntermediate);
}

void LinkQueues::set(int index, const QueueSetting& setting) {
  NetlinkRequest request(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE);
  request.fixed(traffic_message(index, TC_H_ROOT, 0x10000));
  request.attribute(TCA_KIND, std::string("tbf"));
  const size_t options = request.open_nest(TCA_OPTIONS);
  tc_tbf_qopt parameters{};
  parameters.rate.linklayer = TC_LINKLAYER_ETHERNET;
  parameters.rate.rate = setting.rate_bytes_per_s;
  parameters.limit = setting.limit_bytes;
  request.attribute(TCA_TBF_PARMS, parameters);
  request.attribute(TCA_TBF_BURST, setting.burst_bytes);
  request.close_nest(options);
  socket_.request(request, "a token bucket filter on " + (index == interface_ ? name_ : kIntermediate));
}

void LinkQueues::redirect_arrivals() {
  // What an earlier program left is replaced.
  NetlinkRequest old = delete_request(RTM_DELQDISC, traffic_message(interface_, TC_H_INGRESS, kIngressHandle));
  socket_.try_request(old);

  NetlinkRequest ingress(RTM_NEWQDISC, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  ingress.fixed(traffic_message(interface_, TC_H_INGRESS, kIngressHandle));
  ingress.attribute(TCA_KIND, std::string("ingress"));
  socket_.request(ingress, "the queue of arrivals on " + name_);

  NetlinkRequest filter(RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  tcmsg message = traffic_message(interface_, kIngressHandle, 0);
  message.tcm_info = TC_H_MAKE(uint32_t{1} << 16, kEveryProtocol);
  filter.fixed(message);
  filter.attribute(TCA_KIND, std::string("u32"));
  const size_t options = filter.open_nest(TCA_OPTIONS);
  SelectorOfOne everything{};  // with a key of zero: a mask of 0 matches everything
  everything.flags = TC_U32_TERMINAL;
  everything.keys = 1;
  filter.attribute(TCA_U32_SEL, everything);
  const size_t actions = filter.open_nest(TCA_U32_ACT);
  const size_t action = filter.open_nest(1);
  filter.attribute(TCA_ACT_KIND, std::string("mirred"));
  const size_t action_options = filter.open_nest(TCA_ACT_OPTIONS);
  tc_mirred redirect{};
  redirect.action = TC_ACT_STOLEN;
  redirect.eaction = TCA_EGRESS_REDIR;
  redirect.ifindex = static_cast<uint32_t>(intermediate_);
  filter.attribute(TCA_MIRRED_PARMS, redirect);
  filter.close_nest(action_options);
  filter.close_nest(action);
  filter.close_nest(actions);
  filter.close_nest(options);
  socket_.request(filter, "leading arrivals on " + name_ + " through " + kIntermediate);
}

LinkQueues::Counters LinkQueues::counters() {
  Counters counters;
  NetlinkRequest request(RTM_GETQDISC, NLM_F_DUMP);
  request.fixed(traffic_message(0, 0, 0));
  socket_.dump(request, "reading the filters", [&](uint16_t type, std::span<const uint8_t> payload) {
    if (type != RTM_NEWQDISC || payload.size() < sizeof(tcmsg)) return;
    const auto message = attribute_value<tcmsg>(payload.first(sizeof(tcmsg)));
    if (message.tcm_parent != TC_H_ROOT) return;
    visit_attributes(payload.subspan(NLMSG_ALIGN(sizeof(tcmsg))), [&](uint16_t what, std::span<const uint8_t> value) {
      if (what != TCA_STATS2) return;
      if (message.tcm_ifindex == interface_) counters.up = counters_of(value);
      if (message.tcm_ifindex == intermediate_) counters.down = counters_of(value);
    });
  });
  return counters;
}

void LinkQueues::take_away() noexcept {
  try {
    NetlinkRequest arrivals = delete_request(RTM_DELQDISC, traffic_message(interface_, TC_H_INGRESS, kIngressHandle));
    socket_.try_request(arrivals);
    NetlinkRequest root = delete_request(RTM_DELQDISC, traffic_message(interface_, TC_H_ROOT, 0));
    socket_.try_request(root);
    if (intermediate_ == 0) return;
    NetlinkRequest request(RTM_DELLINK, NLM_F_ACK);
    ifinfomsg link{};
    link.ifi_index = intermediate_;
    request.fixed(link);
    socket_.try_request(request);
  } catch (const FleetError&) {  // the namespace takes the rest with it
  }
}

}  // namespace runnel::fleet
