// Which link each device of a run gets: a profile of its own making, or a measured trace.
#pragma once

#include "fleet/link_proxy.h"
#include "fleet/run_config.h"

namespace runnel::fleet {

// Adds one link a device. A profile is generated from the run's seed and the device's index. The traces of a file are
// dealt out in order; when there are more devices than traces, those who share one start at different places of it.
void add_links(LinkProxy& proxy, const RunConfig& config);

}  // namespace runnel::fleet
