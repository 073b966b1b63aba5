#include "fleet/link_profiles.h"

#include <cmath>

#include "fleet/fleet_error.h"
#include "runtime/base/rng.h"

namespace runnel::fleet {
namespace {

struct Range {
  double low = 0.0;
  double high = 0.0;
};

// A link that moves about within ranges and drops out now and then.
struct Shape {
  Range down_kbps;
  Range up_kbps;
  Range latency_ms;  // one way
  Range row_s;       // how long one rate lasts
  Range gap_s;       // from the end of one outage to the next; {0, 0} for none
  Range outage_s;
};

constexpr double kLengthS = 900.0;  // then it starts over

double uniform(Rng& rng, Range range) {
  return range.low + (range.high - range.low) * rng.uniform();
}

// Rates spread over decades: as likely to be in the lower half of the decades as in the upper.
double spread(Rng& rng, Range range) {
  return range.low * std::pow(range.high / range.low, rng.uniform());
}

Duration from_s(double s) {
  return Duration(static_cast<int64_t>(std::llround(s * 1e6)));
}

// The next rate remembers the last one: links fade rather than jump.
double drift(Rng& rng, double last, Range range) {
  return std::sqrt(last * spread(rng, range));
}

std::vector<LinkRow> generate(const Shape& shape, uint64_t seed) {
  Rng rng(seed);
  std::vector<LinkRow> rows;
  double down = spread(rng, shape.down_kbps);
  double up = spread(rng, shape.up_kbps);
  const bool drops = shape.gap_s.high > 0.0;
  // The first one may come early: the link has been up for a while already.
  double next_outage_s = drops ? uniform(rng, {shape.gap_s.low / 4.0, shape.gap_s.high / 2.0}) : 0.0;
  for (double at_s = 0.0; at_s < kLengthS;) {
    double row_s = uniform(rng, shape.row_s);
    if (drops && at_s >= next_outage_s) {
      const double outage_s = uniform(rng, shape.outage_s);
      rows.push_back({from_s(outage_s), 0.0, 0.0, Duration::zero()});
      at_s += outage_s;
      next_outage_s = at_s + uniform(rng, shape.gap_s);
      continue;
    }
    if (drops && at_s + row_s > next_outage_s) row_s = std::max(next_outage_s - at_s, 0.01);
    down = drift(rng, down, shape.down_kbps);
    up = drift(rng, up, shape.up_kbps);
    rows.push_back({from_s(row_s), down, up, from_s(uniform(rng, shape.latency_ms) / 1000.0)});
    at_s += row_s;
  }
  return rows;
}

}  // namespace

const std::vector<std::string>& profile_names() {
  static const std::vector<std::string> names = {"none", "nbiot", "lte-m", "3g-bus", "wifi", "thin"};
  return names;
}

RateTrace make_profile(std::string_view name, uint64_t seed) {
  const auto build = [&](const Shape& shape) { return RateTrace(std::string(name), generate(shape, seed)); };
  if (name == "none") return RateTrace("none", {{seconds(3600), kUnlimitedKbps, kUnlimitedKbps, Duration::zero()}});
  if (name == "nbiot") return build({{10, 70}, {10, 70}, {100, 950}, {2, 8}, {0, 0}, {0, 0}});
  if (name == "lte-m") return build({{58, 340}, {58, 340}, {10, 235}, {1, 5}, {0, 0}, {0, 0}});
  if (name == "3g-bus") return build({{30, 3000}, {20, 1500}, {30, 150}, {1, 3}, {10, 90}, {0.5, 12}});
  if (name == "wifi") return build({{5000, 20000}, {5000, 20000}, {5, 5}, {1, 5}, {0, 0}, {0, 0}});
  if (name == "thin") return build({{200, 600}, {200, 600}, {30, 80}, {1, 4}, {8, 30}, {1, 4}});
  std::string known;
  for (const std::string& each : profile_names()) known += (known.empty() ? "" : ", ") + each;
  throw FleetError("no link profile is called '" + std::string(name) + "'; there are " + known);
}

}  // namespace runnel::fleet
