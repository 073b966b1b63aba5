// The links of a simulated fleet: what measurements of NB-IoT and LTE-M modules and of 3G on the move say, or made up.
//
// Half of the devices hang on LPWAN modules: a module is drawn by its place in the measured distribution of throughput
// and latency, and wanders around it. The other half follow the measured 3G traces, each begun somewhere. The same
// seed gives the same links.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/rate_trace.h"
#include "runtime/base/rng.h"

namespace runnel::bench {

// One line of lpwan_quantiles.csv: the 5, 25, 50, 75 and 95 % quantiles of a figure over many measurements.
using Quantiles = std::array<double, 5>;

// The quantiles of `technology` ("nbiot", "ltem") under `protocol` for `metric`. Throws std::runtime_error when the
// text has no such line or the line is malformed.
Quantiles find_quantiles(std::string_view csv, std::string_view technology, std::string_view protocol,
                         std::string_view metric);

// The value with the share `u` of the measurements below it: geometric between the quantiles, constant beyond the outer
// ones. REQUIRES: positive, ascending quantiles.
double at_quantile(const Quantiles& quantiles, double u);

// A quarter of an hour of a module whose upload speed (bit/s) and round trip (ms) have these quantiles, in rows of a
// few seconds. Its own place in the distributions is drawn first; a third of the variance is left to the rows.
fleet::RateTrace make_module_trace(const std::string& name, const Quantiles& bits_per_second,
                                   const Quantiles& round_trip_ms, Rng rng);

// `count` links: even ones NB-IoT and LTE-M by turns, odd ones 3G. From lpwan_quantiles.csv and norway-3g.csv.gz in
// `folder`; when `folder` is empty, from the link profiles of that kind. Throws std::runtime_error.
std::vector<fleet::RateTrace> make_links(const std::filesystem::path& folder, size_t count, uint64_t seed);

}  // namespace runnel::bench
