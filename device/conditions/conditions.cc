#include "device/conditions/conditions.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace runnel::device {
namespace {

constexpr uint32_t kMinutesOfDay = 24 * 60;

// "HH:MM" as minutes; "24:00" is the end of the day.
std::optional<uint32_t> parse_time(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon > 2 || text.size() != colon + 3) return std::nullopt;
  uint32_t hour = 0;
  uint32_t minute = 0;
  const char* const middle = text.data() + colon;
  const char* const end = text.data() + text.size();
  if (const auto read = std::from_chars(text.data(), middle, hour); read.ec != std::errc() || read.ptr != middle)
    return std::nullopt;
  if (const auto read = std::from_chars(middle + 1, end, minute); read.ec != std::errc() || read.ptr != end)
    return std::nullopt;
  if (minute > 59 || hour * 60 + minute > kMinutesOfDay) return std::nullopt;
  return hour * 60 + minute;
}

bool within(const Hours& hours, uint32_t minute) {
  return std::any_of(hours.begin(), hours.end(), [minute](const HourSpan& span) {
    return span.from < span.to ? minute >= span.from && minute < span.to : minute >= span.from || minute < span.to;
  });
}

std::string text_of(const char* format, double first, double second) {
  char text[96];
  std::snprintf(text, sizeof text, format, first, second);
  return text;
}

}  // namespace

Result<Hours> parse_hours(std::string_view text) {
  Hours hours;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t dash = part.find('-');
    const auto from = parse_time(part.substr(0, dash));
    std::optional<uint32_t> to;
    if (dash != std::string_view::npos) to = parse_time(part.substr(dash + 1));
    if (!from || !to || *from == *to || *from == kMinutesOfDay) {
      return fail(Error::kMalformed, "'%.*s' must be a span such as 22:00-06:00", static_cast<int>(part.size()),
                  part.data());
    }
    if (!hours.push_back({*from, *to})) return fail(Error::kLimit, "more than %zu spans of hours", kHourSpansMax);
  }
  return hours;
}

bool Gate::update(const Observed& now) {
  std::string why = reason(now);
  const bool changed = why.empty() != why_.empty();
  why_ = std::move(why);
  return changed;
}

std::string Gate::reason(const Observed& now) {
  const bool fed = now.external_power.value_or(false);
  if (spec_.external_power && !fed)
    return now.external_power.has_value() ? "no external power" : "whether there is external power cannot be told";
  if (spec_.battery_min > 0.0 && now.has_battery && !fed) {
    if (!now.battery_percent.has_value()) return "how full the battery is cannot be told";
    const double needed = spec_.battery_min + (battery_low_ ? kBatteryMargin : 0.0);
    battery_low_ = *now.battery_percent < std::min(needed, 100.0);
    if (battery_low_)
      return text_of("the battery is at %.0f %%, below %.0f %%", *now.battery_percent, std::min(needed, 100.0));
  } else {
    battery_low_ = false;
  }
  if (spec_.temperature_max < std::numeric_limits<double>::infinity()) {
    if (!now.temperature.has_value()) return "the temperature cannot be told";
    const double allowed = spec_.temperature_max - (hot_ ? kTemperatureMargin : 0.0);
    hot_ = *now.temperature > allowed;
    if (hot_) return text_of("%.0f degrees Celsius, above %.0f", *now.temperature, allowed);
  }
  if (!spec_.hours.empty()) {
    if (!now.minute_of_day.has_value()) return "the clock is not set";
    if (!within(spec_.hours, *now.minute_of_day)) return "not within the allowed hours";
  }
  if (spec_.unmetered && now.metered.value_or(true))
    return now.metered.has_value() ? "the network costs by volume" : "no network, or none that is known";
  return {};
}

}  // namespace runnel::device
