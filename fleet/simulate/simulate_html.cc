#include <cctype>

#include "fleet/report_style.h"
#include "fleet/simulate/simulate_report.h"
#include "fleet/svg_chart.h"
#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

std::string percent(double share) {
  return fixed(share * 100.0, 0) + " %";
}
std::string plain(double value) {
  return fixed(value, 3);
}
std::string whole(double value) {
  return fixed(value, 0);
}
std::string bytes(double value) {
  return format_bytes(static_cast<uint64_t>(std::max(value, 0.0)));
}
std::string time_text(double seconds) {
  return format_duration(seconds);
}

std::string figure(const std::string& title, const std::string& note, const std::string& drawing) {
  return "<figure><figcaption><b>" + escape_html(title) + "</b> " + escape_html(note) + "</figcaption>" + drawing +
         "</figure>\n";
}

double seconds_of(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

std::string figures(const SimulateResult& result) {
  const SimulationReport& report = result.report;
  const double devices = std::max<double>(result.options.devices, 1.0);
  std::string metric = "accuracy";
  for (const auto& quality : result.quality) {
    if (quality.has_value()) metric = plan::metric_name(quality->metric);
  }
  Series over_rounds{metric, "run-a", {}}, over_time = over_rounds, over_bytes = over_rounds;
  Series up{"up", "run-a", {}}, down{"down", "run-b", {}};
  Series length{"length", "run-a", {}}, counted{"counted", "run-a", {}}, missed{"missed", "run-b", {}};
  Duration before{};
  for (size_t i = 0; i < report.history.size(); ++i) {
    const SimulatedRound& round = report.history[i];
    const double number = round.round;
    if (const auto& quality = result.quality[i]; quality.has_value()) {
      over_rounds.points.push_back({number, quality->value});
      over_time.points.push_back({seconds_of(round.closed_at), quality->value});
      over_bytes.points.push_back({static_cast<double>(round.uplink_total) / devices, quality->value});
    }
    up.points.push_back({number, static_cast<double>(round.uplink_total) / devices});
    down.points.push_back({number, static_cast<double>(round.downlink_total) / devices});
    length.points.push_back({number, seconds_of(round.closed_at - before)});
    before = round.closed_at;
    counted.points.push_back({number, static_cast<double>(round.counted)});
    missed.points.push_back({number, static_cast<double>(round.missed.size())});
  }
  const Axis rounds{"round", whole, 1.0, true};
  const Axis value{"test " + metric, metric == "accuracy" ? percent : plain, 1.0, false};
  std::string title = metric;
  title.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(title.front())));
  std::string out;
  if (!over_rounds.points.empty()) {
    out += figure(title + " over rounds", "on the test set", line_chart({over_rounds}, rounds, value));
    out += figure(title + " over time", "virtual time since the beginning",
                  line_chart({over_time}, {"time", time_text, 1.0, false}, value));
    out += figure(title + " over bytes", "sent up by a device on average",
                  line_chart({over_bytes}, {"uplink bytes a device", bytes, 1.0, false}, value));
  }
  out += figure("Bytes of a device", "on average over the whole fleet, everything around the frames included",
                line_chart({up, down}, rounds, {"bytes", bytes, 1.0, false}));
  out += figure("Length of a round", "from one model to the next",
                column_chart({length}, rounds, {"time", time_text, 1.0, false}));
  out += figure("Updates", "that counted, and devices that were asked in vain",
                line_chart({counted, missed}, rounds, {"devices", whole, 1.0, false}));
  return out;
}

}  // namespace

std::string simulate_html(const SimulateResult& result, const RunContext& context, const std::string& made_at) {
  const std::string title =
      format_count(result.options.devices) + " simulated devices, " + std::to_string(result.report.rounds) + " rounds";
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>runnel: " +
      escape_html(title) + "</title>\n<style>" + report_style() + "</style></head>\n<body><main>\n";
  out += "<header><p class=\"brand\">runnel</p><h1>" + escape_html(title) + "</h1><p>Virtual time, seed " +
         std::to_string(result.options.plan.seed) + ": the same command gives the same run.</p></header>\n";
  out += "<section><h2>Summary</h2><table><tbody>";
  for (const auto& [what, value] : simulate_rows(result))
    out += "<tr><th>" + escape_html(what) + "</th><td>" + escape_html(value) + "</td></tr>";
  out += "</tbody></table></section>\n<section class=\"figures\">\n" + figures(result) + "</section>\n";
  if (!result.report.violations.empty()) {
    out += "<section><h2>Broken promises</h2><ul>";
    for (const std::string& each : result.report.violations) out += "<li>" + escape_html(each) + "</li>";
    out += "</ul></section>\n";
  }
  out += "<section><h2>How this was made</h2><dl><dt>Command</dt><dd><code>" + escape_html(context.command) +
         "</code></dd><dt>Machine</dt><dd>" + escape_html(context.machine) + "</dd><dt>Made</dt><dd>" +
         escape_html(made_at) + "</dd></dl><details><summary>The plan</summary><pre>" +
         escape_html(coordinator::fleet_plan_toml(result.options.plan)) + "</pre></details></section>\n";
  return out + "</main></body></html>\n";
}

}  // namespace runnel::fleet
