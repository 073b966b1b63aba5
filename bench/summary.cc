#include "bench/summary.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace runnel::bench {
namespace {

constexpr double kGapBits[] = {1.0, 2.0, 3.0, 4.0};

[[gnu::format(printf, 2, 3)]] void append(std::string& text, const char* format, ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text += line;
}

// A number of a table, or that there is none.
std::string cell(const char* format, double value) {
  if (!std::isfinite(value)) return "-";
  char line[32];
  std::snprintf(line, sizeof line, format, value);
  return line;
}

bool same_curve(const TrialRow& a, const TrialRow& b) {
  return a.data == b.data && a.coordinates == b.coordinates && a.scheme == b.scheme && a.kernel == b.kernel;
}

bool same_data(const TrialRow& a, const TrialRow& b) {
  return a.data == b.data && a.coordinates == b.coordinates;
}

// The typical point of a curve, or the one in its middle.
TrialRow typical_of(std::span<const TrialRow> points) {
  const auto typical = std::find_if(points.begin(), points.end(), [](const TrialRow& point) { return point.typical; });
  return typical != points.end() ? *typical : points[points.size() / 2];
}

// One row of each vector.
std::vector<TrialRow> vectors_of(std::span<const TrialRow> rows) {
  std::vector<TrialRow> found;
  for (const TrialRow& row : rows) {
    if (std::none_of(found.begin(), found.end(), [&](const TrialRow& f) { return same_data(f, row); })) {
      found.push_back(row);
    }
  }
  return found;
}

void append_gaps(std::string& text, std::span<const TrialRow> rows) {
  text += "Bits above the Gaussian limit of unbiased codes, at the same NMSE (* = biased, so not bound by it;\n";
  text += "a vector that is far from Gaussian may lie below it without rotation):\n";
  for (const TrialRow& vector : vectors_of(rows)) {
    bool headed = false;
    for (const TrialRow& curve : curves(rows)) {
      if (!same_data(curve, vector)) continue;
      const std::vector<TrialRow> points = curve_of(rows, curve);
      std::string cells;
      bool any = false;
      for (const double bits : kGapBits) {
        const std::optional<Interpolated> at = nmse_at(points, bits);
        if (at) {
          const double gap = bits - 0.5 * std::log2(1.0 + 1.0 / at->nmse);
          append(cells, "  %9.4g %+6.3f%c", at->nmse, gap, at->biased ? '*' : ' ');
        } else {
          cells += "          -      - ";
        }
        any = any || at.has_value();
      }
      if (!any) continue;
      if (!headed) {
        append(text, "\n%s, %zu coordinates\n%-20s %-9s", vector.data.c_str(), vector.coordinates, "scheme", "kernel");
        for (const double bits : kGapBits) append(text, "    NMSE at %.0f bit  ", bits);
        text += "\n";
        headed = true;
      }
      append(text, "%-20s %-9s%s\n", curve.scheme.c_str(), curve.kernel.c_str(), cells.c_str());
    }
  }
}

void append_speeds(std::string& text, std::span<const TrialRow> rows) {
  text += "\nGigabytes of float32 a second on one core, and as a share of memcpy; each scheme at a typical point:\n";
  for (const TrialRow& vector : vectors_of(rows)) {
    append(text, "\n%s, %zu coordinates\n%-20s %-9s %8s %8s %8s %8s\n", vector.data.c_str(), vector.coordinates,
           "scheme", "kernel", "encode", "/memcpy", "decode+", "/memcpy");
    for (const TrialRow& curve : curves(rows)) {
      if (!same_data(curve, vector)) continue;
      const std::vector<TrialRow> points = curve_of(rows, curve);
      const TrialRow row = typical_of(points);
      if (!std::isfinite(row.decode_accumulate_gbps)) continue;
      append(text, "%-20s %-9s %8s %8s %8.3f %8.3f\n", row.scheme.c_str(), row.kernel.c_str(),
             cell("%.3f", row.encode_gbps).c_str(), cell("%.3f", row.encode_gbps / row.memcpy_gbps).c_str(),
             row.decode_accumulate_gbps, row.decode_accumulate_gbps / row.memcpy_gbps);
    }
  }
}

void append_rate_model(std::string& text, std::span<const TrialRow> rows) {
  double worst = 0.0;
  const TrialRow* at = nullptr;
  size_t count = 0;
  for (const TrialRow& row : rows) {
    if (!std::isfinite(row.predicted_over_actual)) continue;
    ++count;
    if (at != nullptr && std::abs(row.predicted_over_actual - 1.0) <= worst) continue;
    worst = std::abs(row.predicted_over_actual - 1.0);
    at = &row;
  }
  if (at == nullptr) return;
  append(text, "\nRate model over %zu rows: at worst %+.2f %% off (%s, %s, %s)\n", count,
         100.0 * (at->predicted_over_actual - 1.0), at->data.c_str(), at->scheme.c_str(), at->parameter.c_str());
}

void append_error_table(std::string& text, std::span<const TrialRow> rows, const TrialRow& vector) {
  constexpr double kBits[] = {0.5, 1.0, 2.0, 3.0, 4.0};
  append(text, "**%s**, %zu coordinates:\n\n| NMSE at |", vector.data.c_str(), vector.coordinates);
  for (const double bits : kBits) append(text, " %g bit |", bits);
  text += "\n|---|---|---|---|---|---|\n";
  for (const TrialRow& curve : curves(rows)) {
    if (!same_data(curve, vector)) continue;
    const std::vector<TrialRow> points = curve_of(rows, curve);
    std::string cells;
    bool any = false;
    for (const double bits : kBits) {
      const std::optional<Interpolated> at = nmse_at(points, bits);
      any = any || at.has_value();
      if (at) append(cells, " %.3g%s |", at->nmse, at->biased ? "*" : "");
      if (!at) cells += " |";
    }
    if (any) text += "| " + curve.scheme + " |" + cells + "\n";
  }
  text += "| limit, unbiased on Gaussians |";
  for (const double bits : kBits) append(text, " %.3g |", unbiased_limit(bits));
  text += "\n\n";
}

void append_speed_table(std::string& text, std::span<const TrialRow> rows, const TrialRow& vector) {
  append(text, "**%s**, %zu coordinates:\n\n", vector.data.c_str(), vector.coordinates);
  text += "| scheme | point | kernel | bits | NMSE | encode GB/s | of memcpy | decode and add GB/s | of memcpy |\n";
  text += "|---|---|---|---|---|---|---|---|---|\n";
  for (const TrialRow& curve : curves(rows)) {
    if (!same_data(curve, vector)) continue;
    const std::vector<TrialRow> points = curve_of(rows, curve);
    const TrialRow row = typical_of(points);
    if (!std::isfinite(row.decode_accumulate_gbps)) continue;
    append(text, "| %s | %s | %s | %.3f | %.3g | %s | %s | %.2f | %.2f |\n", row.scheme.c_str(), row.parameter.c_str(),
           row.kernel.c_str(), row.bits_per_coordinate, row.nmse, cell("%.2f", row.encode_gbps).c_str(),
           cell("%.2f", row.encode_gbps / row.memcpy_gbps).c_str(), row.decode_accumulate_gbps,
           row.decode_accumulate_gbps / row.memcpy_gbps);
  }
  text += "\n";
}

}  // namespace

double unbiased_limit(double bits) {
  return 1.0 / (std::exp2(2.0 * bits) - 1.0);
}

std::vector<TrialRow> curve_of(std::span<const TrialRow> rows, const TrialRow& like) {
  std::vector<TrialRow> curve;
  for (const TrialRow& row : rows) {
    if (same_curve(row, like)) curve.push_back(row);
  }
  std::stable_sort(curve.begin(), curve.end(),
                   [](const TrialRow& a, const TrialRow& b) { return a.bits_per_coordinate < b.bits_per_coordinate; });
  return curve;
}

std::vector<TrialRow> curves(std::span<const TrialRow> rows) {
  std::vector<TrialRow> found;
  for (const TrialRow& row : rows) {
    if (std::none_of(found.begin(), found.end(), [&](const TrialRow& f) { return same_curve(f, row); })) {
      found.push_back(row);
    }
  }
  return found;
}

std::optional<Interpolated> nmse_at(std::span<const TrialRow> curve, double bits) {
  for (size_t i = 0; i + 1 < curve.size(); ++i) {
    const TrialRow& low = curve[i];
    const TrialRow& high = curve[i + 1];
    if (bits < low.bits_per_coordinate || bits > high.bits_per_coordinate) continue;
    if (!(low.nmse > 0.0 && high.nmse > 0.0)) continue;
    const double width = high.bits_per_coordinate - low.bits_per_coordinate;
    const double part = width > 0.0 ? (bits - low.bits_per_coordinate) / width : 0.0;
    return Interpolated{std::exp(std::log(low.nmse) * (1.0 - part) + std::log(high.nmse) * part),
                        low.biased() || high.biased()};
  }
  return std::nullopt;
}

std::string summary_text(std::span<const TrialRow> rows) {
  std::string text;
  append_gaps(text, rows);
  append_speeds(text, rows);
  append_rate_model(text, rows);
  return text;
}

std::string summary_markdown(std::span<const TrialRow> rows) {
  std::string text;
  const std::vector<TrialRow> vectors = vectors_of(rows);
  if (vectors.empty()) return text;
  const TrialRow* largest = &vectors.front();
  for (const TrialRow& vector : vectors) {
    if (vector.coordinates > largest->coordinates) largest = &vector;
    // Large vectors have one point a scheme, and no curve.
    const std::vector<TrialRow> all = curves(rows);
    const bool curved = std::any_of(all.begin(), all.end(), [&](const TrialRow& curve) {
      return same_data(curve, vector) && curve_of(rows, curve).size() > 1;
    });
    if (curved) append_error_table(text, rows, vector);
  }
  append_speed_table(text, rows, *largest);
  return text;
}

}  // namespace runnel::bench
