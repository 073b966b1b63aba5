#include "bench/rate_report.h"

#include <nlohmann/json.hpp>

#include "fleet/report_style.h"
#include "fleet/svg_chart.h"
#include "fleet/text_format.h"

namespace runnel::bench {
namespace {

using Json = nlohmann::ordered_json;
using fleet::escape_html;
using fleet::fixed;

std::string bytes_text(double bytes) {
  return fleet::format_bytes(static_cast<uint64_t>(bytes));
}

std::string times_text(const std::optional<double>& ratio) {
  return ratio.has_value() ? fixed(*ratio, *ratio < 10.0 ? 2 : 1) + "x" : "-";
}

const std::vector<std::string>& headings() {
  static const std::vector<std::string> names = {
      "setting", "kind", "reached", "rounds",  "uplink a device", "both ways",    "simulated time",
      "misses",  "bits", "final",   "vs fp32", "vs best qsgd",    "vs best rival"};
  return names;
}

std::vector<std::string> cells_of(const RateSummary& row) {
  const bool reached = row.reached > 0;
  return {row.setting,
          setting_kind_name(row.kind),
          std::to_string(row.reached) + "/" + std::to_string(row.runs),
          reached ? fixed(row.rounds, 1) : "-",
          reached ? bytes_text(row.uplink_bytes) : "-",
          reached ? bytes_text(row.total_bytes) : "-",
          reached ? fleet::format_duration(row.seconds) : "-",
          fixed(row.missed, 1),
          fixed(row.bits_per_coordinate, 2),
          fixed(100.0 * row.final_accuracy, 2) + " %",
          times_text(row.to_fp32),
          times_text(row.to_best_qsgd),
          times_text(row.to_best_rival)};
}

std::string targets_text(const RateTable& table) {
  std::string text;
  for (const auto& [seed, accuracy] : table.targets) {
    text += (text.empty() ? "" : ", ") + fixed(100.0 * accuracy, 2) + " % (seed " + std::to_string(seed) + ")";
  }
  return text;
}

std::string legend_text(const RateTable& table) {
  return "Target: the best of fp32 less " + fixed(100.0 * kTargetBelowBest, 0) + " point: " + targets_text(table) +
         ". Bytes are those of the average device until then, everything on the wire counted. Best fixed qsgd: " +
         (table.best_qsgd.empty() ? "-" : table.best_qsgd) +
         "; best rival: " + (table.best_rival.empty() ? "-" : table.best_rival) + ".";
}

Json optional_number(const std::optional<double>& value) {
  return value.has_value() ? Json(*value) : Json(nullptr);
}

Json json_of(const RateSummary& row) {
  const auto reached = [&row](double value) { return row.reached > 0 ? Json(value) : Json(nullptr); };
  return {{"setting", row.setting},
          {"kind", setting_kind_name(row.kind)},
          {"runs", row.runs},
          {"reached", row.reached},
          {"rounds", reached(row.rounds)},
          {"uplink_bytes", reached(row.uplink_bytes)},
          {"total_bytes", reached(row.total_bytes)},
          {"seconds", reached(row.seconds)},
          {"missed_before", reached(row.missed_before)},
          {"missed", row.missed},
          {"final_accuracy", row.final_accuracy},
          {"bits_per_coordinate", row.bits_per_coordinate},
          {"to_fp32", optional_number(row.to_fp32)},
          {"to_best_qsgd", optional_number(row.to_best_qsgd)},
          {"to_best_rival", optional_number(row.to_best_rival)}};
}

Json json_of(const RateRun& run) {
  Json points = Json::array();
  for (const RatePoint& point : run.points) {
    points.push_back({{"round", point.round},
                      {"seconds", point.seconds},
                      {"uplink_bytes", point.uplink_bytes},
                      {"downlink_bytes", point.downlink_bytes},
                      {"accuracy", point.accuracy},
                      {"mean_loss", point.mean_loss},
                      {"bits_per_coordinate", point.bits_per_coordinate},
                      {"counted", point.counted},
                      {"missed", point.missed},
                      {"absent", point.absent}});
  }
  return {{"setting", run.setting},         {"seed", run.seed},           {"cuts", run.cuts}, {"failure", run.failure},
          {"cpu_seconds", run.cpu_seconds}, {"points", std::move(points)}};
}

}  // namespace

std::string rate_markdown(const RateReport& report) {
  const RateTable table = summarize(report.runs);
  std::string text = report.task + ": " + report.description + "\n\n|";
  for (const std::string& heading : headings()) text += " " + heading + " |";
  text += "\n|";
  for (size_t i = 0; i < headings().size(); ++i) text += i < 2 ? " --- |" : " ---: |";
  text += "\n";
  for (const RateSummary& row : table.rows) {
    text += "|";
    for (const std::string& cell : cells_of(row)) text += " " + cell + " |";
    text += "\n";
  }
  return text + "\n" + legend_text(table) + "\n";
}

std::string rate_json(const RateReport& report) {
  const RateTable table = summarize(report.runs);
  Json json;
  json["machine"] = report.machine;
  json["command"] = report.command;
  json["task"] = report.task;
  json["description"] = report.description;
  json["targets"] = Json::object();
  for (const auto& [seed, accuracy] : table.targets) json["targets"][std::to_string(seed)] = accuracy;
  json["best_qsgd"] = table.best_qsgd;
  json["best_rival"] = table.best_rival;
  json["summary"] = Json::array();
  for (const RateSummary& row : table.rows) json["summary"].push_back(json_of(row));
  json["runs"] = Json::array();
  for (const RateRun& run : report.runs) json["runs"].push_back(json_of(run));
  return json.dump(1) + "\n";
}

std::string rate_html(const RateReport& report) {
  const RateTable table = summarize(report.runs);
  std::string html =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>rate_bench: " + escape_html(report.task) +
      "</title><style>" + fleet::report_style() +
      "table { font-size: 13px; } th, td { padding: 4px 9px; white-space: nowrap; } thead th { text-align: right; }"
      ".scroll { overflow-x: auto; } .best td, .best th { font-weight: 650; }"
      "</style></head><body><main><header><p class=\"brand\">runnel</p><h1>Bytes to the accuracy of fp32: " +
      escape_html(report.task) + "</h1><p>" + escape_html(report.description) + "</p><p>" +
      escape_html(report.machine) + "<br><code>" + escape_html(report.command) +
      "</code></p></header>\n<h2>What each setting needs</h2><div class=\"scroll\"><table><thead><tr>";
  for (const std::string& heading : headings()) html += "<th>" + escape_html(heading) + "</th>";
  html += "</tr></thead><tbody>\n";
  const RateSummary* best = nullptr;
  for (const RateSummary& row : table.rows) {
    if (row.reached == row.runs && (best == nullptr || row.uplink_bytes < best->uplink_bytes)) best = &row;
  }
  for (const RateSummary& row : table.rows) {
    html += &row == best ? "<tr class=\"best\">" : "<tr>";
    const std::vector<std::string> cells = cells_of(row);
    for (size_t i = 0; i < cells.size(); ++i) {
      html += (i == 0 ? "<th>" : "<td>") + escape_html(cells[i]) + (i == 0 ? "</th>" : "</td>");
    }
    html += "</tr>\n";
  }
  html += "</tbody></table></div><p class=\"note\">" + escape_html(legend_text(table)) +
          " Misses are device-rounds of a run whose update was asked for and did not count.</p>\n"
          "<h2>Accuracy on the test set</h2><div class=\"figures\"><figure class=\"wide\"><figcaption><b>Over uplink "
          "bytes of the average device</b></figcaption>" +
          accuracy_chart(report.runs, CurveAxis::kUplinkBytes) +
          "</figure><figure class=\"wide\"><figcaption><b>Over simulated time</b></figcaption>" +
          accuracy_chart(report.runs, CurveAxis::kSeconds) + "</figure></div>\n";
  for (const RateRun& run : report.runs) {
    if (run.failure.empty()) continue;
    html += "<p class=\"note\">" + escape_html(run.setting) + ", seed " + std::to_string(run.seed) + ": " +
            escape_html(run.failure) + "</p>\n";
  }
  return html + "</main></body></html>\n";
}

}  // namespace runnel::bench
