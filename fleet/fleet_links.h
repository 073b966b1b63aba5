// The emulated link of every device of a run: which trace it follows, and from where on.
//
// The same configuration gives the same links, whether they are relayed on loopback or shaped in a namespace.
#pragma once

#include <memory>
#include <vector>

#include "fleet/link_proxy.h"
#include "fleet/rate_trace.h"
#include "fleet/run_config.h"

namespace runnel::fleet {

struct DeviceLink {
  std::shared_ptr<const RateTrace> trace;
  Duration offset{};  // into the trace, when the run begins
};

// One for each device, in order. Throws FleetError when the trace file cannot be read.
std::vector<DeviceLink> device_links(const RunConfig& config);

// Adds them all to a proxy.
void add_links(LinkProxy& proxy, const RunConfig& config);

}  // namespace runnel::fleet
