// Drawings for the report, as SVG text that stands inside an HTML page. Colours come from the page's style sheet by
// class name, so that light and dark pages both work. All labels are escaped here.
//
// Pure. Classes used: axis, grid, label, and the class each series or span names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace runnel::fleet {

// For text between tags and inside quoted attributes.
std::string escape_html(std::string_view text);

using NumberFormat = std::string (*)(double);

struct Point {
  double x = 0.0;
  double y = 0.0;
};

struct Series {
  std::string name;
  std::string style;  // a class
  std::vector<Point> points;
};

struct Axis {
  std::string label;
  NumberFormat format;
  double at_least = 0.0;  // the axis reaches at least this far; both axes begin at 0
  bool whole = false;     // ticks only at whole numbers
};

// Lines with a dot a point, and a legend when there is more than one series.
std::string line_chart(const std::vector<Series>& series, const Axis& x, const Axis& y);

// Columns side by side: the points' x are the groups' positions (1, 2, ...), the y their heights.
std::string column_chart(const std::vector<Series>& series, const Axis& x, const Axis& y);

struct Bar {
  std::string style;
  std::vector<double> parts;  // stacked; the second and later ones are drawn paler
};
struct BarGroup {
  std::string label;
  std::vector<Bar> bars;
};

// Horizontal bars, a group under another, the parts' values written at each bar's end.
std::string bar_chart(const std::vector<BarGroup>& groups, NumberFormat format);

struct Span {
  double begin = 0.0;
  double end = 0.0;
  std::string style;
  std::string hint;  // shown under the pointer
};
struct TimelineRow {
  std::string label;
  std::vector<Span> spans;  // full height
  std::vector<Span> marks;  // drawn over them, narrower
};

// One row a device over time, from 0 to `end`.
std::string timeline_chart(const std::vector<TimelineRow>& rows, double end, NumberFormat format);

// Where ticks go on an axis from 0 to at least `end`: steps of 1, 2 or 5 times a power of ten, about `count` of them.
std::vector<double> ticks(double end, int count, bool whole = false);

}  // namespace runnel::fleet
