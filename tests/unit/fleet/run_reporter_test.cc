#include "fleet/run_reporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "fleet/summary_table.h"
#include "tests/unit/fleet/sample_record.h"

namespace runnel::fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(PlainReporter, WritesALineARound) {
  std::ostringstream out;
  PlainReporter reporter(out, "1/2  qsgd, 4 bits");
  const RunRecord record = sample_record();
  reporter.on_tick(record);
  reporter.on_tick(record);
  reporter.on_round(record);
  EXPECT_EQ(out.str(),
            "1/2  qsgd, 4 bits: 2 devices, model sensor-cnn, 3 rounds\n"
            "[    6.0 s] round 3/3: accuracy 90.0 %, loss 0.667, 2 updates, 2.00 kB up, 100 kB down, "
            "4.12 bits a coordinate, 2.0 s\n");
}

TEST(PlainReporter, ThinsAFloodAndCountsIt) {
  std::ostringstream out;
  PlainReporter reporter(out, "x");
  RunRecord record = sample_record();
  record.elapsed_s = 0.0;
  for (int i = 0; i < 100; ++i) reporter.on_notice(record, "again");
  std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 12);
  record.elapsed_s = 10.0;
  reporter.on_notice(record, "later");
  EXPECT_THAT(out.str(), HasSubstr("[   10.0 s] later (88 notices left out before)\n"));
}

TEST(PlainReporter, NoticesCannotCommandTheTerminal) {
  std::ostringstream out;
  PlainReporter reporter(out, "x");
  reporter.on_notice(sample_record(), "d00: \x1b[2Jgone\n");
  EXPECT_THAT(out.str(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(out.str(), HasSubstr("d00:  [2Jgone"));
}

TEST(SummaryTable, ComparesTwoRuns) {
  const RunRecord record = sample_record();
  const RunRecord other = sample_record("fp32", 8000);
  const std::string table = summary_table(record, &other);
  EXPECT_THAT(table, HasSubstr("                            qsgd, 4 bits            fp32\n"));
  EXPECT_THAT(table, HasSubstr("Sent up, per device              3.00 kB         24.0 kB     8.0x less\n"));
  EXPECT_THAT(table, HasSubstr("Sent down, per device             150 kB          150 kB      the same\n"));
  EXPECT_THAT(summary_table(record, nullptr), Not(HasSubstr("fp32")));
}

}  // namespace
}  // namespace runnel::fleet
