#include "fleet/evaluation_table.h"

#include <algorithm>
#include <numeric>

#include "fleet/svg_chart.h"
#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

constexpr size_t kClassesShown = 32;
constexpr size_t kDevicesListed = 200;

// A cell's colour is its share of its row: what became of the examples of that class.
std::string confusion_section(const RunRecord& record) {
  const auto& matrix = record.confusion;
  if (matrix.empty() || matrix.size() > kClassesShown) return {};
  std::string out = "<section><h2>What was taken for what: " + escape_html(record.label) +
                    "</h2><table class=\"confusion\"><thead><tr><th>true \\ found</th>";
  for (size_t found = 0; found < matrix.size(); ++found) out += "<th>" + std::to_string(found) + "</th>";
  out += "<th>recall</th></tr></thead><tbody>";
  for (size_t truth = 0; truth < matrix.size(); ++truth) {
    const auto examples = static_cast<double>(std::accumulate(matrix[truth].begin(), matrix[truth].end(), uint64_t{0}));
    out += "<tr><th>" + std::to_string(truth) + "</th>";
    for (size_t found = 0; found < matrix.size(); ++found) {
      const double share = examples > 0.0 ? static_cast<double>(matrix[truth][found]) / examples : 0.0;
      const char* colour = truth == found ? "38,120,178" : "200,70,50";
      out += std::string("<td style=\"background:rgba(") + colour + "," + fixed(0.85 * share, 3) + ")\">" +
             std::to_string(matrix[truth][found]) + "</td>";
    }
    const double recall = examples > 0.0 ? static_cast<double>(matrix[truth][truth]) / examples : 0.0;
    out += "<td>" + format_percent(recall) + "</td></tr>";
  }
  out += "<tr><th>precision</th>";
  for (size_t found = 0; found < matrix.size(); ++found) {
    uint64_t taken = 0;
    for (const auto& row : matrix) taken += row[found];
    out += "<td>" +
           (taken > 0 ? format_percent(static_cast<double>(matrix[found][found]) / static_cast<double>(taken)) : "-") +
           "</td>";
  }
  return out + "<td></td></tr></tbody></table></section>\n";
}

std::string row_of(const char* which, const DeviceRecord& device, bool tuned) {
  const EvaluatedEvent& found = *device.evaluated;
  std::string out = std::string("<tr><th>") + which + escape_html(device.name) + "</th>";
  std::vector<std::string> cells{std::to_string(found.round),
                                 std::to_string(found.examples),
                                 format_metric(found.metric, found.value_before),
                                 format_metric(found.metric, found.value_after),
                                 fixed(found.loss_before, 4),
                                 fixed(found.loss_after, 4)};
  if (tuned) {
    cells.push_back(found.value_tuned ? format_metric(found.metric, *found.value_tuned) : "-");
    cells.push_back(found.loss_tuned ? fixed(*found.loss_tuned, 4) : "-");
  }
  for (const std::string& cell : cells) out += "<td>" + escape_html(cell) + "</td>";
  return out + "</tr>";
}

std::string device_section(const RunRecord& record) {
  std::vector<const DeviceRecord*> devices;
  for (const DeviceRecord& device : record.devices) {
    if (device.evaluated) devices.push_back(&device);
  }
  if (devices.empty()) return {};
  const EvaluatedEvent& first = *devices.front()->evaluated;
  std::vector<const DeviceRecord*> ranked = devices;
  std::stable_sort(ranked.begin(), ranked.end(), [&](const DeviceRecord* a, const DeviceRecord* b) {
    const double left = a->evaluated->value_after;
    const double right = b->evaluated->value_after;
    return first.larger_is_better ? left < right : left > right;
  });
  const bool tuned = std::any_of(devices.begin(), devices.end(),
                                 [](const DeviceRecord* device) { return device->evaluated->value_tuned.has_value(); });
  std::string out = "<section><h2>On the devices' own examples: " + escape_html(record.label) +
                    "</h2><table><thead><tr><th>device</th><th>round</th><th>examples</th><th>" +
                    escape_html(first.metric) + " of the model that came</th><th>of its own, after training</th>" +
                    "<th>loss before</th><th>after</th>";
  if (tuned) {
    out += "<th>" + escape_html(first.metric) + " fine-tuned by " + std::to_string(first.tuned_steps) +
           " steps for itself</th><th>loss</th>";
  }
  out += "</tr></thead><tbody>";
  out += row_of("worst: ", *ranked.front(), tuned) + row_of("median: ", *ranked[ranked.size() / 2], tuned) +
         row_of("best: ", *ranked.back(), tuned);
  for (size_t i = 0; i < std::min(kDevicesListed, devices.size()); ++i) out += row_of("", *devices[i], tuned);
  return out + "</tbody></table></section>\n";
}

}  // namespace

std::string evaluation_sections(const RunRecord& record) {
  return confusion_section(record) + device_section(record);
}

}  // namespace runnel::fleet
