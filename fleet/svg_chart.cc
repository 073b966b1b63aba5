#include "fleet/svg_chart.h"

#include <algorithm>
#include <cmath>

#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

constexpr double kWidth = 520.0;
constexpr double kHeight = 290.0;
constexpr double kLeft = 58.0;
constexpr double kRight = 14.0;
constexpr double kTop = 28.0;
constexpr double kBottom = 46.0;

std::string number(double value) {
  return fixed(value, 1);
}

std::string attribute(const char* name, const std::string& value) {
  return std::string(" ") + name + "=\"" + escape_html(value) + "\"";
}

std::string open_svg(double width, double height, const std::string& label) {
  return "<svg viewBox=\"0 0 " + number(width) + " " + number(height) + "\" role=\"img\"" +
         attribute("aria-label", label) + ">";
}

std::string line(double x1, double y1, double x2, double y2, const char* style) {
  return "<line" + attribute("class", style) + " x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" +
         number(x2) + "\" y2=\"" + number(y2) + "\"/>";
}

std::string rect(double x, double y, double width, double height, const std::string& style,
                 const std::string& hint = {}) {
  const std::string head = "<rect" + attribute("class", style) + " x=\"" + number(x) + "\" y=\"" + number(y) +
                           "\" width=\"" + number(std::max(width, 0.0)) + "\" height=\"" + number(height) + "\"";
  return hint.empty() ? head + "/>" : head + "><title>" + escape_html(hint) + "</title></rect>";
}

std::string text(double x, double y, const char* anchor, const std::string& words, const char* style = "label") {
  return "<text" + attribute("class", style) + " x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" +
         anchor + "\">" + escape_html(words) + "</text>";
}

// Maps values to the drawing, and draws the axes.
class Plane {
 public:
  Plane(const std::vector<Series>& series, const Axis& x, const Axis& y) : x_axis_(x), y_axis_(y) {
    double x_end = x.at_least;
    double y_end = y.at_least;
    for (const Series& each : series) {
      for (const Point& point : each.points) {
        x_end = std::max(x_end, point.x);
        y_end = std::max(y_end, point.y);
      }
    }
    x_ticks_ = ticks(x_end, 6, x.whole);
    y_ticks_ = ticks(y_end, 5, y.whole);
    // The plane ends with the data along x and at a tick along y, where an open end would look cut off.
    x_end_ = x_end > 0.0 ? x_end : 1.0;
    y_end_ = std::max(y_end, y_ticks_.back());
  }

  double x(double value) const { return kLeft + value / x_end_ * (kWidth - kLeft - kRight); }
  double y(double value) const { return kHeight - kBottom - value / y_end_ * (kHeight - kTop - kBottom); }
  double x_end() const { return x_end_; }
  void widen(double by) { x_end_ += by; }

  std::string axes(bool x_labels = true) const {
    std::string out;
    for (const double each : y_ticks_) {
      out += line(kLeft, y(each), kWidth - kRight, y(each), each == 0.0 ? "axis" : "grid");
      out += text(kLeft - 7.0, y(each) + 4.0, "end", y_axis_.format(each));
    }
    for (const double each : x_ticks_) {
      if (x_labels && each <= x_end_ * 1.001)
        out += text(x(each), kHeight - kBottom + 17.0, "middle", x_axis_.format(each));
    }
    out += text((kLeft + kWidth - kRight) / 2.0, kHeight - 8.0, "middle", x_axis_.label, "label strong");
    return out + text(4.0, 14.0, "start", y_axis_.label, "label strong");
  }

 private:
  Axis x_axis_;
  Axis y_axis_;
  std::vector<double> x_ticks_;
  std::vector<double> y_ticks_;
  double x_end_ = 1.0;
  double y_end_ = 1.0;
};

std::string legend(const std::vector<Series>& series) {
  if (series.size() < 2) return {};
  std::string out;
  double x = kWidth - kRight;
  for (auto each = series.rbegin(); each != series.rend(); ++each) {
    x -= 7.0 * static_cast<double>(columns_of(each->name));
    out += text(x, 14.0, "start", each->name);
    x -= 16.0;
    out += rect(x, 5.0, 11.0, 11.0, each->style);
    x -= 16.0;
  }
  return out;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char each : text) {
    switch (each) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(each) < 0x20 && each != '\n' && each != '\t' ? ' ' : each;
    }
  }
  return out;
}

std::vector<double> ticks(double end, int count, bool whole) {
  if (!(end > 0.0) || !std::isfinite(end)) return {0.0, 1.0};
  const double rough = end / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double each : {1.0, 2.0, 5.0}) {
    if (each * power >= rough * 0.999) {
      step = each * power;
      break;
    }
  }
  if (whole) step = std::max(1.0, step);
  std::vector<double> result;
  for (int i = 0; static_cast<double>(i) * step < end + step * 0.999; ++i)
    result.push_back(static_cast<double>(i) * step);
  return result;
}

std::string line_chart(const std::vector<Series>& series, const Axis& x, const Axis& y) {
  const Plane plane(series, x, y);
  std::string out = open_svg(kWidth, kHeight, y.label + " over " + x.label) + plane.axes() + legend(series);
  for (const Series& each : series) {
    std::string path;
    for (const Point& point : each.points) {
      path += (path.empty() ? "M" : " L") + number(plane.x(point.x)) + " " + number(plane.y(point.y));
    }
    if (!path.empty()) out += "<path" + attribute("class", "line " + each.style) + " d=\"" + path + "\"/>";
    for (const Point& point : each.points) {
      out += "<circle" + attribute("class", each.style) + " cx=\"" + number(plane.x(point.x)) + "\" cy=\"" +
             number(plane.y(point.y)) + "\" r=\"3\"><title>" +
             escape_html(each.name + ": " + x.format(point.x) + ", " + y.format(point.y)) + "</title></circle>";
    }
  }
  return out + "</svg>";
}

std::string column_chart(const std::vector<Series>& series, const Axis& x, const Axis& y) {
  Plane plane(series, x, y);
  plane.widen(0.6);
  std::string out = open_svg(kWidth, kHeight, y.label + " over " + x.label) + plane.axes() + legend(series);
  const double group = plane.x(1.0) - plane.x(0.0);
  const double width = std::min(18.0, group * 0.8 / static_cast<double>(std::max<size_t>(series.size(), 1)));
  for (size_t i = 0; i < series.size(); ++i) {
    const double shift = (static_cast<double>(i) - static_cast<double>(series.size()) / 2.0) * width;
    for (const Point& point : series[i].points) {
      out += rect(plane.x(point.x) + shift, plane.y(point.y), width * 0.92, plane.y(0.0) - plane.y(point.y),
                  series[i].style, series[i].name + ": " + x.format(point.x) + ", " + y.format(point.y));
    }
  }
  return out + "</svg>";
}

std::string bar_chart(const std::vector<BarGroup>& groups, NumberFormat format) {
  constexpr double kBar = 9.0;
  constexpr double kGap = 8.0;
  constexpr double kValues = 124.0;  // room for the numbers at the end
  double most = 0.0;
  double height = kGap;
  for (const BarGroup& group : groups) {
    for (const Bar& bar : group.bars) {
      double total = 0.0;
      for (const double part : bar.parts) total += part;
      most = std::max(most, total);
    }
    height += static_cast<double>(group.bars.size()) * (kBar + 1.0) + kGap;
  }
  const double scale = most > 0.0 ? (kWidth - kLeft - kValues) / most : 0.0;
  std::string out = open_svg(kWidth, height, "bars");
  double y = kGap;
  for (const BarGroup& group : groups) {
    const double group_height = static_cast<double>(group.bars.size()) * (kBar + 1.0);
    out += text(kLeft - 8.0, y + group_height / 2.0 + 4.0, "end",
                fit_left(group.label, std::min<size_t>(7, columns_of(group.label))));
    for (const Bar& bar : group.bars) {
      double x = kLeft;
      std::string words;
      for (size_t part = 0; part < bar.parts.size(); ++part) {
        out +=
            rect(x, y, bar.parts[part] * scale, kBar, bar.style + (part > 0 ? " pale" : ""), format(bar.parts[part]));
        x += bar.parts[part] * scale;
        words += (part > 0 ? " + " : "") + format(bar.parts[part]);
      }
      out += text(x + 5.0, y + kBar - 1.0, "start", words, "label small");
      y += kBar + 1.0;
    }
    y += kGap;
  }
  return out + "</svg>";
}

std::string timeline_chart(const std::vector<TimelineRow>& rows, double end, NumberFormat format) {
  constexpr double kWide = 1060.0;
  constexpr double kRow = 18.0;
  const double bottom = 6.0 + static_cast<double>(rows.size()) * kRow;
  const double scale = end > 0.0 ? (kWide - kLeft - kRight) / end : 0.0;
  std::string out = open_svg(kWide, bottom + 24.0, "timeline");
  double y = 6.0;
  for (const TimelineRow& row : rows) {
    out += text(kLeft - 8.0, y + 12.0, "end", fit_left(row.label, std::min<size_t>(7, columns_of(row.label))));
    for (const Span& span : row.spans) {
      out +=
          rect(kLeft + span.begin * scale, y + 2.0, (span.end - span.begin) * scale, kRow - 5.0, span.style, span.hint);
    }
    for (const Span& mark : row.marks) {
      out += rect(kLeft + mark.begin * scale, y + 1.0, std::max(1.5, (mark.end - mark.begin) * scale), kRow - 3.0,
                  mark.style, mark.hint);
    }
    y += kRow;
  }
  out += line(kLeft, bottom, kWide - kRight, bottom, "axis");
  for (const double each : ticks(end, 10)) {
    if (each <= end) out += text(kLeft + each * scale, bottom + 16.0, "middle", format(each));
  }
  return out + "</svg>";
}

}  // namespace runnel::fleet
