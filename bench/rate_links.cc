#include "bench/rate_links.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "fleet/link_profiles.h"
#include "fleet/trace_file.h"

namespace runnel::bench {
namespace {

constexpr std::array<double, 5> kShares = {0.05, 0.25, 0.5, 0.75, 0.95};
constexpr double kLengthS = 900.0;
constexpr double kRowVariance = 1.0 / 3.0;  // of the rows around a module's own place
constexpr double kRowMemory = 0.8;          // correlation of one row with the next

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

double share_below(double normal) {
  return 0.5 * std::erfc(-normal / std::sqrt(2.0));
}

Duration from_s(double s) {
  return Duration(static_cast<int64_t>(std::llround(s * 1e6)));
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + " cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

Quantiles find_quantiles(std::string_view csv, std::string_view technology, std::string_view protocol,
                         std::string_view metric) {
  const std::string what = std::string(technology) + ", " + std::string(protocol) + ", " + std::string(metric);
  while (!csv.empty()) {
    const size_t newline = csv.find('\n');
    std::string_view line = csv.substr(0, newline);
    csv.remove_prefix(newline == std::string_view::npos ? csv.size() : newline + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::vector<std::string_view> fields = fields_of(line);
    if (fields.size() < 3 || fields[0] != technology || fields[1] != protocol || fields[2] != metric) continue;
    if (fields.size() != 10) throw std::runtime_error(what + ": 10 fields expected");
    Quantiles quantiles{};
    for (size_t i = 0; i < quantiles.size(); ++i) {
      const std::string_view text = fields[5 + i];
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quantiles[i]);
      const bool ascends = quantiles[i] > 0.0 && (i == 0 || quantiles[i] >= quantiles[i - 1]);
      if (error != std::errc{} || end != text.data() + text.size() || !ascends) {
        throw std::runtime_error(what + ": the quantiles must be positive numbers that ascend");
      }
    }
    return quantiles;
  }
  throw std::runtime_error("the table has no line for " + what);
}

double at_quantile(const Quantiles& quantiles, double u) {
  if (u <= kShares.front()) return quantiles.front();
  for (size_t i = 1; i < kShares.size(); ++i) {
    if (u > kShares[i]) continue;
    const double part = (u - kShares[i - 1]) / (kShares[i] - kShares[i - 1]);
    return quantiles[i - 1] * std::pow(quantiles[i] / quantiles[i - 1], part);
  }
  return quantiles.back();
}

fleet::RateTrace make_module_trace(const std::string& name, const Quantiles& bits_per_second,
                                   const Quantiles& round_trip_ms, Rng rng) {
  const double own_rate = std::sqrt(1.0 - kRowVariance) * rng.normal();
  const double own_latency = std::sqrt(1.0 - kRowVariance) * rng.normal();
  double rate_drift = rng.normal();
  double latency_drift = rng.normal();
  std::vector<fleet::LinkRow> rows;
  for (double at_s = 0.0; at_s < kLengthS;) {
    const double row_s = 2.0 + 6.0 * rng.uniform();
    const double kbps =
        at_quantile(bits_per_second, share_below(own_rate + std::sqrt(kRowVariance) * rate_drift)) / 1000.0;
    const double one_way_ms =
        at_quantile(round_trip_ms, share_below(own_latency + std::sqrt(kRowVariance) * latency_drift)) / 2.0;
    rows.push_back({from_s(row_s), kbps, kbps, from_s(one_way_ms / 1000.0)});
    rate_drift = kRowMemory * rate_drift + std::sqrt(1.0 - kRowMemory * kRowMemory) * rng.normal();
    latency_drift = kRowMemory * latency_drift + std::sqrt(1.0 - kRowMemory * kRowMemory) * rng.normal();
    at_s += row_s;
  }
  return fleet::RateTrace(name, std::move(rows));
}

std::vector<fleet::RateTrace> make_links(const std::filesystem::path& folder, size_t count, uint64_t seed) {
  std::vector<fleet::RateTrace> links;
  links.reserve(count);
  if (folder.empty()) {
    for (size_t i = 0; i < count; ++i) {
      const char* kind = i % 2 == 1 ? "3g-bus" : i % 4 == 0 ? "nbiot" : "lte-m";
      links.push_back(fleet::make_profile(kind, derive_key(seed, i)));
    }
    return links;
  }
  const std::string table = read_text(folder / "lpwan_quantiles.csv");
  const std::vector<fleet::RateTrace> mobile = fleet::read_trace_file((folder / "norway-3g.csv.gz").string());
  // Every trace once before any comes again.
  std::vector<size_t> order(mobile.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  Rng shuffle(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[shuffle.below(i)]);
  for (size_t i = 0; i < count; ++i) {
    if (i % 2 == 1) {
      links.push_back(mobile[order[i / 2 % order.size()]]);
      continue;
    }
    const char* technology = i % 4 == 0 ? "nbiot" : "ltem";
    // Of the two application protocols that were measured, the one over TCP is like ours.
    links.push_back(make_module_trace(technology, find_quantiles(table, technology, "mqtt", "Link throughput"),
                                      find_quantiles(table, technology, "mqtt", "latency"), Rng(derive_key(seed, i))));
  }
  return links;
}

}  // namespace runnel::bench
