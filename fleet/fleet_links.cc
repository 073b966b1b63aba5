#include "fleet/fleet_links.h"

#include <utility>

#include "fleet/link_profiles.h"
#include "fleet/trace_file.h"
#include "runtime/base/rng.h"

namespace runnel::fleet {

std::vector<DeviceLink> device_links(const RunConfig& config) {
  std::vector<std::shared_ptr<const RateTrace>> traces;
  if (!config.trace_file.empty()) {
    for (RateTrace& trace : read_trace_file(config.trace_file)) {
      traces.push_back(std::make_shared<const RateTrace>(std::move(trace)));
    }
  }
  std::vector<DeviceLink> links;
  for (uint32_t i = 0; i < config.devices; ++i) {
    const uint64_t seed = derive_key(config.seed, 0x6C696E6BULL, i);
    if (traces.empty()) {
      links.push_back({std::make_shared<const RateTrace>(make_profile(config.profile, seed)), Duration::zero()});
      continue;
    }
    const auto& trace = traces[i % traces.size()];
    const auto length_us = static_cast<uint64_t>(trace->length().count());
    links.push_back({trace, Duration(i < traces.size() ? 0 : static_cast<int64_t>(seed % length_us))});
  }
  return links;
}

void add_links(LinkProxy& proxy, const RunConfig& config) {
  for (const DeviceLink& link : device_links(config)) proxy.add_link(link.trace, link.offset);
}

}  // namespace runnel::fleet
