#include "fleet/trace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fleet/fleet_error.h"
#include "fleet/work_folder.h"

namespace runnel::fleet {
namespace {

using ::testing::HasSubstr;

constexpr const char* kHeader = "trace,dur_ms,down_kbps,up_kbps,latency_ms\n";

std::string fault_of(const std::string& rows) {
  try {
    parse_traces(kHeader + rows, "links.csv");
  } catch (const FleetError& error) {
    return error.what();
  }
  return "";
}

TEST(TraceFile, ReadsSeveralTraces) {
  const auto traces =
      parse_traces(std::string(kHeader) + "bus,1000,500,250,40\r\ntram,2000,80,,\nbus,500,0.5,0.5,\n\n", "x");
  ASSERT_EQ(traces.size(), 2U);
  EXPECT_EQ(traces[0].name(), "bus");
  ASSERT_EQ(traces[0].rows().size(), 2U);
  EXPECT_DOUBLE_EQ(traces[0].rows()[0].up_kbps, 250.0);
  EXPECT_EQ(traces[0].rows()[0].latency, milliseconds(40));
  EXPECT_EQ(traces[1].name(), "tram");
  EXPECT_DOUBLE_EQ(traces[1].rows()[0].up_kbps, 80.0);  // not measured: like the other direction
  EXPECT_EQ(traces[1].rows()[0].latency, Duration::zero());
}

TEST(TraceFile, AnUnmeasuredRateIsUnlimited) {
  const auto traces = parse_traces(std::string(kHeader) + "a,10.5,,,7\n", "x");
  EXPECT_TRUE(std::isinf(traces[0].rows()[0].down_kbps));
  EXPECT_TRUE(std::isinf(traces[0].rows()[0].up_kbps));
  EXPECT_EQ(traces[0].rows()[0].duration, Duration(10'500));
}

TEST(TraceFile, NamesTheFileAndTheLine) {
  EXPECT_THAT(fault_of("a,1000,5\n"), HasSubstr("links.csv: line 2: 5 fields expected, 3 found"));
  EXPECT_THAT(fault_of("a,1000,5,5,1\na,1000,5,5,1,9\n"), HasSubstr("links.csv: line 3: more than 5 fields"));
  EXPECT_THAT(fault_of("a,1000,fast,5,1\n"), HasSubstr("line 2: down_kbps must be a number of at least 0, not 'fast'"));
  EXPECT_THAT(fault_of("a,1000,5,-5,1\n"), HasSubstr("line 2: up_kbps"));
  EXPECT_THAT(fault_of("a,1000,5,5,nan\n"), HasSubstr("line 2: latency_ms"));
  EXPECT_THAT(fault_of("a,1000,5,inf,1\n"), HasSubstr("line 2: up_kbps"));
  EXPECT_THAT(fault_of("a,0,5,5,1\n"), HasSubstr("line 2: dur_ms must be above 0"));
  EXPECT_THAT(fault_of("a,,5,5,1\n"), HasSubstr("line 2: dur_ms"));
  EXPECT_THAT(fault_of(",10,5,5,1\n"), HasSubstr("line 2: the trace's name is empty"));
  EXPECT_THAT(fault_of(""), HasSubstr("links.csv: no rows"));
  EXPECT_THROW(parse_traces("a,1,2,3,4\n", "x"), FleetError);
  EXPECT_THROW(parse_traces("", "x"), FleetError);
}

TEST(TraceFile, ReadsPlainAndGzippedFiles) {
  const WorkFolder work("", false);
  const std::string text = std::string(kHeader) + "a,1000,5,6,7\n";
  const std::string plain = (work.path() / "a.csv").string();
  std::ofstream(plain) << text;
  const std::string packed = plain + ".gz";
  gzFile file = gzopen(packed.c_str(), "wb");
  ASSERT_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())), static_cast<int>(text.size()));
  gzclose(file);
  for (const std::string& path : {plain, packed}) {
    const auto traces = read_trace_file(path);
    ASSERT_EQ(traces.size(), 1U) << path;
    EXPECT_DOUBLE_EQ(traces[0].rows()[0].up_kbps, 6.0);
  }
  EXPECT_THROW(read_trace_file(plain + ".absent"), FleetError);
}

TEST(TraceFile, ReadsTheMeasuredTraces) {
  const char* folder = std::getenv("RUNNEL_TEST_DATA");
  const std::string path = std::string(folder == nullptr ? "" : folder) + "/traces/norway-3g.csv.gz";
  if (folder == nullptr || !std::filesystem::exists(path)) {
    GTEST_SKIP() << "set RUNNEL_TEST_DATA to a folder with traces/norway-3g.csv.gz";
  }
  const auto traces = read_trace_file(path);
  EXPECT_EQ(traces.size(), 86U);
  Duration total{};
  bool dark = false;
  for (const RateTrace& trace : traces) {
    total += trace.length();
    for (const LinkRow& each : trace.rows()) dark = dark || each.down_kbps <= kOutageKbps;
  }
  EXPECT_GT(total, seconds(25LL * 3600));
  EXPECT_TRUE(dark);
}

}  // namespace
}  // namespace runnel::fleet
