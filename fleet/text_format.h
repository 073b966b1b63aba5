// Numbers and words for people: bytes, rates, durations, sparklines, shell quoting, and the width a text takes on
// screen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runnel::fleet {

std::string fixed(double value, int decimals);  // "3.14"
std::string exact_number(double value);         // the shortest text that reads back as the same number
std::string format_bytes(uint64_t bytes);       // "999 B", "1.23 kB", "45.6 MB": powers of 1000, like link rates
std::string format_rate(double kbps);           // "420 kbit/s", "3.1 Mbit/s", "unlimited"
std::string format_duration(double seconds);    // "4.2 s", "2 min 05 s", "1 h 02 min"
std::string format_percent(std::optional<double> share);  // "93.1 %" or "-"

// "91.4 %" of an accuracy, "0.313" of another metric, "-" of nothing.
std::string format_metric(const std::string& metric, std::optional<double> value);
std::string format_count(uint64_t count);  // "1 234 567"
std::string now_text();                    // "2026-03-01 07:30 UTC"

// One block character a value, between the smallest and the largest; the last `width` values.
std::string sparkline(const std::vector<double>& values, size_t width);

// `share` of `width` columns filled, in eighths of a column.
std::string progress_bar(double share, size_t width);

// Columns on a terminal, for text whose characters are all one column wide (UTF-8).
size_t columns_of(std::string_view text);

// Cut or padded to exactly `width` columns; a cut text ends in an ellipsis.
std::string fit_left(std::string_view text, size_t width);
std::string fit_right(std::string_view text, size_t width);

// A command line that a POSIX shell reads back as these words.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace runnel::fleet
