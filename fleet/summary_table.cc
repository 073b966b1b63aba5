#include "fleet/summary_table.h"

#include <algorithm>

#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

double per_device(uint64_t bytes, const RunRecord& record) {
  return static_cast<double>(bytes) / static_cast<double>(std::max<size_t>(record.devices.size(), 1));
}

std::string ratio_text(double value, double comparison) {
  if (value <= 0.0 || comparison <= 0.0) return {};
  if (comparison < value * 1.05 && value < comparison * 1.05) return "the same";
  return comparison >= value ? fixed(comparison / value, 1) + "x less" : fixed(value / comparison, 1) + "x more";
}

uint64_t device_rss_max(const RunRecord& record) {
  uint64_t most = 0;
  for (const DeviceRecord& device : record.devices) most = std::max(most, device.rss_bytes_max);
  return most;
}

uint64_t cuts(const RunRecord& record) {
  uint64_t sum = 0;
  for (const DeviceRecord& device : record.devices) sum += device.link.cuts;
  return sum;
}

}  // namespace

std::vector<SummaryRow> summary_rows(const RunRecord& record, const RunRecord* comparison) {
  std::vector<SummaryRow> rows;
  const auto add = [&](const char* what, auto text) {
    rows.push_back({what, text(record), comparison != nullptr ? text(*comparison) : std::string{}, {}});
  };
  const auto add_ratio = [&](auto value) {
    if (comparison != nullptr) rows.back().ratio = ratio_text(value(record), value(*comparison));
  };
  const auto up = [](const RunRecord& run) { return per_device(run.uplink_bytes(), run); };
  const auto down = [](const RunRecord& run) { return per_device(run.downlink_bytes(), run); };
  const auto bytes_text = [](auto value) {
    return [value](const RunRecord& run) { return format_bytes(static_cast<uint64_t>(value(run))); };
  };
  const std::string title = "Test " + record.metric;
  add(title.c_str(), [](const RunRecord& run) { return format_metric(run.metric, run.judged()); });
  add("Sent up, per device", bytes_text(up));
  add_ratio(up);
  add("Sent down, per device", bytes_text(down));
  add_ratio(down);
  add("Rounds", [](const RunRecord& run) { return std::to_string(run.rounds.size()); });
  add("Time to the last model", [](const RunRecord& run) { return format_duration(run.finished_at_s); });
  add_ratio([](const RunRecord& run) { return run.finished_at_s; });
  add("Connections cut", [](const RunRecord& run) { return std::to_string(cuts(run)); });
  add("Model parameters", [](const RunRecord& run) { return format_count(run.parameters); });
  add("Device memory, peak", [](const RunRecord& run) { return format_bytes(device_rss_max(run)); });
  return rows;
}

std::string summary_table(const RunRecord& record, const RunRecord* comparison) {
  std::vector<SummaryRow> rows = summary_rows(record, comparison);
  rows.insert(rows.begin(), {"", record.label, comparison != nullptr ? comparison->label : "", ""});
  std::string text;
  for (const SummaryRow& row : rows) {
    std::string line = fit_left(row.what, 24) + fit_right(row.value, 16);
    if (comparison != nullptr) line += fit_right(row.comparison, 16) + fit_right(row.ratio, 14);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace runnel::fleet
