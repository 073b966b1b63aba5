#include "fleet/rate_table.h"

#include <algorithm>
#include <map>
#include <vector>

#include "fleet/svg_chart.h"
#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

struct Round {
  std::vector<const RateEvent*> updates;

  // Mean over the updates that have the value; absent if none has.
  template <typename Get>
  std::optional<double> mean(Get get) const {
    double sum = 0.0;
    size_t count = 0;
    for (const RateEvent* update : updates) {
      const std::optional<double> value = get(*update);
      if (!value.has_value()) continue;
      sum += *value;
      ++count;
    }
    return count == 0 ? std::nullopt : std::optional(sum / static_cast<double>(count));
  }
  size_t count(const char* outcome) const {
    return static_cast<size_t>(std::count_if(updates.begin(), updates.end(),
                                             [&](const RateEvent* update) { return update->outcome == outcome; }));
  }
};

std::string bytes_text(const std::optional<double>& bytes) {
  return bytes ? format_bytes(static_cast<uint64_t>(std::max(*bytes, 0.0))) : "";
}
std::string speed_text(const std::optional<double>& bytes_per_second) {
  return bytes_per_second ? fixed(*bytes_per_second * 8.0 / 1000.0, 1) + " kbit/s" : "";
}
std::string real_text(const std::optional<double>& value, int digits) {
  return value ? fixed(*value, digits) : "";
}
std::string whole(double value) {
  return fixed(value, 0);
}
std::string bits_text(double value) {
  return fixed(value, 2);
}
std::string axis_bytes(double value) {
  return format_bytes(static_cast<uint64_t>(std::max(value, 0.0)));
}

std::optional<double> sent_bytes(const RateEvent& update) {
  return update.message_bytes == 0 ? std::nullopt : std::optional(static_cast<double>(update.message_bytes));
}
std::optional<double> predicted_bytes(const RateEvent& update) {
  return update.message_bytes == 0 ? std::nullopt : std::optional(update.predicted_bytes);
}
std::optional<double> bits(const RateEvent& update) {
  return update.message_bytes == 0 ? std::nullopt : std::optional(update.bits);
}

std::string row(std::initializer_list<std::string> cells) {
  std::string out = "<tr>";
  for (const std::string& cell : cells) out += "<td>" + escape_html(cell) + "</td>";
  return out + "</tr>";
}

std::string head(std::initializer_list<const char*> cells) {
  std::string out = "<thead><tr>";
  for (const char* cell : cells) out += std::string("<th>") + cell + "</th>";
  return out + "</tr></thead>";
}

std::string round_table(const std::map<uint32_t, Round>& rounds) {
  std::string out = "<table>" + head({"Round", "Goodput", "Link carries", "Budget", "Step", "Bits", "Predicted", "Sent",
                                      "In time", "Late", "Kept"});
  for (const auto& [number, round] : rounds) {
    out += row({std::to_string(number), speed_text(round.mean([](const RateEvent& u) { return u.goodput; })),
                bytes_text(round.mean([](const RateEvent& u) { return u.link_bytes; })),
                bytes_text(round.mean([](const RateEvent& u) {
                  return u.budget_bytes.value_or(0.0) > 0.0 ? u.budget_bytes : std::nullopt;
                })),
                real_text(round.mean([](const RateEvent& u) { return std::optional(u.step); }), 5),
                real_text(round.mean(bits), 2), bytes_text(round.mean(predicted_bytes)),
                bytes_text(round.mean(sent_bytes)), std::to_string(round.count("in_time")),
                std::to_string(round.count("late") + round.count("refused")), std::to_string(round.count("kept"))});
  }
  return out + "</table>\n";
}

std::string device_table(const RunRecord& record) {
  std::string out = "<details><summary>Every update</summary><table>" +
                    head({"Device", "Round", "Goodput (10 % to 90 %)", "Left", "Link carries", "Step", "Bits",
                          "Predicted", "Sent", "Bound by", "Outcome"});
  for (const DeviceRecord& device : record.devices) {
    for (const RateEvent& update : device.rates) {
      const std::string range = update.goodput ? speed_text(update.goodput) + " (" +
                                                     real_text(*update.goodput_low * 8.0 / 1000.0, 1) + " to " +
                                                     real_text(*update.goodput_high * 8.0 / 1000.0, 1) + ")"
                                               : "";
      out += row({device.name, std::to_string(update.round), range, fixed(update.seconds_left, 1) + " s",
                  bytes_text(update.link_bytes), fixed(update.step, 5), fixed(update.bits, 2),
                  bytes_text(update.predicted_bytes), bytes_text(sent_bytes(update)), update.bound, update.outcome});
    }
  }
  return out + "</table></details>\n";
}

}  // namespace

std::string rate_section(const RunRecord& record) {
  std::map<uint32_t, Round> rounds;
  for (const DeviceRecord& device : record.devices) {
    for (const RateEvent& update : device.rates) rounds[update.round].updates.push_back(&update);
  }
  if (rounds.empty()) return {};
  Series bits_series{"bits a coordinate", "run-a", {}};
  Series predicted{"predicted", "run-b", {}};
  Series sent{"sent", "run-a", {}};
  for (const auto& [number, round] : rounds) {
    const double x = static_cast<double>(number);
    if (const auto value = round.mean(bits)) bits_series.points.push_back({x, *value});
    if (const auto value = round.mean(predicted_bytes)) predicted.points.push_back({x, *value});
    if (const auto value = round.mean(sent_bytes)) sent.points.push_back({x, *value});
  }
  const auto figure = [](const char* title, const char* note, const std::string& drawing) {
    return std::string("<figure><figcaption><b>") + title + "</b> " + note + "</figcaption>" + drawing + "</figure>\n";
  };
  const Axis over_rounds{"round", whole, 1.0, true};
  return "<section><h2>Rate control: " + escape_html(record.label) + "</h2><div class=\"figures\">" +
         figure("Bits a coordinate", "of the updates sent, mean over the devices",
                line_chart({bits_series}, over_rounds, {"bits", bits_text, 0.1, false})) +
         figure("Bytes of an update", "predicted by the rate model before encoding, and sent",
                line_chart({predicted, sent}, over_rounds, {"bytes", axis_bytes, 1.0, false})) +
         "</div>\n" + round_table(rounds) + device_table(record) + "</section>\n";
}

}  // namespace runnel::fleet
