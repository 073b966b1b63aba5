#include "fleet/trace_file.h"

#include <zlib.h>

#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <optional>

#include "fleet/fleet_error.h"

namespace runnel::fleet {
namespace {

constexpr std::string_view kHeader = "trace,dur_ms,down_kbps,up_kbps,latency_ms";
constexpr size_t kFileBytesMax = size_t{1} << 30;
constexpr double kRowMsMax = 1e9;
constexpr std::array<const char*, 5> kColumns = {"trace", "dur_ms", "down_kbps", "up_kbps", "latency_ms"};

using Fields = std::array<std::string_view, kColumns.size()>;

[[noreturn]] void fault(const std::string& name, size_t line, const std::string& what) {
  throw FleetError(name + ": line " + std::to_string(line) + ": " + what);
}

Fields split(std::string_view line, const std::string& name, size_t number) {
  Fields fields;
  size_t column = 0;
  for (;;) {
    const size_t comma = line.find(',');
    if (column == fields.size()) fault(name, number, "more than 5 fields");
    fields[column++] = line.substr(0, comma);
    if (comma == std::string_view::npos) break;
    line.remove_prefix(comma + 1);
  }
  if (column != fields.size()) fault(name, number, "5 fields expected, " + std::to_string(column) + " found");
  return fields;
}

std::optional<double> number_of(const Fields& fields, size_t column, const std::string& name, size_t line) {
  const std::string_view text = fields[column];
  if (text.empty()) return std::nullopt;
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value < 0.0) {
    fault(name, line,
          std::string(kColumns[column]) + " must be a number of at least 0, not '" + std::string(text) + "'");
  }
  return value;
}

Duration ms(double count) {
  return Duration(static_cast<int64_t>(std::llround(count * 1000.0)));
}

LinkRow row_of(const Fields& fields, const std::string& name, size_t line) {
  if (fields[0].empty()) fault(name, line, "the trace's name is empty");
  const auto duration = number_of(fields, 1, name, line);
  const auto down = number_of(fields, 2, name, line);
  const auto up = number_of(fields, 3, name, line);
  const auto latency = number_of(fields, 4, name, line);
  if (!duration || *duration < 0.001 || *duration > kRowMsMax) {
    fault(name, line, "dur_ms must be above 0 and at most 1e9");
  }
  if (latency && *latency > kRowMsMax) fault(name, line, "latency_ms must be at most 1e9");
  LinkRow row;
  row.duration = ms(*duration);
  row.down_kbps = down.value_or(up.value_or(kUnlimitedKbps));
  row.up_kbps = up.value_or(down.value_or(kUnlimitedKbps));
  row.latency = ms(latency.value_or(0.0));
  return row;
}

}  // namespace

std::vector<RateTrace> parse_traces(std::string_view text, const std::string& name) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<LinkRow>, std::less<>> rows;
  size_t number = 0;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    if (number == 1) {
      if (line != kHeader) fault(name, 1, "the header must be '" + std::string(kHeader) + "'");
      continue;
    }
    if (line.empty()) continue;
    const Fields fields = split(line, name, number);
    const LinkRow row = row_of(fields, name, number);
    auto found = rows.find(fields[0]);
    if (found == rows.end()) {
      order.emplace_back(fields[0]);
      found = rows.emplace(order.back(), std::vector<LinkRow>{}).first;
    }
    found->second.push_back(row);
  }
  if (order.empty()) throw FleetError(name + ": no rows");
  std::vector<RateTrace> traces;
  traces.reserve(order.size());
  for (const std::string& trace : order) traces.emplace_back(trace, std::move(rows.find(trace)->second));
  return traces;
}

std::vector<RateTrace> read_trace_file(const std::string& path) {
  // gzread passes plain files through unchanged.
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw system_error(path);
  std::string text;
  std::array<char, 1 << 16> block{};
  for (;;) {
    const int got = gzread(file.get(), block.data(), static_cast<unsigned>(block.size()));
    if (got < 0) {
      int code = 0;
      throw FleetError(path + ": " + gzerror(file.get(), &code));
    }
    if (got == 0) break;
    text.append(block.data(), static_cast<size_t>(got));
    if (text.size() > kFileBytesMax) throw FleetError(path + ": larger than 1 GiB");
  }
  return parse_traces(text, path);
}

}  // namespace runnel::fleet
