#include "fleet/run_json.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "fleet/fleet_error.h"
#include "fleet/work_folder.h"
#include "tests/unit/fleet/sample_record.h"

namespace runnel::fleet {
namespace {

using nlohmann::json;

TEST(RunJson, HoldsWhatAScriptNeeds) {
  const json result = json::parse(run_json(sample_record(), nullptr, {"the command", "the machine"}));
  EXPECT_EQ(result["config"]["devices"], 2);
  EXPECT_EQ(result["config"]["bits"], 4.0);
  EXPECT_TRUE(result["config"]["epochs"].is_null());
  EXPECT_EQ(result["command"], "the command");
  ASSERT_EQ(result["rounds"].size(), 3U);
  EXPECT_EQ(result["rounds"][0]["round"], 1);
  EXPECT_EQ(result["rounds"][0]["uplink_bytes"], 2000);
  EXPECT_EQ(result["rounds"][0]["downlink_bytes"], 100'000);
  EXPECT_DOUBLE_EQ(result["rounds"][2]["accuracy"], 0.3 * 3);
  EXPECT_DOUBLE_EQ(result["rounds"][0]["bits_per_coordinate"], 4.12);
  EXPECT_EQ(result["rounds"][0]["participants"], 2);
  EXPECT_DOUBLE_EQ(result["rounds"][0]["seconds"], 2.0);
  const json& end = result["final"];
  EXPECT_EQ(end["model_sha256"], "abc123");
  EXPECT_EQ(end["parameters"], 1234);
  EXPECT_DOUBLE_EQ(end["uplink_bytes_per_device"], 3000.0);
  EXPECT_DOUBLE_EQ(end["downlink_bytes_per_device"], 150'000.0);
  EXPECT_TRUE(end.contains("device_rss_bytes_max"));
  EXPECT_TRUE(end.contains("coordinator_rss_bytes_max"));
  ASSERT_EQ(result["devices"].size(), 2U);
  EXPECT_EQ(result["devices"][1]["name"], "d01");
  EXPECT_EQ(result["devices"][1]["cuts"], 1);
  EXPECT_EQ(result["devices"][1]["outages"], json::parse("[[3.0, 4.5]]"));
  EXPECT_FALSE(result.contains("comparison"));
}

TEST(RunJson, TakesAComparisonAndOddText) {
  RunRecord record = sample_record();
  record.warnings.push_back("quote \" backslash \\ newline \n not UTF-8 \xff");
  record.accuracy.reset();
  const RunRecord other = sample_record("fp32", 8000);
  const json result = json::parse(run_json(record, &other, {"", ""}));
  EXPECT_TRUE(result["final"]["accuracy"].is_null());
  EXPECT_EQ(result["comparison"]["config"]["codec"], "fp32");
  EXPECT_TRUE(result["comparison"]["config"]["bits"].is_null());
  EXPECT_DOUBLE_EQ(result["comparison"]["final"]["uplink_bytes_per_device"], 24'000.0);
  EXPECT_EQ(result["warnings"].size(), 1U);
}

TEST(WriteTextFile, WritesOrSaysWhyNot) {
  const WorkFolder work("", false);
  const std::string path = (work.path() / "out").string();
  write_text_file(path, "text\n");
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "text\n");
  EXPECT_THROW(write_text_file("/nowhere/out", "x"), FleetError);
}

}  // namespace
}  // namespace runnel::fleet
