#include "runtime/data/csv_parser.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "runtime/data/dataset.h"
#include "runtime/plan/model_spec.h"

namespace runnel::data {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The field before the next comma, which is taken off `rest`; nothing after the last one.
std::optional<std::string_view> next_field(std::optional<std::string_view>& rest) {
  if (!rest) return std::nullopt;
  const size_t comma = rest->find(',');
  const std::string_view field = trim(rest->substr(0, comma));
  if (comma == std::string_view::npos) {
    rest.reset();
  } else {
    rest->remove_prefix(comma + 1);
  }
  return field;
}

enum class Parsed { kNumber, kNotNumber, kNotFinite };

// Read as a double, so that a value too small for a float becomes 0 rather than an error.
Parsed parse_number(std::string_view field, double& value) {
  if (field.size() > 1 && field.front() == '+' && field[1] != '-') field.remove_prefix(1);
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (error == std::errc::invalid_argument || end != field.data() + field.size()) return Parsed::kNotNumber;
  if (error != std::errc{} || !std::isfinite(static_cast<float>(value))) return Parsed::kNotFinite;
  return Parsed::kNumber;
}

bool is_header(std::string_view line) {
  bool any_number = false;
  bool last_number = false;
  std::optional<std::string_view> rest = line;
  while (const auto field = next_field(rest)) {
    double value = 0.0;
    last_number = parse_number(*field, value) != Parsed::kNotNumber;
    any_number = any_number || last_number;
  }
  return !any_number || !last_number;
}

// A field as it may stand in a message: short, and without bytes that a terminal would act on.
std::string quoted(std::string_view field) {
  std::string text(field.substr(0, 24));
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return "\"" + text + (field.size() > 24 ? "...\"" : "\"");
}

}  // namespace

Failure CsvParser::feed(ByteView bytes, CsvRowSink& sink) {
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view piece = rest.substr(0, end);
    if (piece.size() > kCsvLineBytesMax - std::min(kCsvLineBytesMax, pending_.size())) {
      const unsigned long long line = line_count_ + 1;
      return fail(Error::kLimit, "line %llu: more than %zu bytes", line, kCsvLineBytesMax);
    }
    if (end == std::string_view::npos) {
      pending_.append(piece);
      return Error::kOk;
    }
    rest.remove_prefix(end + 1);
    if (pending_.empty()) {
      RUNNEL_TRY(take_line(piece, sink));
    } else {
      pending_.append(piece);
      RUNNEL_TRY(take_line(pending_, sink));
      pending_.clear();
    }
  }
  return Error::kOk;
}

Failure CsvParser::finish(CsvRowSink& sink) {
  if (!pending_.empty()) RUNNEL_TRY(take_line(pending_, sink));
  pending_.clear();
  if (row_count_ == 0) return fail(Error::kNotFound, line_count_ == 0 ? "the file is empty" : "no row of numbers");
  return Error::kOk;
}

Failure CsvParser::take_line(std::string_view line, CsvRowSink& sink) {
  ++line_count_;
  if (line_count_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (trim(line).empty()) return Error::kOk;
  const bool header = header_possible_ && is_header(line);
  header_possible_ = false;
  if (header) return Error::kOk;
  Failure failure = take_row(line, sink);
  if (!failure.ok()) failure.prefix("line %llu", static_cast<unsigned long long>(line_count_));
  return failure;
}

Failure CsvParser::take_row(std::string_view line, CsvRowSink& sink) {
  const auto columns = static_cast<size_t>(std::count(line.begin(), line.end(), ',')) + 1;
  const size_t last = std::max(1U, target_count_);  // columns that are no input
  if (columns < last + 1) {
    return target_count_ == 0 ? fail(Error::kShape, "one column; a row needs at least one value and the label")
                              : fail(Error::kShape, "%zu columns; a row needs at least one value and %u targets",
                                     columns, target_count_);
  }
  if (columns - last > plan::kDimensionMax) {
    return fail(Error::kLimit, "%zu columns; at most %u values and the label are read", columns, plan::kDimensionMax);
  }
  if (row_count_ > 0 && columns != input_count_ + last) {
    return fail(Error::kShape, "%zu columns where the rows before have %zu", columns, input_count_ + last);
  }
  if ((row_count_ + 1) * columns > kCsvValuesMax) {
    return fail(Error::kLimit, "more than %llu values in the file", static_cast<unsigned long long>(kCsvValuesMax));
  }

  input_count_ = static_cast<uint32_t>(columns - last);
  values_.clear();
  CsvRow row;
  std::optional<std::string_view> rest = line;
  for (size_t column = 1; const auto field = next_field(rest); ++column) {
    double value = 0.0;
    const Parsed parsed = parse_number(*field, value);
    if (parsed == Parsed::kNotNumber) {
      return fail(Error::kMalformed, "column %zu: %s is not a number", column, quoted(*field).c_str());
    }
    if (parsed == Parsed::kNotFinite) {
      return fail(Error::kNotFinite, "column %zu: %s is not a finite 32-bit number", column, quoted(*field).c_str());
    }
    if (column < columns || target_count_ > 0) {
      values_.push_back(static_cast<float>(value));
      continue;
    }
    if (value != std::floor(value) || value < 0.0 || value > kLabelMax) {
      return fail(Error::kOutOfRange, "column %zu: the label %s is not an integer from 0 to %u", column,
                  quoted(*field).c_str(), kLabelMax);
    }
    row.label = static_cast<uint32_t>(value);
  }
  ++row_count_;
  row.line = line_count_;
  row.values = std::span<const float>(values_).first(input_count_);
  row.targets = std::span<const float>(values_).subspan(input_count_);
  return sink.handle_row(row);
}

}  // namespace runnel::data
