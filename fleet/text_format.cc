#include "fleet/text_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>

namespace runnel::fleet {
namespace {

// Three significant digits below 1000: "1.23", "45.6", "789".
std::string three_digits(double value) {
  if (value < 9.995) return fixed(value, 2);
  if (value < 99.95) return fixed(value, 1);
  return fixed(value, 0);
}

// The byte length of the first `columns` characters.
size_t prefix_bytes(std::string_view text, size_t columns) {
  size_t bytes = 0;
  for (; bytes < text.size(); ++bytes) {
    const bool starts = (static_cast<unsigned char>(text[bytes]) & 0xC0U) != 0x80U;
    if (starts && columns-- == 0) break;
  }
  return bytes;
}

std::string cut(std::string_view text, size_t width) {
  if (columns_of(text) <= width) return std::string(text);
  if (width == 0) return {};
  return std::string(text.substr(0, prefix_bytes(text, width - 1))) + "…";
}

std::string two_digits(int64_t value) {
  std::string text = std::to_string(value / 10 % 10);
  return text += std::to_string(value % 10);
}

}  // namespace

std::string fixed(double value, int decimals) {
  std::array<char, 64> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, decimals);
  return error == std::errc{} ? std::string(text.data(), end) : std::string("?");
}

std::string exact_number(double value) {
  std::array<char, 64> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

std::string format_bytes(uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes) + " B";
  static constexpr std::array<const char*, 4> kUnits = {"kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes) / 1000.0;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return three_digits(value) + " " + kUnits[unit];
}

std::string format_rate(double kbps) {
  if (std::isinf(kbps)) return "unlimited";
  if (kbps < 999.5) return fixed(kbps, 0) + " kbit/s";
  return fixed(kbps / 1000.0, 1) + " Mbit/s";
}

std::string format_duration(double seconds) {
  if (seconds < 59.95) return fixed(seconds, 1) + " s";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return std::to_string(whole / 60) + " min " + two_digits(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + two_digits(whole % 3600 / 60) + " min";
}

std::string format_percent(std::optional<double> share) {
  return share ? fixed(*share * 100.0, 1) + " %" : "-";
}

std::string format_metric(const std::string& metric, std::optional<double> value) {
  if (metric == "accuracy") return format_percent(value);
  return value ? fixed(*value, 3) : "-";
}

std::string format_count(uint64_t count) {
  const std::string digits = std::to_string(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ' ';
    text += digits[i];
  }
  return text;
}

std::string sparkline(const std::vector<double>& values, size_t width) {
  static constexpr std::array<const char*, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const size_t first = values.size() > width ? values.size() - width : 0;
  if (first == values.size()) return {};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double range = *high - *low;
  std::string text;
  for (size_t i = first; i < values.size(); ++i) {
    const double share = range > 0.0 ? (values[i] - *low) / range : 0.5;
    text += kBlocks[std::min<size_t>(7, static_cast<size_t>(share * 8.0))];
  }
  return text;
}

std::string progress_bar(double share, size_t width) {
  static constexpr std::array<const char*, 8> kEighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double clamped = std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0;
  const auto eighths = static_cast<size_t>(std::lround(clamped * 8.0 * static_cast<double>(width)));
  std::string text;
  for (size_t i = 0; i < eighths / 8; ++i) text += "█";
  text += kEighths[eighths % 8];
  for (size_t used = (eighths + 7) / 8; used < width; ++used) text += "░";
  return text;
}

size_t columns_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char each) { return (static_cast<unsigned char>(each) & 0xC0U) != 0x80U; }));
}

std::string fit_left(std::string_view text, size_t width) {
  std::string result = cut(text, width);
  result.append(width - columns_of(result), ' ');
  return result;
}

std::string fit_right(std::string_view text, size_t width) {
  const std::string result = cut(text, width);
  return std::string(width - columns_of(result), ' ') + result;
}

std::string now_text() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32] = {};
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

std::string shell_command(const std::vector<std::string>& words) {
  static constexpr std::string_view kSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+";
  std::string command;
  for (const std::string& word : words) {
    if (!command.empty()) command += ' ';
    if (!word.empty() && word.find_first_not_of(kSafe) == std::string::npos) {
      command += word;
      continue;
    }
    command += '\'';
    for (const char each : word) command += each == '\'' ? std::string("'\\''") : std::string(1, each);
    command += '\'';
  }
  return command;
}

}  // namespace runnel::fleet
