#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/train_contest.h"
#include "bench/train_models.h"

namespace runnel::bench {
namespace {

[[gnu::format(printf, 2, 3)]] void append(std::string& text, const char* format, ...) {
  std::array<char, 512> line{};
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line.data(), line.size(), format, arguments);
  va_end(arguments);
  text += line.data();
}

std::vector<std::string> contestants_of(const Contest& contest) {
  std::vector<std::string> names;
  for (const ContestRow& row : contest.rows) {
    if (std::ranges::find(names, row.contestant) == names.end()) names.push_back(row.contestant);
  }
  return names;
}

// 8,123 or 12.3K.
std::string short_rate(double rate) {
  std::string text;
  if (rate < 10'000.0) {
    append(text, "%.0f", rate);
  } else {
    append(text, rate < 100'000.0 ? "%.1fK" : "%.0fK", rate / 1e3);
  }
  return text;
}

// Bars of one model and batch, as long as the rate is of the fastest.
void append_chart(std::string& html, const Contest& contest, const TimedModel& model, unsigned batch) {
  constexpr double kBar = 22.0;
  constexpr double kLabel = 130.0;
  constexpr double kLength = 380.0;
  std::vector<const ContestRow*> rows;
  double fastest = 0.0;
  for (const ContestRow& row : contest.rows) {
    if (row.model != model.name || row.batch != batch) continue;
    rows.push_back(&row);
    fastest = std::max(fastest, row.images_per_second);
  }
  append(html, "<figure><figcaption>%s, batches of %u</figcaption><svg viewBox=\"0 0 640 %.0f\" width=\"640\">",
         std::string(model.name).c_str(), batch, kBar * static_cast<double>(rows.size()));
  double y = 0.0;
  for (const ContestRow* row : rows) {
    const double length = kLength * row->images_per_second / fastest;
    append(html, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">%s</text>", kLabel - 8.0, y + 15.0,
           row->contestant.c_str());
    append(html, "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.1f\" height=\"16\" class=\"%s\"/>", kLabel, y + 2.0, length,
           row->contestant.starts_with("runnel") ? "ours" : "theirs");
    append(html, "<text x=\"%.1f\" y=\"%.0f\">%s / s, %.0f MiB</text>", kLabel + length + 6.0, y + 15.0,
           short_rate(row->images_per_second).c_str(), row->memory_mib);
    y += kBar;
  }
  html += "</svg></figure>\n";
}

}  // namespace

std::string contest_markdown(const Contest& contest) {
  std::string text = "| contestant | model |";
  for (const unsigned batch : kTimedBatches) append(text, " batch %u |", batch);
  text += " of the core's peak, largest batch | MiB resident |\n|---|---|";
  for (size_t i = 0; i < kTimedBatches.size() + 2; ++i) text += "---:|";
  text += "\n";
  for (const TimedModel& model : kTimedModels) {
    for (const std::string& name : contestants_of(contest)) {
      const ContestRow* last = find_row(contest, name, std::string(model.name), kTimedBatches.back());
      if (last == nullptr) continue;
      append(text, "| %s | %s |", name.c_str(), std::string(model.name).c_str());
      for (const unsigned batch : kTimedBatches) {
        const ContestRow* row = find_row(contest, name, std::string(model.name), batch);
        append(text, " %s |", row == nullptr ? "-" : short_rate(row->images_per_second).c_str());
      }
      if (last->peak_share > 0.0) {
        append(text, " %.0f %% |", 100.0 * last->peak_share);
      } else {
        text += " |";
      }
      append(text, " %.0f |\n", last->memory_mib);
    }
  }
  const std::vector<std::string> names = contestants_of(contest);
  if (names.empty() || !names.front().starts_with("runnel")) return text;
  append(text, "\nTimes as fast as: %s against the others.\n\n| against | model |", names.front().c_str());
  for (const unsigned batch : kTimedBatches) append(text, " batch %u |", batch);
  text += "\n|---|---|";
  for (size_t i = 0; i < kTimedBatches.size(); ++i) text += "---:|";
  text += "\n";
  for (const TimedModel& model : kTimedModels) {
    for (size_t i = 1; i < names.size(); ++i) {
      std::string line;
      bool any = false;
      append(line, "| %s | %s |", names[i].c_str(), std::string(model.name).c_str());
      for (const unsigned batch : kTimedBatches) {
        const ContestRow* ours = find_row(contest, names.front(), std::string(model.name), batch);
        const ContestRow* theirs = find_row(contest, names[i], std::string(model.name), batch);
        if (ours != nullptr && theirs != nullptr) {
          append(line, " %.2f |", ours->images_per_second / theirs->images_per_second);
          any = true;
        } else {
          line += " - |";
        }
      }
      if (any) text += line + "\n";
    }
  }
  return text;
}

std::string contest_json(const Contest& contest) {
  nlohmann::ordered_json json;
  json["machine"] = contest.machine;
  json["command"] = contest.command;
  json["turns"] = contest.turns;
  json["peak_gflops"] = contest.peak_gflops;
  json["runs_on"] = contest.runs_on;
  json["skipped"] = contest.skipped;
  json["rows"] = nlohmann::ordered_json::array();
  for (const ContestRow& row : contest.rows) {
    json["rows"].push_back({{"contestant", row.contestant},
                            {"model", row.model},
                            {"batch", row.batch},
                            {"images_per_second", row.images_per_second},
                            {"images_per_second_best", row.images_per_second_best},
                            {"peak_share", row.peak_share},
                            {"memory_mib", row.memory_mib}});
  }
  return json.dump(2) + "\n";
}

std::string contest_html(const Contest& contest) {
  std::string html =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Training on one core</title>\n"
      "<style>body{font:15px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}figure{margin:1em 0}"
      "svg{max-width:100%;font:13px sans-serif}text{fill:currentColor}.ours{fill:#0072b2}.theirs{fill:#9aa3ad}"
      "@media(prefers-color-scheme:dark){body{background:#15181c;color:#e8e8e8}}</style>\n"
      "<h1>Training on one core</h1>\n";
  append(html, "<p>%s</p><p><code>%s</code></p>", contest.machine.c_str(), contest.command.c_str());
  append(html,
         "<p>Images a second through forward pass, backward pass and update: the median of %u turns, each the best "
         "tenth of its time; memory is the most that the process had resident.</p>\n",
         contest.turns);
  for (const TimedModel& model : kTimedModels) {
    append(html, "<h2>%s</h2><p>%s; %.3g MFLOP an image</p>\n", std::string(model.name).c_str(),
           std::string(model.description).c_str(), model.mflop_per_image);
    for (const unsigned batch : kTimedBatches) append_chart(html, contest, model, batch);
  }
  for (const auto& [name, what] : contest.runs_on) append(html, "<p>%s: %s</p>\n", name.c_str(), what.c_str());
  for (const std::string& line : contest.skipped) append(html, "<p>%s</p>\n", line.c_str());
  return html + "</html>\n";
}

}  // namespace runnel::bench
