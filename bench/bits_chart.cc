#include "bench/bits_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <vector>

#include "bench/summary.h"

namespace runnel::bench {
namespace {

constexpr double kPanelWidth = 520.0;
constexpr double kPanelHeight = 380.0;
constexpr double kLeft = 62.0;
constexpr double kRight = 14.0;
constexpr double kTop = 34.0;
constexpr double kBottom = 46.0;
constexpr double kBitsMax = 8.5;
constexpr double kLowestDecade = -5.0;
constexpr double kHighestDecade = 1.5;
constexpr double kLegendLine = 20.0;
constexpr size_t kLegendColumns = 4;

// Twelve colours that most eyes tell apart; after them the dashes change.
constexpr std::array<const char*, 12> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
                                                  "#8c564b", "#7f3fbf", "#b5a900", "#e0244c", "#17a2a2", "#6b7280"};
constexpr std::array<const char*, 3> kDashes = {"", "6 3", "2 3"};

[[gnu::format(printf, 2, 3)]] void append(std::string& text, const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text += line;
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<') {
      safe += "&lt;";
    } else if (c == '&') {
      safe += "&amp;";
    } else {
      safe += c;
    }
  }
  return safe;
}

double x_of(double bits) {
  return kLeft + bits / kBitsMax * (kPanelWidth - kLeft - kRight);
}

double y_of(double nmse) {
  const double decade = std::clamp(std::log10(nmse), kLowestDecade, kHighestDecade);
  return kTop + (kHighestDecade - decade) / (kHighestDecade - kLowestDecade) * (kPanelHeight - kTop - kBottom);
}

bool drawn(const TrialRow& row) {
  // A compressor alone has the bits and the error of its whole way.
  if (row.scheme.find(" alone") != std::string::npos) return false;
  // The error of a mean of many is not that of one.
  if (row.scheme.find(" x ") != std::string::npos) return false;
  return row.bits_per_coordinate <= kBitsMax && row.nmse > 0.0 && std::log10(row.nmse) >= kLowestDecade &&
         std::log10(row.nmse) <= kHighestDecade;
}

void append_axes(std::string& svg, const TrialRow& vector) {
  const double bottom = kPanelHeight - kBottom;
  append(svg, "<text x='%.0f' y='20' class='title'>", kLeft);
  svg += escaped(vector.data);
  append(svg, ", %zu coordinates</text>\n", vector.coordinates);
  for (int bits = 0; bits <= 8; ++bits) {
    append(svg, "<path d='M%.1f %.1fV%.1f' class='grid'/><text x='%.1f' y='%.1f' class='tick middle'>%d</text>\n",
           x_of(bits), kTop, bottom, x_of(bits), bottom + 16.0, bits);
  }
  for (int decade = -5; decade <= 1; ++decade) {
    const double y = y_of(std::pow(10.0, decade));
    append(svg, "<path d='M%.1f %.1fH%.1f' class='grid'/>", kLeft, y, kPanelWidth - kRight);
    append(svg, "<text x='%.1f' y='%.1f' class='tick end'>1e%d</text>\n", kLeft - 6.0, y + 4.0, decade);
  }
  append(svg, "<text x='%.1f' y='%.1f' class='tick middle'>bits a coordinate</text>\n",
         (kLeft + kPanelWidth - kRight) / 2.0, kPanelHeight - 10.0);
  append(svg, "<text transform='translate(14 %.1f) rotate(-90)' class='tick middle'>NMSE</text>\n",
         (kTop + bottom) / 2.0);
  svg += "<path class='limit' d='";
  bool first = true;
  for (double bits = 0.03; bits <= kBitsMax; bits += 0.02) {
    const double nmse = unbiased_limit(bits);
    if (std::log10(nmse) > kHighestDecade || std::log10(nmse) < kLowestDecade) continue;
    append(svg, "%c%.1f %.1f", first ? 'M' : 'L', x_of(bits), y_of(nmse));
    first = false;
  }
  svg += "'><title>limit of unbiased codes on Gaussian values, 1/(2^(2R)-1)</title></path>\n";
}

void append_curve(std::string& svg, std::span<const TrialRow> points, size_t series) {
  const char* colour = kColours[series % kColours.size()];
  const char* dash = kDashes[series / kColours.size() % kDashes.size()];
  std::string line;
  size_t count = 0;
  for (const TrialRow& point : points) {
    if (drawn(point))
      append(line, "%c%.1f %.1f", count++ == 0 ? 'M' : 'L', x_of(point.bits_per_coordinate), y_of(point.nmse));
  }
  if (count > 1)
    append(svg, "<path fill='none' stroke='%s' stroke-dasharray='%s' stroke-width='1.6' d='", colour, dash);
  if (count > 1) svg += line + "'/>\n";
  for (const TrialRow& point : points) {
    if (!drawn(point)) continue;
    append(svg, "<circle cx='%.1f' cy='%.1f' r='3' fill='%s'><title>", x_of(point.bits_per_coordinate),
           y_of(point.nmse), colour);
    svg += escaped(point.scheme) + " " + escaped(point.parameter);
    append(svg, ": %.3f bits, NMSE %.4g%s</title></circle>\n", point.bits_per_coordinate, point.nmse,
           point.biased() ? ", biased" : "");
  }
}

}  // namespace

std::string bits_chart_svg(std::span<const TrialRow> rows) {
  // Panels, and the schemes that any of them shows. Colours go by scheme, so that panels can be compared.
  std::vector<TrialRow> panels;
  std::vector<std::string> schemes;
  std::vector<TrialRow> shown;
  for (const TrialRow& curve : curves(rows)) {
    const bool other_kernel = std::any_of(shown.begin(), shown.end(), [&](const TrialRow& s) {
      return s.data == curve.data && s.coordinates == curve.coordinates && s.scheme == curve.scheme;
    });
    const std::vector<TrialRow> points = curve_of(rows, curve);
    if (other_kernel || std::none_of(points.begin(), points.end(), drawn)) continue;
    shown.push_back(curve);
    if (std::find(schemes.begin(), schemes.end(), curve.scheme) == schemes.end()) schemes.push_back(curve.scheme);
    if (std::none_of(panels.begin(), panels.end(),
                     [&](const TrialRow& p) { return p.data == curve.data && p.coordinates == curve.coordinates; })) {
      panels.push_back(curve);
    }
  }
  const size_t columns = std::min<size_t>(2, std::max<size_t>(1, panels.size()));
  const size_t panel_rows = (panels.size() + columns - 1) / columns;
  const double width = kPanelWidth * 2.0;
  const double panels_height = kPanelHeight * static_cast<double>(panel_rows);
  const size_t legend_rows = (schemes.size() + 1 + kLegendColumns - 1) / kLegendColumns;
  const double height = panels_height + kLegendLine * static_cast<double>(legend_rows) + 16.0;
  std::string svg;
  append(svg, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' width='%.0f' height='%.0f'>\n", width,
         height, width, height);
  svg +=
      "<style>text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.tick{font-size:11px}"
      ".middle{text-anchor:middle}.end{text-anchor:end}.grid{stroke:#8885;stroke-width:.6}"
      ".limit{fill:none;stroke:#24292f;stroke-width:1.4;stroke-dasharray:7 4}"
      "@media(prefers-color-scheme:dark){text{fill:#d0d7de}.limit{stroke:#d0d7de}}</style>\n";
  for (size_t i = 0; i < panels.size(); ++i) {
    append(svg, "<g transform='translate(%.0f %.0f)'>\n", kPanelWidth * static_cast<double>(i % columns),
           kPanelHeight * static_cast<double>(i / columns));
    append_axes(svg, panels[i]);
    for (const TrialRow& curve : shown) {
      if (curve.data != panels[i].data || curve.coordinates != panels[i].coordinates) continue;
      const auto series = std::find(schemes.begin(), schemes.end(), curve.scheme) - schemes.begin();
      append_curve(svg, curve_of(rows, curve), static_cast<size_t>(series));
    }
    svg += "</g>\n";
  }
  for (size_t i = 0; i <= schemes.size(); ++i) {
    const double x = 40.0 + static_cast<double>(i % kLegendColumns) * (width - 60.0) / kLegendColumns;
    const double y = panels_height + 16.0 + kLegendLine * static_cast<double>(i / kLegendColumns);
    if (i == 0) {
      append(svg, "<path class='limit' d='M%.0f %.0fh26'/>", x, y - 4.0);
    } else {
      append(svg, "<path d='M%.0f %.0fh26' stroke='%s' stroke-dasharray='%s' stroke-width='2.4'/>", x, y - 4.0,
             kColours[(i - 1) % kColours.size()], kDashes[(i - 1) / kColours.size() % kDashes.size()]);
    }
    append(svg, "<text x='%.0f' y='%.0f'>", x + 34.0, y);
    svg += (i == 0 ? "unbiased limit on Gaussians" : escaped(schemes[i - 1])) + "</text>\n";
  }
  return svg + "</svg>\n";
}

}  // namespace runnel::bench
