// The host's side of the comparison with boards: the same code, with plain kernels, must give the lines that the
// board's test compares with. After a change that is meant, RUNNEL_WRITE_EXPECTED=FILE writes them.
#include "tests/cortex_m/agreement.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "runtime/base/instruction_set.h"

namespace runnel::agreement {
namespace {

std::string lines;

TEST(Agreement, TheHostComputesWhatBoardsDo) {
  ASSERT_TRUE(limit_instruction_set("reference"));
  lines.clear();
  run({[](const char* line) { lines += std::string(line) + "\n"; }, [] {}, [] {}});
  ASSERT_TRUE(limit_instruction_set("auto"));
  lines += "end\n";
  if (const char* path = std::getenv("RUNNEL_WRITE_EXPECTED"); path != nullptr) std::ofstream(path) << lines;
  std::ifstream file(std::string(RUNNEL_SOURCE_DIR) + "/tests/cortex_m/expected.txt");
  std::ostringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(lines, expected.str());
}

}  // namespace
}  // namespace runnel::agreement
