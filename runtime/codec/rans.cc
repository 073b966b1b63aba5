#include "runtime/codec/rans.h"

#include <algorithm>
#include <bit>

#include "runtime/base/instruction_set.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/codec/rans_fast.h"
#endif

namespace runnel::codec {
namespace {

// log2(value) in units of 2^-16, rounded down, by squaring: the same on every machine. REQUIRES: value >= 1.
uint32_t log2_fixed(uint32_t value) {
  const auto whole = static_cast<uint32_t>(std::bit_width(value | 1) - 1);
  uint64_t x = (uint64_t{value} << 31) >> whole;  // in [2^31, 2^32)
  uint32_t result = whole;
  for (int i = 0; i < 16; ++i) {
    x = (x * x) >> 31;
    const uint64_t bit = x >> 32;
    x >>= bit;
    result = (result << 1) | static_cast<uint32_t>(bit);
  }
  return result;
}

void fill_starts(RansTable& table) {
  uint32_t start = 0;
  for (uint32_t k = 0; k < table.symbols; ++k) {
    table.start[k] = static_cast<uint16_t>(start);
    start += table.frequency[k];
  }
}

}  // namespace

RansTable make_rans_table(std::span<const uint32_t> counts) {
  RUNNEL_ASSERT(!counts.empty() && counts.size() <= kRansSymbolsMax);
  RansTable table;
  table.symbols = static_cast<uint32_t>(counts.size());
  uint64_t total = 0;
  for (const uint32_t count : counts) total += count;
  RUNNEL_ASSERT(total > 0);
  int32_t left = kRansTotal;
  for (size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0) continue;
    const uint64_t scaled = (uint64_t{counts[k]} * kRansTotal + total / 2) / total;
    table.frequency[k] = static_cast<uint16_t>(std::max<uint64_t>(scaled, 1));
    left -= table.frequency[k];
  }
  // One more slot shortens a symbol's code by about count / (frequency + 1/2); one less lengthens it by as much.
  for (; left != 0; left += left > 0 ? -1 : 1) {
    const bool more = left > 0;
    size_t best = counts.size();
    for (size_t k = 0; k < counts.size(); ++k) {
      if (counts[k] == 0 || (!more && table.frequency[k] < 2)) continue;
      if (best == counts.size()) {
        best = k;
        continue;
      }
      const int half = more ? 1 : -1;
      const uint64_t gain = uint64_t{counts[k]} * static_cast<uint64_t>(2 * table.frequency[best] + half);
      const uint64_t best_gain = uint64_t{counts[best]} * static_cast<uint64_t>(2 * table.frequency[k] + half);
      if (more ? gain > best_gain : gain < best_gain) best = k;
    }
    table.frequency[best] = static_cast<uint16_t>(table.frequency[best] + (more ? 1 : -1));
  }
  fill_starts(table);
  return table;
}

double rans_bits(const RansTable& table, std::span<const uint32_t> counts) {
  uint64_t sum = 0;
  for (size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0) continue;
    sum += uint64_t{counts[k]} * ((kRansBits << 16) - log2_fixed(table.frequency[k]));
  }
  return static_cast<double>(sum) / 65536.0;
}

size_t rans_table_bytes(const RansTable& table) {
  size_t bytes = 0;
  for (uint32_t k = 0; k + 1 < table.symbols; ++k) bytes += table.frequency[k] < 128 ? 1 : 2;
  return bytes;
}

size_t put_rans_table(const RansTable& table, MutableByteView out) {
  size_t used = 0;
  for (uint32_t k = 0; k + 1 < table.symbols; ++k) {
    const uint32_t frequency = table.frequency[k];
    if (frequency >= 128) out[used++] = static_cast<uint8_t>(frequency | 128U);
    out[used++] = static_cast<uint8_t>(frequency >= 128 ? frequency >> 7 : frequency);
  }
  return used;
}

Result<RansTable> take_rans_table(uint32_t symbols, ByteView& bytes) {
  if (symbols == 0 || symbols > kRansSymbolsMax) return fail(Error::kMalformed, "a table of %u symbols", symbols);
  RansTable table;
  table.symbols = symbols;
  uint32_t sum = 0;
  for (uint32_t k = 0; k + 1 < symbols; ++k) {
    if (bytes.empty()) return fail(Error::kTruncated, "payload ends inside the frequencies");
    uint32_t frequency = bytes[0];
    bytes = bytes.subspan(1);
    if (frequency >= 128) {
      if (bytes.empty()) return fail(Error::kTruncated, "payload ends inside the frequencies");
      const uint32_t high = bytes[0];
      bytes = bytes.subspan(1);
      if (high == 0 || high >= 32) return fail(Error::kMalformed, "frequency of symbol %u is malformed", k);
      frequency = (frequency & 127U) | high << 7;
    }
    table.frequency[k] = static_cast<uint16_t>(frequency);
    sum += frequency;
    if (sum >= kRansTotal) return fail(Error::kMalformed, "frequencies beyond %u", kRansTotal);
  }
  table.frequency[symbols - 1] = static_cast<uint16_t>(kRansTotal - sum);
  if (table.frequency[0] == 0) return fail(Error::kMalformed, "the first symbol has no frequency");
  fill_starts(table);
  return table;
}

RansEncoder::RansEncoder(const RansTable& table, size_t states, MutableByteView out)
    : table_(table), states_(states), begin_(out.data()), next_(out.data() + out.size()), end_(next_) {
  RUNNEL_ASSERT(states >= 1 && states <= kRansStatesMax);
  state_.fill(kRansLow);
}

bool RansEncoder::put(std::span<const uint8_t> symbols) {
  size_t left = symbols.size();
  size_t lane = left % states_;
#ifdef RUNNEL_FAST_KERNELS
  const bool fast = !use_reference() && states_ == kRansStatesMax && table_.symbols <= kRansFewSymbols;
#endif
  while (left > 0) {
#ifdef RUNNEL_FAST_KERNELS
    if (fast && lane == 0) {
      // Whole rows of states, as many as surely fit.
      const auto room = static_cast<size_t>(next_ - begin_);
      const size_t safe_rows = room < 96 ? 0 : (room - 32) / (2 * kRansStatesMax);
      const size_t rows = std::min(safe_rows, left / kRansStatesMax);
      if (rows > 0) {
        const size_t taken = rows * kRansStatesMax;
        next_ = rans_encode_fast(table_, symbols.subspan(left - taken, taken), state_.data(), next_);
        left -= taken;
        continue;
      }
    }
#endif
    lane = lane == 0 ? states_ - 1 : lane - 1;
    const uint8_t symbol = symbols[--left];
    const uint32_t frequency = table_.frequency[symbol];
    uint32_t x = state_[lane];
    if (x >= frequency << 19) {
      if (next_ - begin_ < 2) return false;
      next_ -= 2;
      store_le(next_, static_cast<uint16_t>(x));
      x >>= 16;
    }
    state_[lane] = x + x / frequency * (kRansTotal - frequency) + table_.start[symbol];
  }
  return true;
}

bool RansEncoder::put_groups(uint32_t first_code, ByteView groups) {
  constexpr size_t kGroupBytes = 32;
  constexpr size_t kSymbolsMax = 4096;
  const size_t count = 2 * groups.size();
  RUNNEL_ASSERT(groups.size() % kGroupBytes == 0 && count <= kSymbolsMax);
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference() && states_ == kRansStatesMax && table_.symbols <= kRansFewSymbols && room() >= 2 * count + 32) {
    next_ = rans_encode_groups_fast(table_, first_code, groups, state_.data(), next_);
    return true;
  }
#endif
  std::array<uint8_t, kSymbolsMax> symbols;
  for (size_t i = 0; i < count; i += 2 * kGroupBytes) {
    for (size_t j = 0; j < 8; ++j) {
      const auto word = load_le<uint32_t>(groups.data() + i / 2 + 4 * j);
      for (size_t k = 0; k < 8; ++k) {
        symbols[i + 8 * k + j] = static_cast<uint8_t>((word >> (4 * k) & 15) - first_code);
      }
    }
  }
  return put(std::span(symbols).first(count));
}

size_t RansEncoder::finish() {
  if (next_ - begin_ < static_cast<std::ptrdiff_t>(4 * states_)) return 0;
  for (size_t lane = states_; lane > 0; --lane) {
    next_ -= 4;
    store_le(next_, state_[lane - 1]);
  }
  return static_cast<size_t>(end_ - next_);
}

RansDecoder::RansDecoder(const RansTable& table, size_t states, ByteView bytes)
    : states_(states), next_(bytes.data()), end_(bytes.data() + bytes.size()), table_(table) {
  RUNNEL_ASSERT(states >= 1 && states <= kRansStatesMax);
  for (size_t lane = 0; lane < states; ++lane) {
    const uint32_t low = next_word();
    state_[lane] = low | next_word() << 16;
    // A state that no encoder leaves behind; the arithmetic still needs one in range.
    if (state_[lane] < kRansLow || state_[lane] >= 1U << 31) {
      state_[lane] = kRansLow;
      malformed_ = true;
    }
  }
  for (uint32_t k = 0; k < table.symbols; ++k) {
    std::fill_n(symbol_of_slot_.begin() + table.start[k], table.frequency[k], static_cast<uint8_t>(k));
  }
}

uint32_t RansDecoder::next_word() {
  if (end_ - next_ < 2) {
    overrun_ = true;
    return 0;
  }
  const auto word = load_le<uint16_t>(next_);
  next_ += 2;
  return word;
}

uint8_t RansDecoder::take_from(size_t lane) {
  uint32_t x = state_[lane];
  const uint32_t slot = x % kRansTotal;
  const uint8_t symbol = symbol_of_slot_[slot];
  x = table_.frequency[symbol] * (x >> kRansBits) + slot - table_.start[symbol];
  if (x < kRansLow) x = x << 16 | next_word();
  state_[lane] = x;
  return symbol;
}

size_t RansDecoder::safe_rows() const {
  const auto left = static_cast<size_t>(end_ - next_);
  return left < 96 ? 0 : (left - 32) / (2 * kRansStatesMax);
}

void RansDecoder::take(std::span<uint8_t> symbols) {
  size_t i = 0;
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference() && states_ == kRansStatesMax && table_.symbols <= kRansFewSymbols) {
    while (const size_t rows = std::min(safe_rows(), (symbols.size() - i) / kRansStatesMax)) {
      next_ = rans_decode_fast(table_, state_.data(), next_, symbols.subspan(i, rows * kRansStatesMax));
      i += rows * kRansStatesMax;
    }
  }
#endif
  size_t lane = i % states_;
  for (; i < symbols.size(); ++i) {
    symbols[i] = take_from(lane);
    lane = lane + 1 == states_ ? 0 : lane + 1;
  }
}

void RansDecoder::take_values(std::span<const float> tables, size_t table_count, std::span<float> values, bool add) {
  RUNNEL_ASSERT(table_.symbols <= kRansFewSymbols && table_count % kRansStatesMax == 0);
  size_t i = 0;
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference() && states_ == kRansStatesMax) {
    while (const size_t rows = std::min(safe_rows(), (values.size() - i) / kRansStatesMax)) {
      const size_t left_in_table = (table_count - i % table_count) / kRansStatesMax;
      const RansRows request = {tables.data() + kRansFewSymbols * (i / table_count),
                                left_in_table,
                                table_count / kRansStatesMax,
                                rows,
                                values.data() + i,
                                add};
      next_ = rans_decode_values_fast(table_, state_.data(), next_, request);
      i += rows * kRansStatesMax;
    }
  }
#endif
  size_t lane = i % states_;
  for (; i < values.size(); ++i) {
    const float value = tables[kRansFewSymbols * (i / table_count) + take_from(lane)];
    values[i] = add ? values[i] + value : value;
    lane = lane + 1 == states_ ? 0 : lane + 1;
  }
}

bool RansDecoder::finished() const {
  if (overrun_ || malformed_ || next_ != end_) return false;
  return std::all_of(state_.begin(), state_.begin() + static_cast<std::ptrdiff_t>(states_),
                     [](uint32_t x) { return x == kRansLow; });
}

}  // namespace runnel::codec
