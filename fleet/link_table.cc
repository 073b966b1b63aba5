#include "fleet/link_table.h"

#include <algorithm>
#include <array>

#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

constexpr std::array<const char*, 9> kHeads = {"Device",   "Updates",     "Restarts",   "Up",           "Down",
                                               "Up, busy", "Up: profile", "Down, busy", "Down: profile"};
using Cells = std::array<std::string, kHeads.size()>;

std::string rate_text(const MeasuredRate& rate) {
  if (!rate_ratio(rate)) return "-";
  return fixed(rate.bytes * 8e-3 / rate.busy_s, 1) + " kbit/s";
}

std::string ratio_text(const MeasuredRate& rate) {
  const auto ratio = rate_ratio(rate);
  if (!ratio) return "-";
  const double percent = 100.0 * (*ratio - 1.0);
  return fixed(rate.profile_bytes * 8e-3 / rate.busy_s, 1) + " (" + (percent < 0.0 ? "" : "+") + fixed(percent, 1) +
         " %)";
}

Cells row_of(const DeviceRecord& device) {
  const auto delivered = std::count_if(device.rates.begin(), device.rates.end(), [](const RateEvent& each) {
    return each.outcome == "in_time" || each.outcome == "late";
  });
  const uint64_t updates = std::max(device.updates_acknowledged, static_cast<uint64_t>(delivered));
  const MeasuredLink measured = device.measured.value_or(MeasuredLink{});
  return {device.name,
          std::to_string(updates),
          std::to_string(device.restarts),
          format_bytes(device.link.uplink_bytes),
          format_bytes(device.link.downlink_bytes),
          rate_text(measured.up),
          ratio_text(measured.up),
          rate_text(measured.down),
          ratio_text(measured.down)};
}

bool any_measured(const RunRecord& record) {
  return std::any_of(record.devices.begin(), record.devices.end(),
                     [](const DeviceRecord& device) { return device.measured.has_value(); });
}

constexpr const char* kNote =
    "Bytes are Ethernet frames, counted by the kernel. Busy: while more waited to be sent; beside it what the profile "
    "says of the same moments.";

}  // namespace

std::optional<double> rate_ratio(const MeasuredRate& rate) {
  if (rate.profile_bytes < kRatedBytesMin || rate.busy_s <= 0.0) return std::nullopt;
  return rate.bytes / rate.profile_bytes;
}

std::string link_table(const RunRecord& record) {
  if (!any_measured(record)) return {};
  constexpr std::array<size_t, kHeads.size()> kWidths = {8, 9, 10, 10, 10, 15, 18, 15, 18};
  const auto line = [&](const auto& cells) {
    std::string text = fit_left(cells[0], kWidths[0]);
    for (size_t i = 1; i < kHeads.size(); ++i) text += fit_right(cells[i], kWidths[i]);
    return text + "\n";
  };
  std::string text =
      line(Cells{kHeads[0], kHeads[1], kHeads[2], kHeads[3], kHeads[4], kHeads[5], kHeads[6], kHeads[7], kHeads[8]});
  for (const DeviceRecord& device : record.devices) text += line(row_of(device));
  return text + kNote + "\n";
}

std::string link_section(const RunRecord& record) {
  if (!any_measured(record)) return {};
  std::string text = "<section><h2>Shaped links</h2><p>" + std::string(kNote) + "</p><table><thead><tr>";
  for (const char* head : kHeads) text += std::string("<th>") + head + "</th>";
  text += "</tr></thead>";
  for (const DeviceRecord& device : record.devices) {
    text += "<tr>";
    for (const std::string& cell : row_of(device)) text += "<td>" + cell + "</td>";
    text += "</tr>";
  }
  return text + "</table></section>\n";
}

}  // namespace runnel::fleet
