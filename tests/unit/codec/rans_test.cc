#include "runtime/codec/rans.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>

#include "runtime/base/instruction_set.h"
#include "tests/unit/codec/vectors.h"

namespace runnel::codec {
namespace {

struct Message {
  std::vector<uint8_t> symbols;
  std::vector<uint32_t> counts;
};

// Geometric-like, so that frequencies differ by orders of magnitude.
Message make_message(size_t count, uint32_t alphabet, double share, uint64_t seed) {
  Rng rng(seed);
  Message message;
  message.counts.assign(alphabet, 0);
  for (size_t i = 0; i < count; ++i) {
    uint32_t symbol = 0;
    while (symbol + 1 < alphabet && rng.uniform() > share) ++symbol;
    message.symbols.push_back(static_cast<uint8_t>(symbol));
    ++message.counts[symbol];
  }
  return message;
}

std::vector<uint8_t> encode_message(const RansTable& table, size_t states, std::span<const uint8_t> symbols,
                                    size_t room) {
  std::vector<uint8_t> out(room);
  RansEncoder encoder(table, states, out);
  for (size_t end = symbols.size(); end > 0;) {
    const size_t first = (end - 1) / 4096 * 4096;
    if (!encoder.put(symbols.subspan(first, end - first))) return {};
    end = first;
  }
  const size_t bytes = encoder.finish();
  return {out.end() - static_cast<std::ptrdiff_t>(bytes), out.end()};
}

bool decode_message(const RansTable& table, size_t states, ByteView code, std::span<uint8_t> symbols) {
  RansDecoder decoder(table, states, code);
  for (size_t first = 0; first < symbols.size(); first += 4096) {
    decoder.take(symbols.subspan(first, std::min<size_t>(4096, symbols.size() - first)));
  }
  return decoder.finished();
}

TEST(RansTable, SumsTo4096AndKeepsEverySymbolThatOccurs) {
  Rng rng(3);
  for (int round = 0; round < 500; ++round) {
    std::vector<uint32_t> counts(1 + rng.below(256));
    for (uint32_t& count : counts) {
      count = rng.below(3) == 0 ? 0 : static_cast<uint32_t>(rng.next_u64() >> (32 + rng.below(32)));
    }
    counts[rng.below(counts.size())] = 1;
    const RansTable table = make_rans_table(counts);
    uint32_t sum = 0;
    for (size_t k = 0; k < counts.size(); ++k) {
      ASSERT_EQ(table.start[k], sum % 65536);
      ASSERT_EQ(table.frequency[k] > 0, counts[k] > 0);
      sum += table.frequency[k];
    }
    ASSERT_EQ(sum, kRansTotal);
  }
}

TEST(RansTable, NoSingleStepMakesTheCodeShorter) {
  const std::vector<uint32_t> counts = {1, 700, 12, 90000, 5, 5, 44321, 3, 1};
  const RansTable table = make_rans_table(counts);
  const double bits = rans_bits(table, counts);
  for (size_t from = 0; from < counts.size(); ++from) {
    for (size_t to = 0; to < counts.size(); ++to) {
      if (from == to || table.frequency[from] < 2) continue;
      RansTable other = table;
      --other.frequency[from];
      ++other.frequency[to];
      EXPECT_GE(rans_bits(other, counts), bits * 0.99999);
    }
  }
  double exact = 0.0;
  for (size_t k = 0; k < counts.size(); ++k) exact += counts[k] * (12 - std::log2(table.frequency[k]));
  EXPECT_NEAR(bits, exact, 1e-4 * exact);
}

TEST(RansTable, TravelsInBytes) {
  for (const uint32_t alphabet : {1U, 2U, 15U, 256U}) {
    const RansTable table = make_rans_table(make_message(100000, alphabet, 0.1, alphabet).counts);
    if (table.frequency[alphabet - 1] == 0) continue;
    std::vector<uint8_t> bytes(rans_table_bytes(table));
    ASSERT_EQ(put_rans_table(table, bytes), bytes.size());
    ByteView rest = bytes;
    const Result<RansTable> back = take_rans_table(alphabet, rest);
    ASSERT_TRUE(back.ok()) << back.failure().text();
    EXPECT_TRUE(rest.empty());
    EXPECT_EQ(back->frequency, table.frequency);
    EXPECT_EQ(back->start, table.start);
    for (size_t size = 0; size < bytes.size(); ++size) {
      ByteView part = ByteView(bytes).first(size);
      EXPECT_EQ(take_rans_table(alphabet, part).error(), Error::kTruncated);
    }
  }
  const std::vector<uint8_t> too_much = {0xFF, 31, 10};
  ByteView rest = too_much;
  EXPECT_EQ(take_rans_table(3, rest).error(), Error::kMalformed);
  rest = too_much;
  EXPECT_EQ(take_rans_table(0, rest).error(), Error::kMalformed);
  rest = too_much;
  EXPECT_EQ(take_rans_table(257, rest).error(), Error::kMalformed);
}

TEST(Rans, BringsBackEveryMessageInTheLengthPredicted) {
  for (const uint32_t alphabet : {1U, 2U, 3U, 5U, 8U, 9U, 13U, 16U, 17U, 255U, 256U}) {
    for (const size_t states : {1U, 4U, 32U}) {
      for (const size_t count : {1U, 31U, 32U, 33U, 4096U, 70001U}) {
        for (const double share : {0.03, 0.5, 0.98}) {
          SCOPED_TRACE(testing::Message() << alphabet << " symbols, " << states << " states, " << count << " long");
          const Message message = make_message(count, alphabet, share, count + alphabet);
          const RansTable table = make_rans_table(message.counts);
          const std::vector<uint8_t> code = encode_message(table, states, message.symbols, 2 * count + 1000);
          ASSERT_GE(code.size(), 4 * states);
          const double bytes = rans_bits(table, message.counts) / 8;
          EXPECT_LE(static_cast<double>(code.size()), bytes * 1.001 + 4.0 * static_cast<double>(states) + 2);
          std::vector<uint8_t> symbols(count, 99);
          ASSERT_TRUE(decode_message(table, states, code, symbols));
          ASSERT_EQ(symbols, message.symbols);
        }
      }
    }
  }
}

TEST(Rans, VectorsMakeTheBytesOfThePlainLoop) {
  for (const uint32_t alphabet : {1U, 2U, 4U, 5U, 6U, 7U, 8U, 9U, 12U, 13U, 16U}) {
    for (const double share : {0.0001, 0.05, 0.6, 0.999}) {
      const Message message = make_message(50003, alphabet, share, 9);
      const RansTable table = make_rans_table(message.counts);
      ASSERT_TRUE(limit_instruction_set("reference"));
      const std::vector<uint8_t> plain = encode_message(table, 32, message.symbols, 110000);
      ASSERT_FALSE(plain.empty());
      for (const char* set : {"scalar", "sse4", "avx2", "avx512", "neon"}) {
        if (!limit_instruction_set(set)) continue;
        SCOPED_TRACE(testing::Message() << set << ", " << alphabet << " symbols, share " << share);
        ASSERT_EQ(encode_message(table, 32, message.symbols, 110000), plain);
        // With no room to spare, too.
        ASSERT_EQ(encode_message(table, 32, message.symbols, plain.size()), plain);
        ASSERT_TRUE(encode_message(table, 32, message.symbols, plain.size() - 1).empty());
        std::vector<uint8_t> symbols(message.symbols.size());
        ASSERT_TRUE(decode_message(table, 32, plain, symbols));
        ASSERT_EQ(symbols, message.symbols);
      }
    }
  }
  ASSERT_TRUE(limit_instruction_set("auto"));
}

// Groups of nibbles as fixed_width.h lays them out. REQUIRES: whole groups.
std::vector<uint8_t> groups_of(std::span<const uint8_t> symbols, uint32_t first_code) {
  std::vector<uint8_t> groups(symbols.size() / 2);
  for (size_t i = 0; i < symbols.size(); ++i) {
    const size_t word = i / 64 * 8 + i % 8;
    const size_t field = i / 8 % 8;
    groups[4 * word + field / 2] |= static_cast<uint8_t>((symbols[i] + first_code) << (field % 2 * 4));
  }
  return groups;
}

TEST(Rans, GroupsOfNibblesMakeTheBytesOfTheirSymbols) {
  for (const uint32_t alphabet : {1U, 2U, 7U, 8U, 9U, 16U}) {
    const Message message = make_message(3 * 4096, alphabet, 0.4, alphabet);
    const RansTable table = make_rans_table(message.counts);
    const std::vector<uint8_t> expected = encode_message(table, 32, message.symbols, 30000);
    ASSERT_FALSE(expected.empty());
    const uint32_t first_code = 16 - alphabet;
    const std::vector<uint8_t> groups = groups_of(message.symbols, first_code);
    for (const char* set : {"reference", "sse4", "avx2", "avx512", "neon"}) {
      if (!limit_instruction_set(set)) continue;
      // With room to spare, and with just enough, where the last rows go one symbol at a time.
      for (const size_t room : {size_t{30000}, expected.size() + 2}) {
        std::vector<uint8_t> out(room);
        RansEncoder encoder(table, 32, out);
        for (size_t piece = 3; piece > 0; --piece) {
          ASSERT_TRUE(encoder.put_groups(first_code, std::span(groups).subspan((piece - 1) * 2048, 2048)));
        }
        const size_t bytes = encoder.finish();
        EXPECT_EQ(std::vector<uint8_t>(out.end() - static_cast<std::ptrdiff_t>(bytes), out.end()), expected)
            << set << ", " << alphabet << " symbols, room " << room;
      }
    }
    ASSERT_TRUE(limit_instruction_set("auto"));
  }
}

TEST(Rans, ValuesAreThoseOfTheSymbols) {
  constexpr size_t kCount = 4096 + 4096 - 70;
  for (const uint32_t alphabet : {1U, 3U, 6U, 8U, 11U, 16U}) {
    const Message message = make_message(kCount, alphabet, 0.4, alphabet);
    const RansTable table = make_rans_table(message.counts);
    const std::vector<uint8_t> code = encode_message(table, 32, message.symbols, 30000);
    const std::vector<float> before = gauss_vector(kCount, 7);
    for (const size_t table_count : {32U, 96U, 512U, 4096U}) {
      const std::vector<float> tables = gauss_vector((4096 / table_count + 1) * kRansFewSymbols, table_count);
      for (const char* set : {"reference", "sse4", "avx2", "avx512", "neon"}) {
        if (!limit_instruction_set(set)) continue;
        for (const bool add : {false, true}) {
          std::vector<float> values = before;
          RansDecoder decoder(table, 32, code);
          decoder.take_values(tables, table_count, std::span(values).first(4096), add);
          decoder.take_values(tables, table_count, std::span(values).subspan(4096), add);
          EXPECT_TRUE(decoder.finished());
          for (size_t i = 0; i < kCount; ++i) {
            const float value = tables[kRansFewSymbols * (i % 4096 / table_count) + message.symbols[i]];
            ASSERT_EQ(values[i], add ? before[i] + value : value) << set << ", " << alphabet << " symbols, value " << i;
          }
        }
      }
      ASSERT_TRUE(limit_instruction_set("auto"));
    }
  }
}

TEST(Rans, AnyBytesDecodeToSymbolsOfTheAlphabet) {
  Rng rng(4);
  for (int round = 0; round < 3000; ++round) {
    const auto alphabet = static_cast<uint32_t>(1 + rng.below(rng.below(2) == 0 ? 16 : 256));
    const RansTable table = make_rans_table(make_message(3000, alphabet, 0.2, rng.next_u64()).counts);
    std::vector<uint8_t> code(rng.below(3000));
    for (uint8_t& byte : code) byte = static_cast<uint8_t>(rng.next_u64());
    std::vector<uint8_t> symbols(rng.below(5000));
    decode_message(table, rng.below(2) == 0 ? 32 : 4, code, symbols);
    for (const uint8_t symbol : symbols) ASSERT_LT(symbol, alphabet);
  }
}

// A changed bit changes the states, and they then do not end where they must.
TEST(Rans, NoticesDamage) {
  const Message message = make_message(4000, 7, 0.4, 6);
  const RansTable table = make_rans_table(message.counts);
  const std::vector<uint8_t> code = encode_message(table, 4, message.symbols, 9000);
  std::vector<uint8_t> symbols(4000);
  for (size_t bit = 0; bit < code.size() * 8; bit += 7) {
    std::vector<uint8_t> damaged = code;
    damaged[bit / 8] = static_cast<uint8_t>(damaged[bit / 8] ^ 1U << bit % 8);
    EXPECT_FALSE(decode_message(table, 4, damaged, symbols)) << bit;
  }
}

}  // namespace
}  // namespace runnel::codec
