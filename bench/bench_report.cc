#include "bench/bench_report.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/bits_chart.h"
#include "bench/summary.h"

namespace runnel::bench {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no word for NaN.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

std::string cell(const char* format, double value) {
  if (!std::isfinite(value)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
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

std::vector<std::string> cells_of(const TrialRow& row) {
  return {row.data,
          std::to_string(row.coordinates),
          row.scheme,
          row.parameter,
          row.kernel,
          cell("%.4f", row.bits_per_coordinate),
          cell("%.4g", row.nmse),
          cell("%.2g", row.relative_bias),
          cell("%.3f", row.encode_gbps),
          cell("%.3f", row.decode_accumulate_gbps),
          cell("%.4f", row.predicted_over_actual)};
}

constexpr const char* kHeadings[] = {"data", "count",  "scheme",      "parameter",    "kernel",    "bits",
                                     "NMSE", "bias^2", "encode GB/s", "decode+ GB/s", "rate model"};

}  // namespace

std::string table_heading() {
  char line[256];
  std::snprintf(line, sizeof line, "%-18s %9s %-20s %-9s %-9s %8s %10s %9s %8s %8s %7s", "data", "count", "scheme",
                "parameter", "kernel", "bits", "NMSE", "bias^2", "enc GB/s", "dec GB/s", "rate");
  return line;
}

std::string table_line(const TrialRow& row) {
  const std::vector<std::string> cells = cells_of(row);
  char line[256];
  std::snprintf(line, sizeof line, "%-18s %9s %-20s %-9s %-9s %8s %10s %9s %8s %8s %7s", cells[0].c_str(),
                cells[1].c_str(), cells[2].c_str(), cells[3].c_str(), cells[4].c_str(), cells[5].c_str(),
                cells[6].c_str(), cells[7].c_str(), cells[8].c_str(), cells[9].c_str(), cells[10].c_str());
  return line;
}

std::string report_json(const BenchRun& run) {
  Json json;
  json["machine"] = run.machine;
  json["compiler"] = run.compiler;
  json["command"] = run.command;
  json["memcpy_gbps"] = number(run.memcpy_gbps);
  json["skipped"] = run.skipped;
  json["rows"] = Json::array();
  for (const TrialRow& row : run.rows) {
    json["rows"].push_back({{"data", row.data},
                            {"scheme", row.scheme},
                            {"parameter", row.parameter},
                            {"kernel", row.kernel},
                            {"coordinates", row.coordinates},
                            {"bits_per_coordinate", number(row.bits_per_coordinate)},
                            {"nmse", number(row.nmse)},
                            {"relative_bias", number(row.relative_bias)},
                            {"encode_gbps", number(row.encode_gbps)},
                            {"decode_accumulate_gbps", number(row.decode_accumulate_gbps)},
                            {"memcpy_gbps", number(row.memcpy_gbps)},
                            {"predicted_over_actual", number(row.predicted_over_actual)}});
  }
  return json.dump(1) + "\n";
}

std::string report_html(const BenchRun& run) {
  std::string html =
      "<!doctype html><html lang='en'><meta charset='utf-8'><title>codec_bench</title><style>"
      ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;"
      "padding:0 1rem}svg{max-width:100%;height:auto}table{border-collapse:collapse;font-size:13px}"
      "td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid #8884}"
      "td:nth-child(1),td:nth-child(3),td:nth-child(4),td:nth-child(5){text-align:left}"
      "pre{overflow-x:auto;font-size:12px}</style>\n<h1>Bits, error and speed of the codecs</h1>\n<p>";
  html += escaped(run.machine) + "<br>" + escaped(run.compiler) + "<br><code>" + escaped(run.command) +
          "</code><br>memcpy: " + cell("%.2f", run.memcpy_gbps) + " GB/s</p>\n";
  html += bits_chart_svg(run.rows);
  html +=
      "<p>Bits count everything that travels: payload and tensor header. bias^2 is the squared bias as a share of the "
      "squared norm: 0 but for chance in an unbiased scheme. Speeds are gigabytes of float32 a second on one core; "
      "decode+ adds the decoded values to a sum. Rate model: predicted over actual bytes.</p>\n<h2>Summary</h2>\n<pre>";
  html += escaped(summary_text(run.rows)) + "</pre>\n";
  for (const std::string& line : run.skipped) html += "<p>Not measured: " + escaped(line) + "</p>\n";
  html += "<h2>All rows</h2>\n<table><tr>";
  for (const char* heading : kHeadings) html += std::string("<th>") + heading + "</th>";
  html += "</tr>\n";
  for (const TrialRow& row : run.rows) {
    html += "<tr>";
    for (const std::string& text : cells_of(row)) html += "<td>" + escaped(text) + "</td>";
    html += "</tr>\n";
  }
  return html + "</table></html>\n";
}

}  // namespace runnel::bench
