// The bytes printed in WIRE.md are the bytes of a golden file.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

// The hexadecimal column of the table that follows the line "Worked example: `FILE`".
std::vector<uint8_t> bytes_in_document(const std::string& file) {
  std::ifstream in(RUNNEL_WIRE_DOCUMENT);
  std::vector<uint8_t> bytes;
  bool found = false;
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("Worked example: `" + file + "`", 0) == 0) found = true;
    if (!found || line.rfind("| `0x", 0) != 0) {
      if (found && !bytes.empty()) break;
      continue;
    }
    // | `0x00` | `10 00 00 00` | what it is |
    const size_t open = line.find('`', line.find('|', 1));
    std::istringstream hex(line.substr(open + 1, line.find('`', open + 1) - open - 1));
    EXPECT_EQ(std::stoul(line.substr(3, line.find('`', 3) - 3), nullptr, 16), bytes.size()) << line;
    for (std::string byte; hex >> byte;) bytes.push_back(static_cast<uint8_t>(std::stoul(byte, nullptr, 16)));
  }
  return bytes;
}

TEST(WorkedExample, TheDocumentShowsTheGoldenBytes) {
  const std::string file = "update_ack.rnl";
  std::ifstream in(RUNNEL_GOLDEN_FOLDER "/" + file, std::ios::binary);
  const std::vector<uint8_t> golden{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  ASSERT_FALSE(golden.empty());
  EXPECT_EQ(bytes_in_document(file), golden);
}

}  // namespace
