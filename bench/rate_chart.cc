#include <algorithm>
#include <array>
#include <cmath>
#include <cstdarg>
#include <cstdio>

#include "bench/rate_report.h"
#include "fleet/svg_chart.h"
#include "fleet/text_format.h"

namespace runnel::bench {
namespace {

constexpr double kWidth = 960.0;
constexpr double kHeight = 420.0;
constexpr double kLeft = 56.0;
constexpr double kRight = 178.0;  // the legend stands there
constexpr double kTop = 14.0;
constexpr double kBottom = 44.0;
constexpr double kAccuracySpan = 0.4;  // below the best; how a run begins is of no interest

// Twelve colours that most eyes tell apart. Rivals are dashed, our own thick.
constexpr std::array<const char*, 12> kColours = {"#6b7280", "#0072b2", "#56b4e9", "#17a2a2", "#8c564b", "#b5a900",
                                                  "#e69f00", "#cc79a7", "#7f3fbf", "#d55e00", "#e0244c", "#009e73"};

[[gnu::format(printf, 2, 3)]] void append(std::string& text, const char* format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text += line;
}

struct Curve {
  std::string name;
  SettingKind kind = SettingKind::kFixed;
  std::vector<RatePoint> points;
};

double x_value(const RatePoint& point, CurveAxis axis) {
  return axis == CurveAxis::kUplinkBytes ? point.uplink_bytes : point.seconds;
}

bool drawn(const RatePoint& point, CurveAxis axis, double y_low) {
  return x_value(point, axis) > 0.0 && point.accuracy >= y_low;
}

std::string x_text(double value, CurveAxis axis) {
  return axis == CurveAxis::kUplinkBytes ? fleet::format_bytes(static_cast<uint64_t>(value))
                                         : fleet::format_duration(value);
}

// The lowest and highest value of anything drawn.
struct Frame {
  double x_low = 1e300;
  double x_high = 0.0;
  double y_low = 1.0;
  double y_high = 0.0;

  double x(double value) const {
    return kLeft + std::log(value / x_low) / std::log(x_high / x_low) * (kWidth - kLeft - kRight);
  }
  double y(double value) const { return kTop + (y_high - value) / (y_high - y_low) * (kHeight - kTop - kBottom); }
};

Frame frame_of(const std::vector<Curve>& curves, CurveAxis axis) {
  Frame frame;
  for (const Curve& curve : curves) {
    for (const RatePoint& point : curve.points) {
      frame.y_low = std::min(frame.y_low, point.accuracy);
      frame.y_high = std::max(frame.y_high, point.accuracy);
    }
  }
  frame.y_high = std::ceil(frame.y_high * 20.0) / 20.0;
  frame.y_low = std::max(std::floor(frame.y_low * 20.0) / 20.0, frame.y_high - kAccuracySpan);
  frame.y_high = std::max(frame.y_high, frame.y_low + 0.05);
  for (const Curve& curve : curves) {
    for (const RatePoint& point : curve.points) {
      if (!drawn(point, axis, frame.y_low)) continue;
      frame.x_low = std::min(frame.x_low, x_value(point, axis));
      frame.x_high = std::max(frame.x_high, x_value(point, axis));
    }
  }
  if (frame.x_high <= 0.0) frame.x_low = frame.x_high = 1.0;
  if (frame.x_high <= frame.x_low) frame.x_high = 10.0 * frame.x_low;
  return frame;
}

void append_axes(std::string& svg, const Frame& frame, CurveAxis axis) {
  const double bottom = kHeight - kBottom;
  for (double decade = std::floor(std::log10(frame.x_low)); decade <= std::log10(frame.x_high); decade += 1.0) {
    for (const double step : {1.0, 2.0, 5.0}) {
      const double value = step * std::pow(10.0, decade);
      if (value < frame.x_low || value > frame.x_high) continue;
      append(svg, "<path d='M%.1f %.1fV%.1f' class='grid'/>", frame.x(value), kTop, bottom);
      append(svg, "<text x='%.1f' y='%.1f' class='label' text-anchor='middle'>%s</text>\n", frame.x(value),
             bottom + 17.0, fleet::escape_html(x_text(value, axis)).c_str());
    }
  }
  for (double tick = frame.y_low; tick <= frame.y_high + 1e-9; tick += 0.05) {
    append(svg, "<path d='M%.1f %.1fH%.1f' class='grid'/>", kLeft, frame.y(tick), kWidth - kRight);
    append(svg, "<text x='%.1f' y='%.1f' class='label' text-anchor='end'>%.0f %%</text>\n", kLeft - 6.0,
           frame.y(tick) + 4.0, 100.0 * tick);
  }
  append(svg, "<text x='%.1f' y='%.1f' class='label strong' text-anchor='middle'>%s</text>\n",
         (kLeft + kWidth - kRight) / 2.0, kHeight - 8.0,
         axis == CurveAxis::kUplinkBytes ? "uplink bytes of the average device" : "simulated time");
}

void append_curve(std::string& svg, const Frame& frame, CurveAxis axis, const Curve& curve, size_t number) {
  const char* colour = kColours[number % kColours.size()];
  const char* dash = curve.kind == SettingKind::kRival ? " stroke-dasharray='6 3'" : "";
  const double width = curve.kind == SettingKind::kOurs ? 3.0 : 1.4;
  append(svg, "<path fill='none' stroke='%s'%s stroke-width='%.1f' d='", colour, dash, width);
  char command = 'M';
  for (const RatePoint& point : curve.points) {
    if (!drawn(point, axis, frame.y_low)) continue;
    append(svg, "%c%.1f %.1f", command, frame.x(x_value(point, axis)), frame.y(point.accuracy));
    command = 'L';
  }
  svg += "'><title>" + fleet::escape_html(curve.name) + "</title></path>\n";
  const double y = kTop + 6.0 + 19.0 * static_cast<double>(number);
  append(svg, "<path stroke='%s'%s stroke-width='%.1f' d='M%.1f %.1fh22'/>", colour, dash, width,
         kWidth - kRight + 12.0, y);
  append(svg, "<text x='%.1f' y='%.1f' class='label'>", kWidth - kRight + 40.0, y + 4.0);
  svg += fleet::escape_html(curve.name) + "</text>\n";
}

}  // namespace

std::string accuracy_chart(std::span<const RateRun> runs, CurveAxis axis) {
  std::vector<Curve> curves;
  for (const RateRun& run : runs) {
    const bool known =
        std::any_of(curves.begin(), curves.end(), [&run](const Curve& curve) { return curve.name == run.setting; });
    if (!known) curves.push_back({run.setting, run.kind, mean_curve(runs, run.setting)});
  }
  const Frame frame = frame_of(curves, axis);
  std::string svg;
  append(svg, "<svg viewBox='0 0 %.0f %.0f' role='img' aria-label='accuracy curves'>\n", kWidth, kHeight);
  append_axes(svg, frame, axis);
  for (size_t i = 0; i < curves.size(); ++i) append_curve(svg, frame, axis, curves[i], i);
  return svg + "</svg>";
}

}  // namespace runnel::bench
