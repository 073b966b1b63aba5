// Encoded tensors of earlier builds: today's encoder must make the same bytes, and today's decoder the same values.
//
// A line of bucketed.txt: name codec coder levels bucket exact seed pattern count | bits coder scale-bits
// decoded-crc32c payload, the last three in hexadecimal. qsgd.txt has the bytes of an encoder that drew other random
// numbers, without coders; they must decode for ever. Inputs are made by integer arithmetic, so they are the same on
// every machine. To add a line, write its left half, run the test and take the right half from the message; lines that
// are there never change.
#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/crc32c.h"
#include "runtime/base/instruction_set.h"
#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"

namespace runnel::codec {
namespace {

struct Line {
  std::string name, pattern, expected;
  bool has_coder = false;
  plan::CodecSpec spec;
  uint64_t seed = 0;
  uint32_t count = 0;
};

std::vector<Line> read_lines(const char* file_name) {
  const bool has_coder = std::string_view(file_name) == "bucketed.txt";
  std::ifstream file(std::string(RUNNEL_GOLDEN_FOLDER) + "/" + file_name);
  std::vector<Line> lines;
  for (std::string text; std::getline(file, text);) {
    if (text.empty() || text[0] == '#') continue;
    const size_t bar = text.find(" | ");
    std::istringstream left(text.substr(0, bar));
    Line line;
    line.has_coder = has_coder;
    unsigned codec = 0;
    unsigned coder = 0;
    left >> line.name >> codec;
    if (has_coder) left >> coder;
    left >> line.spec.levels >> line.spec.bucket >> line.spec.exact_coordinates_max >> line.seed >> line.pattern >>
        line.count;
    EXPECT_TRUE(static_cast<bool>(left)) << text;
    line.spec.codec = static_cast<plan::CodecId>(codec);
    line.spec.coder = static_cast<plan::Coder>(coder);
    line.expected = bar == std::string::npos ? "" : text.substr(bar + 3);
    lines.push_back(line);
  }
  EXPECT_FALSE(lines.empty()) << file_name;
  return lines;
}

// Multiples of 1/64 from -1000/64 to 1000/64, exact in fp32; "sparse" keeps one in twenty, "wide" spreads the
// exponents.
std::vector<float> make_values(const Line& line) {
  std::vector<float> values(line.count, 0.0F);
  for (uint32_t i = 0; i < line.count; ++i) {
    const uint64_t word = mix64(derive_key(2017, i));
    const int32_t integer = static_cast<int32_t>(word % 2001) - 1000;
    const float value = static_cast<float>(integer) / 64.0F;
    if (line.pattern == "uniform") values[i] = value;
    if (line.pattern == "sparse" && (word >> 32) % 20 == 0) values[i] = value;
    if (line.pattern == "wide") values[i] = value / static_cast<float>(1U << ((word >> 32) % 20));
  }
  return values;
}

std::string hex_of(ByteView bytes) {
  std::ostringstream text;
  for (const uint8_t byte : bytes) text << std::hex << std::setw(2) << std::setfill('0') << unsigned{byte};
  return text.str();
}

std::vector<uint8_t> bytes_of(const std::string& hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

uint32_t crc_of(std::span<const float> values) {
  return crc32c({reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
}

void expect_same_bytes() {
  for (const Line& line : read_lines("bucketed.txt")) {
    const std::vector<float> values = make_values(line);
    std::vector<uint8_t> buffer(encoded_bytes_max(line.spec, line.count));
    const auto tensor = encode_tensor(line.spec, line.name, values, line.seed, buffer);
    ASSERT_TRUE(tensor.ok()) << tensor.failure().text();
    std::vector<float> decoded(line.count);
    ASSERT_TRUE(decode_tensor(line.name, *tensor, decoded).ok());
    std::ostringstream text;
    text << unsigned{tensor->bits} << ' ' << static_cast<unsigned>(tensor->coder) << ' ' << std::hex
         << std::bit_cast<uint32_t>(tensor->scale) << ' ' << crc_of(decoded) << ' ' << hex_of(tensor->payload);
    EXPECT_EQ(text.str(), line.expected) << line.name;
  }
}

TEST(CodecGolden, TheEncoderMakesTheSameBytes) {
  for (const char* set : {"reference", "auto"}) {
    ASSERT_TRUE(limit_instruction_set(set));
    SCOPED_TRACE(set);
    expect_same_bytes();
  }
}

// From the file alone, as a coordinator would meet the bytes of an old device.
TEST(CodecGolden, TheDecoderMakesTheSameValues) {
  std::vector<Line> lines = read_lines("qsgd.txt");
  for (const Line& line : read_lines("bucketed.txt")) lines.push_back(line);
  for (const Line& line : lines) {
    std::istringstream right(line.expected);
    unsigned bits = 0;
    unsigned coder = 0;
    uint32_t scale_bits = 0;
    uint32_t crc = 0;
    std::string hex;
    right >> bits;
    if (line.has_coder) right >> coder;
    right >> std::hex >> scale_bits >> crc >> hex;
    ASSERT_TRUE(static_cast<bool>(right)) << line.name;
    const std::vector<uint8_t> payload = bytes_of(hex);
    plan::EncodedTensor tensor;
    tensor.count = line.count;
    tensor.bits = static_cast<uint8_t>(bits);
    tensor.scale = std::bit_cast<float>(scale_bits);
    tensor.coder = static_cast<plan::Coder>(coder);
    tensor.payload = payload;
    if (bits != 32) {
      const bool has_levels = line.spec.codec != plan::CodecId::kFp16;
      tensor.codec = line.spec.codec;
      tensor.levels = has_levels ? line.spec.levels : 0;
      tensor.bucket = has_levels ? line.spec.bucket : 0;
    }
    std::vector<float> decoded(line.count);
    const Failure failure = decode_tensor(line.name, tensor, decoded);
    ASSERT_TRUE(failure.ok()) << failure.text();
    EXPECT_EQ(crc_of(decoded), crc) << line.name;
  }
}

}  // namespace
}  // namespace runnel::codec
