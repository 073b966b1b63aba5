#include "fleet/live_view.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

constexpr size_t kWidthMin = 40;
constexpr size_t kRecentMax = 3;

constexpr const char* kBold = "1";
constexpr const char* kDim = "2";
constexpr const char* kRed = "31";
constexpr const char* kGreen = "32";
constexpr const char* kYellow = "33";
constexpr const char* kCyan = "36";

class Lines {
 public:
  explicit Lines(const ViewOptions& options) : width_(std::max(options.width, kWidthMin)), colour_(options.colour) {}

  size_t width() const { return width_; }
  std::string paint(const std::string& text, const char* code) const {
    return colour_ ? std::string("\x1b[") + code + "m" + text + "\x1b[0m" : text;
  }
  // A line of plain text, cut to the width, then painted as a whole.
  void add(const std::string& text, const char* code = nullptr) {
    const std::string fitted = columns_of(text) > width_ ? fit_left(text, width_) : text;
    lines_.push_back(code == nullptr ? fitted : paint(fitted, code));
  }
  // A line that its maker has fitted and painted.
  void add_fitted(std::string line) { lines_.push_back(std::move(line)); }
  std::vector<std::string> take() { return std::move(lines_); }

 private:
  size_t width_;
  bool colour_;
  std::vector<std::string> lines_;
};

const char* state_colour(const std::string& state) {
  if (state == "training") return kGreen;
  if (state == "uploading" || state == "downloading") return kCyan;
  if (state == "connecting" || state == "offline" || state == "starting" || state == "stopped") return kYellow;
  return kDim;
}

std::string link_name(const RunRecord& record) {
  if (!record.config.trace_file.empty()) return "measured links";
  return record.config.profile == "none" ? "unshaped links" : "'" + record.config.profile + "' links";
}

std::string link_text(const LinkState& link) {
  if (link.outage) return "OUTAGE";
  return "↑ " + format_rate(link.up_kbps) + "  ↓ " + format_rate(link.down_kbps);
}

void add_title(Lines& lines, const RunRecord& record, const ViewOptions& options) {
  const std::string elapsed = format_duration(record.elapsed_s);
  const std::string what =
      "runnel  " + options.title + " · " + std::to_string(record.devices.size()) + " devices · " + link_name(record);
  lines.add(fit_left(what, lines.width() - columns_of(elapsed) - 1) + " " + elapsed, kBold);
}

void add_progress(Lines& lines, const RunRecord& record) {
  const size_t done = record.rounds.size();
  const double share = static_cast<double>(done) / std::max(1.0, static_cast<double>(record.rounds_planned));
  const double left_s = remaining_s(record);
  const std::string head = "Round " + std::to_string(done) + "/" + std::to_string(record.rounds_planned) + "  ";
  const std::string tail = "  " + fit_right(fixed(share * 100.0, 0) + " %", 5) +
                           (left_s >= 0.0 ? "  about " + format_duration(left_s) + " left" : "");
  const size_t used = columns_of(head) + std::max<size_t>(columns_of(tail), 26);
  const size_t bar = std::clamp<size_t>(lines.width() - std::min(lines.width(), used), 8, 40);
  const std::string line = head + lines.paint(progress_bar(share, bar), kGreen) + tail;
  if (columns_of(head) + bar + columns_of(tail) > lines.width()) return lines.add(head + tail);
  lines.add_fitted(line);
}

void add_accuracy(Lines& lines, const RunRecord& record) {
  std::vector<double> history;
  for (const RoundRecord& each : record.rounds) {
    if (each.judged()) history.push_back(*each.judged());
  }
  const std::string title = "Test " + record.metric + "  ";
  if (record.rounds.empty()) return lines.add(title + "-");
  const RoundRecord& last = record.rounds.back();
  std::string line = title + format_metric(record.metric, last.judged());
  if (!history.empty()) line += "  " + sparkline(history, std::min<size_t>(24, lines.width() / 3));
  if (last.loss) line += "  loss " + fixed(*last.loss, 3);
  lines.add(line);
}

void add_fleet(Lines& lines, const RunRecord& record) {
  std::map<std::string_view, size_t> count;
  size_t dark = 0;
  for (const DeviceRecord& device : record.devices) {
    ++count[device.state];
    if (device.link_state.outage) ++dark;
  }
  const size_t away = count["connecting"] + count["offline"] + count["starting"] + count["stopped"];
  std::string fleet = "Fleet  " + std::to_string(record.devices.size() - away) + " online, " +
                      std::to_string(count["training"]) + " training, " + std::to_string(count["uploading"]) +
                      " uploading";
  if (dark > 0) fleet += ", " + std::to_string(dark) + " in an outage";
  lines.add(fleet);
  std::string traffic =
      "Traffic  ↑ " + format_bytes(record.uplink_bytes()) + "  ↓ " + format_bytes(record.downlink_bytes());
  if (!record.rounds.empty() && record.rounds.back().bits_per_coordinate > 0.0) {
    traffic += "  " + fixed(record.rounds.back().bits_per_coordinate, 2) + " bits a coordinate";
  }
  lines.add(traffic);
}

// Column widths of the table; the link takes what is left.
constexpr size_t kNameWidth = 7;
constexpr size_t kStateWidth = 12;
constexpr size_t kRoundWidth = 6;
constexpr size_t kBytesWidth = 9;
constexpr size_t kCutsWidth = 5;

struct Row {
  std::string name;
  std::string state;
  std::string round;
  std::string sent;
  std::string got;
  std::string cuts;
  std::string link;
};

void add_row(Lines& lines, const Row& row, const char* state_code, const char* link_code) {
  const size_t fixed_width = kNameWidth + kStateWidth + kRoundWidth + 2 * kBytesWidth + kCutsWidth + 2;
  const bool wide = lines.width() >= fixed_width + 12;
  std::string line = fit_left(row.name, kNameWidth) + lines.paint(fit_left(row.state, kStateWidth), state_code);
  if (wide) line += fit_right(row.round, kRoundWidth);
  line += fit_right(row.sent, kBytesWidth) + fit_right(row.got, kBytesWidth);
  if (wide) {
    line += fit_right(row.cuts, kCutsWidth) + "  ";
    const size_t left = std::min<size_t>(lines.width() - fixed_width, 32);
    line += lines.paint(fit_left(row.link, left), link_code);
  }
  lines.add_fitted(line);
}

void add_devices(Lines& lines, const RunRecord& record, size_t rows) {
  add_row(lines, {"device", "state", "round", "↑ sent", "↓ got", "cuts", "link"}, kDim, kDim);
  const size_t shown = record.devices.size() <= rows ? rows : rows - 1;
  for (size_t i = 0; i < std::min(shown, record.devices.size()); ++i) {
    const DeviceRecord& device = record.devices[i];
    add_row(lines,
            {device.name, device.state, std::to_string(device.round), format_bytes(device.link.uplink_bytes),
             format_bytes(device.link.downlink_bytes), std::to_string(device.link.cuts), link_text(device.link_state)},
            state_colour(device.state), device.link_state.outage ? kRed : kDim);
  }
  if (shown < record.devices.size()) {
    lines.add("and " + std::to_string(record.devices.size() - shown) + " more devices", kDim);
  }
}

}  // namespace

double remaining_s(const RunRecord& record) {
  if (record.rounds.empty()) return -1.0;
  const RoundRecord& last = record.rounds.back();
  const double a_round_s = (last.ended_at_s - record.training_began_s) / static_cast<double>(record.rounds.size());
  const auto left = static_cast<double>(record.rounds_planned) - static_cast<double>(record.rounds.size());
  return std::max(0.0, left * a_round_s - (record.elapsed_s - last.ended_at_s));
}

std::vector<std::string> render_view(const RunRecord& record, const std::vector<std::string>& recent,
                                     const ViewOptions& options) {
  Lines lines(options);
  add_title(lines, record, options);
  add_progress(lines, record);
  add_accuracy(lines, record);
  add_fleet(lines, record);
  const size_t used = 6;  // the lines above and the table's head
  const size_t notices = std::min({recent.size(), kRecentMax, options.height > used + 4 ? kRecentMax : size_t{0}});
  const size_t rows = options.height > used + notices ? options.height - used - notices : 0;
  if (rows >= 2) add_devices(lines, record, rows);
  for (size_t i = recent.size() - notices; i < recent.size(); ++i) lines.add(recent[i], kDim);
  return lines.take();
}

}  // namespace runnel::fleet
