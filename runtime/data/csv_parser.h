// Comma-separated numbers, one example a line, the last column an integer label, or the last few the numbers that are
// to be predicted: bytes are fed in pieces of any size, rows come out at a sink. The first line may be a header: it is
// one when its last field, or none of its fields, is a number. Empty lines are passed over; a byte-order mark, CR LF
// line ends and blanks around a field are accepted.
//
// Memory: one line and one row, whatever the file's size.
// Trust: the bytes are anybody's. A Failure names the line and the column, both counted from 1.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"
#include "runtime/base/result.h"

namespace runnel::data {

inline constexpr size_t kCsvLineBytesMax = size_t{1} << 24;
inline constexpr uint64_t kCsvValuesMax = uint64_t{1} << 31;  // of a whole file

struct CsvRow {
  uint64_t line = 0;               // counted from 1, header and empty lines included
  std::span<const float> values;   // finite; all columns but the last ones. Borrowed until the sink returns.
  uint32_t label = 0;              // 0..65535
  std::span<const float> targets;  // finite; instead of the label, where targets are asked for
};

class CsvRowSink {
 public:
  virtual ~CsvRowSink() = default;
  // A failure stops the parsing and is what feed() returns, with the line in front.
  virtual Failure handle_row(const CsvRow& row) = 0;
};

class CsvParser {
 public:
  // `target_count` 0: the last column is a label; else the last so many columns are numbers.
  explicit CsvParser(uint32_t target_count = 0) : target_count_(target_count) {}

  // After a failure the parser must not be used any more.
  Failure feed(ByteView bytes, CsvRowSink& sink);

  // The end of the file: a last line without a line end counts. kNotFound when there was no row at all.
  Failure finish(CsvRowSink& sink);

  uint64_t row_count() const { return row_count_; }
  uint32_t input_count() const { return input_count_; }  // 0 before the first row

 private:
  Failure take_line(std::string_view line, CsvRowSink& sink);
  Failure take_row(std::string_view line, CsvRowSink& sink);

  uint32_t target_count_;
  std::string pending_;  // a line whose end has not been seen
  std::vector<float> values_;
  uint64_t line_count_ = 0;
  uint64_t row_count_ = 0;
  uint32_t input_count_ = 0;
  bool header_possible_ = true;
};

}  // namespace runnel::data
