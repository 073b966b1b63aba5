// Order-0 range asymmetric numeral system (Duda 2013; Giesen 2014) over symbols of one byte, in several interleaved
// states so that neither direction waits for one state's chain of arithmetic.
//
// Frequencies are of 2^12. A state x lives in [2^15, 2^31) and gives or takes 16 bits at a time:
//   encode a symbol with frequency f and start c:   while x >= f 2^19: put the low 16 bits, x >>= 16
//                                                   x = (x / f) 2^12 + c + x mod f
//   decode:   slot = x mod 2^12 lies in one symbol's range;  x = f (x >> 12) + slot - c;  if x < 2^15: x = x 2^16 +
//   word
// Symbol i of a piece belongs to state i mod `states`; every piece begins again with state 0. The encoder runs
// backwards, over the pieces from the last to the first and each from its end, and writes downwards from the end of its
// buffer; the decoder reads upwards: the states as 32 bits each, state 0 first, then 16-bit words, all little-endian.
// The encoder begins with every state 2^15, so a decoder that has read everything must end there.
//
// Trust: the decoder takes anyone's table and bytes; behind the last word there are zeros, and finished() is then
// false. Memory: the caller's; a decoder is 5 KiB. Threads: one at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::codec {

inline constexpr unsigned kRansBits = 12;
inline constexpr uint32_t kRansTotal = 1U << kRansBits;
inline constexpr uint32_t kRansLow = 1U << 15;
inline constexpr size_t kRansSymbolsMax = 256;
inline constexpr size_t kRansStatesMax = 32;
// With this many states and at most so many symbols there are vector kernels.
inline constexpr size_t kRansFewSymbols = 16;

struct RansTable {
  uint32_t symbols = 0;                               // 1..256
  std::array<uint16_t, kRansSymbolsMax> frequency{};  // their sum is 4096
  std::array<uint16_t, kRansSymbolsMax> start{};      // sum of the frequencies before
};

// Scales counts to 2^12: no symbol that occurs gets 0, and the code of these counts is as short as single steps can
// make it. The same counts give the same table everywhere. REQUIRES: 1..256 counts below 2^32, not all zero.
RansTable make_rans_table(std::span<const uint32_t> counts);

// Length of these counts' code in bits with 2^-16 resolution, without the states. REQUIRES: no count without frequency.
double rans_bits(const RansTable& table, std::span<const uint32_t> counts);

// Bytes of a table; at most 2 for each symbol.
size_t rans_table_bytes(const RansTable& table);
// Frequencies in order, 7 bits a byte, low bits first, a high bit where another byte follows; the last one is what is
// left of 4096 and not written. Returns the bytes. REQUIRES: room for rans_table_bytes().
size_t put_rans_table(const RansTable& table, MutableByteView out);
// Takes a table of `symbols` off the front of `bytes`. kTruncated, or kMalformed unless it is what put_rans_table makes
// and the first and last symbol have a frequency.
Result<RansTable> take_rans_table(uint32_t symbols, ByteView& bytes);

// How many states this project uses: what a state costs at the end must not matter.
constexpr size_t rans_states(uint64_t count, size_t symbols) {
  if (count < 2048) return 1;
  return count < 32768 || symbols > kRansFewSymbols ? 4 : kRansStatesMax;
}

class RansEncoder {
 public:
  // Writes into `out` from its end; `table` is borrowed.
  RansEncoder(const RansTable& table, size_t states, MutableByteView out);

  // Prepends a piece. False if `out` cannot be sure to hold it; then the encoder is spent.
  // REQUIRES: symbols that have a frequency.
  bool put(std::span<const uint8_t> symbols);

  // The same for a piece of groups of 64 symbols, each a nibble counted from `first_code`, as fixed_width.h lays them
  // out. REQUIRES: at most 4096 symbols, at most 16 different.
  bool put_groups(uint32_t first_code, ByteView groups);

  // Bytes of `out` that the code has not reached; up to 16 of them right below it may have been written to.
  size_t room() const { return static_cast<size_t>(next_ - begin_); }

  // Prepends the states and returns how many bytes at the end of `out` are the code; 0 if they do not fit.
  size_t finish();

 private:
  const RansTable& table_;
  size_t states_;
  uint8_t* begin_;
  uint8_t* next_;  // the lowest byte written
  uint8_t* end_;
  alignas(64) std::array<uint32_t, kRansStatesMax> state_;
};

class RansDecoder {
 public:
  RansDecoder(const RansTable& table, size_t states, ByteView bytes);

  // The next piece, of symbols.size() symbols.
  void take(std::span<uint8_t> symbols);

  // The next piece as values: symbol k of value i is tables[16 (i / table_count) + k]. With `add` they are added to
  // what is there. REQUIRES: at most 16 symbols; table_count is a multiple of 32; a table for every value.
  void take_values(std::span<const float> tables, size_t table_count, std::span<float> values, bool add);

  // True if all bytes were used, none was missing, and the states are those that an encoder begins with.
  bool finished() const;
  // More was taken than there was.
  bool overrun() const { return overrun_; }

 private:
  uint32_t next_word();
  // One step of a state: its symbol.
  uint8_t take_from(size_t lane);
  // Whole rows that the vector kernels may take: their words and a vector's width beyond are surely there.
  size_t safe_rows() const;

  size_t states_;
  const uint8_t* next_;
  const uint8_t* end_;
  bool overrun_ = false;
  bool malformed_ = false;
  alignas(64) std::array<uint32_t, kRansStatesMax> state_;
  RansTable table_;
  std::array<uint8_t, kRansTotal> symbol_of_slot_;
};

}  // namespace runnel::codec
