#include "fleet/html_report.h"

#include <algorithm>
#include <vector>

#include "fleet/evaluation_table.h"
#include "fleet/link_table.h"
#include "fleet/rate_table.h"
#include "fleet/report_style.h"
#include "fleet/summary_table.h"
#include "fleet/svg_chart.h"
#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

constexpr size_t kDevicesShown = 48;

std::string percent(double share) {
  return fixed(share * 100.0, 0) + " %";
}
std::string plain(double value) {
  return fixed(value, 2);
}
std::string whole(double value) {
  return fixed(value, 0);
}
std::string bytes(double value) {
  return format_bytes(static_cast<uint64_t>(std::max(value, 0.0)));
}
std::string seconds_text(double value) {
  return fixed(value, value < 10.0 ? 1 : 0) + " s";
}
std::string axis_seconds(double value) {
  return fixed(value, 0) + " s";
}

struct Runs {
  std::vector<const RunRecord*> all;  // one or two
  const RunRecord& first() const { return *all.front(); }
};

std::string style_of(size_t run) {
  return run == 0 ? "run-a" : "run-b";
}

template <typename MakePoint>
std::vector<Series> series_of(const Runs& runs, MakePoint make_point) {
  std::vector<Series> result;
  for (size_t i = 0; i < runs.all.size(); ++i) {
    Series series{runs.all[i]->label, style_of(i), {}};
    double uplink_bytes = 0.0;
    for (const RoundRecord& round : runs.all[i]->rounds) {
      uplink_bytes += static_cast<double>(round.uplink_bytes);
      make_point(series.points, round,
                 uplink_bytes / static_cast<double>(std::max<size_t>(runs.all[i]->devices.size(), 1)));
    }
    result.push_back(std::move(series));
  }
  return result;
}

bool has_accuracy(const Runs& runs) {
  return std::any_of(runs.first().rounds.begin(), runs.first().rounds.end(),
                     [](const RoundRecord& round) { return round.judged().has_value(); });
}

std::string figure(const std::string& title, const std::string& note, const std::string& drawing,
                   const char* style = "") {
  return std::string("<figure class=\"") + style + "\"><figcaption><b>" + escape_html(title) + "</b> " +
         escape_html(note) + "</figcaption>" + drawing + "</figure>\n";
}

std::string accuracy_figures(const Runs& runs) {
  if (!has_accuracy(runs)) return {};
  const auto over_rounds = series_of(runs, [](std::vector<Point>& points, const RoundRecord& round, double) {
    if (round.judged()) points.push_back({static_cast<double>(round.round), *round.judged()});
  });
  const auto over_bytes =
      series_of(runs, [](std::vector<Point>& points, const RoundRecord& round, double uplink_bytes) {
        if (round.judged()) points.push_back({uplink_bytes, *round.judged()});
      });
  const std::string& metric = runs.first().metric;
  const bool share = metric == "accuracy";
  std::string name = metric;
  name.front() = static_cast<char>(name.front() - 'a' + 'A');
  const Axis accuracy{"test " + metric, share ? percent : plain, share ? 1.0 : 0.01, false};
  return figure(name + " over rounds", "after each round, on the coordinator's test set",
                line_chart(over_rounds, {"round", whole, 1.0, true}, accuracy)) +
         figure(name + " over bytes sent", "sent by a device on average",
                line_chart(over_bytes, {"uplink bytes a device", bytes, 1.0, false}, accuracy));
}

std::string traffic_figure(const Runs& runs) {
  std::vector<BarGroup> groups;
  const size_t shown = std::min(kDevicesShown, runs.first().devices.size());
  for (size_t device = 0; device < shown; ++device) {
    BarGroup group{runs.first().devices[device].name, {}};
    for (size_t i = 0; i < runs.all.size(); ++i) {
      const LinkCounters& link = runs.all[i]->devices[device].link;
      group.bars.push_back(
          {style_of(i), {static_cast<double>(link.uplink_bytes), static_cast<double>(link.downlink_bytes)}});
    }
    groups.push_back(std::move(group));
  }
  std::string note = "up (solid) and down (pale), whole run";
  if (shown < runs.first().devices.size()) note += "; the first " + std::to_string(shown) + " devices";
  std::string key;
  for (size_t i = 0; runs.all.size() > 1 && i < runs.all.size(); ++i) {
    key += "<span class=\"key " + style_of(i) + "\">" + escape_html(runs.all[i]->label) + "</span> ";
  }
  return figure("Bytes on the wire", note, "<p class=\"keys\">" + key + "</p>" + bar_chart(groups, bytes));
}

std::string duration_figure(const Runs& runs) {
  const auto durations = series_of(runs, [](std::vector<Point>& points, const RoundRecord& round, double) {
    points.push_back({static_cast<double>(round.round), round.duration_s});
  });
  return figure("Round duration", "from the plan to the new model",
                column_chart(durations, {"round", whole, 1.0, true}, {"duration", seconds_text, 0.1, false}));
}

std::string timeline_figure(const RunRecord& run) {
  std::vector<TimelineRow> rows;
  const size_t shown = std::min(kDevicesShown, run.devices.size());
  for (size_t i = 0; i < shown; ++i) {
    const DeviceRecord& device = run.devices[i];
    TimelineRow row{device.name, {}, {}};
    for (size_t change = 0; change < device.states.size(); ++change) {
      const StateChange& from = device.states[change];
      const double end_s = change + 1 < device.states.size() ? device.states[change + 1].at_s : run.elapsed_s;
      row.spans.push_back({from.at_s, end_s, "state " + state_style(from.state),
                           from.state + ", " + seconds_text(from.at_s) + " to " + seconds_text(end_s)});
    }
    for (const Outage& outage : device.outages) {
      row.marks.push_back({outage.begin_s, outage.end_s, "outage",
                           "outage, " + seconds_text(outage.begin_s) + " to " + seconds_text(outage.end_s)});
    }
    rows.push_back(std::move(row));
  }
  std::string key;
  for (const char* each : {"training", "uploading", "downloading", "waiting", "connecting", "outage"}) {
    key += std::string("<span class=\"key ") + each + "\">" + each + "</span> ";
  }
  std::string note = "what each device did, and when its link was down";
  if (shown < run.devices.size()) note += "; the first " + std::to_string(shown) + " devices";
  return figure("Devices and links: " + run.label, note,
                "<p class=\"keys\">" + key + "</p>" + timeline_chart(rows, run.elapsed_s, axis_seconds), "wide");
}

std::string card(const std::string& value, const std::string& what, const std::string& detail) {
  return "<div class=\"card\"><div class=\"value\">" + escape_html(value) + "</div><div class=\"what\">" +
         escape_html(what) + "</div><div class=\"detail\">" + escape_html(detail) + "</div></div>\n";
}

std::string cards(const RunRecord& record, const RunRecord* comparison) {
  const auto against = [&](const std::string& value) {
    return comparison != nullptr ? comparison->label + ": " + value : std::string{};
  };
  const auto uplink = [](const RunRecord& run) {
    return static_cast<double>(run.uplink_bytes()) / static_cast<double>(std::max<size_t>(run.devices.size(), 1));
  };
  std::string out = "<div class=\"cards\">";
  out += card(format_metric(record.metric, record.judged()), "test " + record.metric,
              against(comparison != nullptr ? format_metric(comparison->metric, comparison->judged()) : ""));
  out += card(bytes(uplink(record)), "sent up by a device",
              against(comparison != nullptr ? bytes(uplink(*comparison)) : ""));
  if (comparison != nullptr && uplink(record) > 0.0) {
    out += card(fixed(uplink(*comparison) / uplink(record), 1) + " ×", "less sent than " + comparison->label,
                "security, framing and retries included");
  }
  uint64_t cuts = 0;
  for (const DeviceRecord& device : record.devices) cuts += device.link.cuts;
  out += card(std::to_string(record.rounds.size()), "rounds", std::to_string(record.devices.size()) + " devices");
  out += card(std::to_string(cuts), "connections cut by outages", against(comparison != nullptr ? [&] {
    uint64_t other = 0;
    for (const DeviceRecord& device : comparison->devices) other += device.link.cuts;
    return std::to_string(other);
  }() : ""));
  out += card(format_duration(record.finished_at_s), "to the last model",
              against(comparison != nullptr ? format_duration(comparison->finished_at_s) : ""));
  return out + "</div>\n";
}

std::string summary(const RunRecord& record, const RunRecord* comparison) {
  std::string out = "<table><thead><tr><th></th><th>" + escape_html(record.label) + "</th>";
  if (comparison != nullptr) out += "<th>" + escape_html(comparison->label) + "</th><th></th>";
  out += "</tr></thead><tbody>";
  for (const SummaryRow& row : summary_rows(record, comparison)) {
    out += "<tr><th>" + escape_html(row.what) + "</th><td>" + escape_html(row.value) + "</td>";
    if (comparison != nullptr)
      out += "<td>" + escape_html(row.comparison) + "</td><td>" + escape_html(row.ratio) + "</td>";
    out += "</tr>";
  }
  return out + "</tbody></table>\n";
}

std::string provenance(const RunRecord& record, const RunContext& context, const std::string& made_at) {
  std::string out = "<dl><dt>Command</dt><dd><code>" + escape_html(context.command) +
                    "</code></dd><dt>Machine</dt><dd>" + escape_html(context.machine) + "</dd><dt>Made</dt><dd>" +
                    escape_html(made_at) + "</dd>";
  if (!record.model_sha256.empty()) {
    out += "<dt>Model SHA-256</dt><dd><code>" + escape_html(record.model_sha256) + "</code></dd>";
  }
  return out + "</dl>\n";
}

std::string warnings(const RunRecord& record) {
  if (record.warnings.empty()) return {};
  std::string out = "<details><summary>" + std::to_string(record.warnings.size()) +
                    (record.warnings.size() == 1 ? " warning, " : " warnings, ") + escape_html(record.label) +
                    "</summary><ul>";
  for (const std::string& each : record.warnings) out += "<li>" + escape_html(each) + "</li>";
  return out + "</ul></details>\n";
}

std::string subtitle(const RunRecord& record) {
  const RunConfig& config = record.config;
  std::string links =
      config.trace_file.empty() ? "link profile " + config.profile : "measured links from " + config.trace_file;
  if (config.trace_file.empty() && config.profile == "none") links = "unshaped links";
  return "Model " + config.model + " (" + format_count(record.parameters) + " parameters), data " + config.data + ", " +
         links + ", seed " + std::to_string(config.seed) + (config.insecure_plaintext ? ", without encryption" : "") +
         ".";
}

}  // namespace

std::string html_report(const RunRecord& record, const RunRecord* comparison, const RunContext& context,
                        const std::string& made_at) {
  Runs runs{{&record}};
  if (comparison != nullptr) runs.all.push_back(comparison);
  const std::string title = std::to_string(record.devices.size()) + " devices, " + record.label +
                            (comparison != nullptr ? " against " + comparison->label : "");
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>runnel: " +
      escape_html(title) + "</title>\n<style>" + report_style() + "</style></head>\n<body><main>\n";
  out += "<header><p class=\"brand\">runnel</p><h1>" + escape_html(title) + "</h1><p>" + escape_html(subtitle(record)) +
         "</p></header>\n";
  out += cards(record, comparison);
  out += "<section class=\"figures\">\n" + accuracy_figures(runs) + traffic_figure(runs) + duration_figure(runs);
  for (const RunRecord* each : runs.all) out += timeline_figure(*each);
  out += "</section>\n<section><h2>Summary</h2>" + summary(record, comparison) + "</section>\n";
  for (const RunRecord* each : runs.all) out += evaluation_sections(*each);
  for (const RunRecord* each : runs.all) out += rate_section(*each);
  for (const RunRecord* each : runs.all) out += link_section(*each);
  out += "<section><h2>How this was made</h2>" + provenance(record, context, made_at);
  for (const RunRecord* each : runs.all) out += warnings(*each);
  return out +
         "<p class=\"note\">Bytes are TCP payload counted where it crosses the emulated links, everything the "
         "programs send included.</p></section>\n</main></body></html>\n";
}

}  // namespace runnel::fleet
