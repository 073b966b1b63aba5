#include "fleet/text_format.h"

#include <gtest/gtest.h>

#include <limits>

namespace runnel::fleet {
namespace {

TEST(TextFormat, Numbers) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(45'650), "45.6 kB");
  EXPECT_EQ(format_bytes(999'900), "1.00 MB");
  EXPECT_EQ(format_bytes(123'000'000'000'000), "123 TB");
  EXPECT_EQ(format_rate(420.4), "420 kbit/s");
  EXPECT_EQ(format_rate(3100.0), "3.1 Mbit/s");
  EXPECT_EQ(format_rate(std::numeric_limits<double>::infinity()), "unlimited");
  EXPECT_EQ(format_duration(4.24), "4.2 s");
  EXPECT_EQ(format_duration(59.96), "1 min 00 s");
  EXPECT_EQ(format_duration(125.0), "2 min 05 s");
  EXPECT_EQ(format_duration(3720.0), "1 h 02 min");
  EXPECT_EQ(format_percent(0.9314), "93.1 %");
  EXPECT_EQ(format_percent(std::nullopt), "-");
  EXPECT_EQ(format_count(7), "7");
  EXPECT_EQ(format_count(1'234'567), "1 234 567");
  EXPECT_EQ(exact_number(0.1), "0.1");
  EXPECT_EQ(exact_number(3600.0), "3600");
}

TEST(TextFormat, Drawings) {
  EXPECT_EQ(sparkline({}, 10), "");
  EXPECT_EQ(sparkline({5.0, 5.0}, 10), "▅▅");
  EXPECT_EQ(sparkline({0.0, 1.0, 0.5, 1.0}, 2), "▅█");
  EXPECT_EQ(progress_bar(0.5, 4), "██░░");
  EXPECT_EQ(progress_bar(0.3, 4), "█▎░░");
  EXPECT_EQ(progress_bar(7.0, 3), "███");
  EXPECT_EQ(progress_bar(std::numeric_limits<double>::quiet_NaN(), 3), "░░░");
}

TEST(TextFormat, FitsColumns) {
  EXPECT_EQ(columns_of("↑ ä"), 3U);
  EXPECT_EQ(fit_left("abc", 5), "abc  ");
  EXPECT_EQ(fit_right("abc", 5), "  abc");
  EXPECT_EQ(fit_left("↑↓↑↓", 3), "↑↓…");
  EXPECT_EQ(fit_right("abc", 0), "");
}

TEST(TextFormat, ShellWords) {
  EXPECT_EQ(shell_command({"a/b", "--x=1", "it's", "", "a b"}), "a/b --x=1 'it'\\''s' '' 'a b'");
}

}  // namespace
}  // namespace runnel::fleet
