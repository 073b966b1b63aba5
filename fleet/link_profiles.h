// Links made up from a seed, by name, for when no measured trace is at hand.
//
//   none     no shaping at all
//   nbiot    10-70 kbit/s, round trip 0.2-1.9 s         (NB-IoT modules as measured in the field)
//   lte-m    58-340 kbit/s, round trip 20-470 ms        (LTE-M modules as measured in the field)
//   3g-bus   0-3 Mbit/s, swinging, with outages         (a phone on a bus)
//   wifi     5-20 Mbit/s, 5 ms one way
//   thin     200-600 kbit/s, 30-80 ms one way, an outage of 1-4 s every 8-30 s (the first within 2-15 s) that cuts the
//            connection
//
// The same name and seed give the same link on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/rate_trace.h"

namespace runnel::fleet {

// Throws FleetError, listing the names, when there is no such profile.
RateTrace make_profile(std::string_view name, uint64_t seed);

const std::vector<std::string>& profile_names();

}  // namespace runnel::fleet
