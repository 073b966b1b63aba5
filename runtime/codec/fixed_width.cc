#include "runtime/codec/fixed_width.h"

#include <algorithm>

#include "runtime/base/instruction_set.h"
#include "runtime/codec/bit_reader.h"
#include "runtime/codec/bit_writer.h"
#ifdef RUNNEL_FAST_KERNELS
#include "runtime/codec/quantizer_fast.h"
#endif

namespace runnel::codec {
namespace {

constexpr size_t kGroupWords = 8;

// Widths as constants, so that the compiler sees whole shifts and loops.
template <uint32_t kWidth>
void pack_groups(int32_t offset, std::span<const int16_t> symbols, uint8_t* out) {
  constexpr size_t kGroup = 256 / kWidth;
  for (size_t group = 0; group + kGroup <= symbols.size(); group += kGroup) {
    uint32_t words[kGroupWords] = {};
    for (size_t k = 0; k < kGroup / kGroupWords; ++k) {
      for (size_t j = 0; j < kGroupWords; ++j) {
        const int32_t code = symbols[group + kGroupWords * k + j] + offset;
        words[j] |= static_cast<uint32_t>(code) << (kWidth * k);
      }
    }
    for (size_t j = 0; j < kGroupWords; ++j) store_le(out + 4 * j, words[j]);
    out += 4 * kGroupWords;
  }
}

template <uint32_t kWidth>
void unpack_groups(int32_t offset, const uint8_t* in, std::span<int16_t> symbols) {
  constexpr size_t kGroup = 256 / kWidth;
  constexpr uint32_t kMask = (1U << kWidth) - 1;
  for (size_t group = 0; group + kGroup <= symbols.size(); group += kGroup) {
    uint32_t words[kGroupWords];
    for (size_t j = 0; j < kGroupWords; ++j) words[j] = load_le<uint32_t>(in + 4 * j);
    in += 4 * kGroupWords;
    for (size_t k = 0; k < kGroup / kGroupWords; ++k) {
      for (size_t j = 0; j < kGroupWords; ++j) {
        const auto code = static_cast<int32_t>(words[j] >> (kWidth * k) & kMask);
        symbols[group + kGroupWords * k + j] = static_cast<int16_t>(code - offset);
      }
    }
  }
}

}  // namespace

void pack_fixed(uint32_t symbol_max, std::span<const int16_t> symbols, MutableByteView out) {
  const uint32_t width = fixed_width(symbol_max);
  const auto offset = static_cast<int32_t>(symbol_max);
  switch (width) {
    case 2:
      pack_groups<2>(offset, symbols, out.data());
      break;
    case 4:
      pack_groups<4>(offset, symbols, out.data());
      break;
    case 8:
      pack_groups<8>(offset, symbols, out.data());
      break;
    case 16:
      pack_groups<16>(offset, symbols, out.data());
      break;
    default:
      break;
  }
  const size_t group = fixed_group(width);
  const size_t grouped = group == 0 ? 0 : symbols.size() / group * group;
  BitWriter writer(out.subspan(grouped * width / 8));
  for (const int16_t symbol : symbols.subspan(grouped)) writer.put(static_cast<uint32_t>(symbol + offset), width);
  writer.finish();
}

Failure unpack_fixed(uint32_t symbol_max, ByteView in, std::span<int16_t> symbols) {
  const uint32_t width = fixed_width(symbol_max);
  const auto offset = static_cast<int32_t>(symbol_max);
  switch (width) {
    case 2:
      unpack_groups<2>(offset, in.data(), symbols);
      break;
    case 4:
      unpack_groups<4>(offset, in.data(), symbols);
      break;
    case 8:
      unpack_groups<8>(offset, in.data(), symbols);
      break;
    case 16:
      unpack_groups<16>(offset, in.data(), symbols);
      break;
    default:
      break;
  }
  const size_t group = fixed_group(width);
  const size_t grouped = group == 0 ? 0 : symbols.size() / group * group;
  BitReader reader(in.subspan(grouped * width / 8));
  for (int16_t& symbol : symbols.subspan(grouped)) {
    const auto code = static_cast<int32_t>(reader.peek32() >> (32 - width));
    reader.skip(width);
    symbol = static_cast<int16_t>(code - offset);
  }
  const auto padding_bits = static_cast<unsigned>(8 * in.size() - symbols.size() * width);
  if (padding_bits > 0 && reader.peek32() >> (32 - padding_bits) != 0) {
    return fail(Error::kMalformed, "padding is not zero");
  }
  // Of 16 bits, codes far beyond come out below the lowest symbol.
  int16_t largest = 0;
  int16_t smallest = 0;
  for (const int16_t symbol : symbols) {
    largest = std::max(largest, symbol);
    smallest = std::min(smallest, symbol);
  }
  if (largest <= offset && smallest >= -offset) return Error::kOk;
  const auto at =
      std::find_if(symbols.begin(), symbols.end(), [&](int16_t symbol) { return symbol > offset || symbol < -offset; });
  return fail(Error::kOutOfRange, "value %zu: level beyond %u", static_cast<size_t>(at - symbols.begin()), symbol_max);
}

void quantize_and_pack(const Quantizer& quantizer, float norm, std::span<const float> values,
                       std::span<const uint16_t> numbers, MutableByteView out) {
#ifdef RUNNEL_FAST_KERNELS
  const bool plain_norm = norm >= kPlainNormMin && norm <= kPlainNormMax;
  if (!use_reference() && plain_norm && !quantizer.exponential && fixed_width(quantizer.levels) == 4) {
    return quantize_nibbles_fast(quantizer.levels, norm, values, numbers, out.data());
  }
#endif
  const uint32_t width = fixed_width(quantizer.symbol_max());
  constexpr size_t kPiece = 512;
  int16_t symbols[kPiece];
  for (size_t first = 0; first < values.size(); first += kPiece) {
    const size_t count = std::min(kPiece, values.size() - first);
    const std::span<int16_t> piece(symbols, count);
    quantize(quantizer, norm, values.subspan(first, count), numbers.subspan(first, count), piece);
    pack_fixed(quantizer.symbol_max(), piece, out.subspan(first * width / 8));
  }
}

void count_nibbles(ByteView groups, std::span<uint32_t, 16> counts) {
#ifdef RUNNEL_FAST_KERNELS
  if (!use_reference()) return count_nibbles_fast(groups, counts);
#endif
  for (const uint8_t byte : groups) {
    ++counts[byte & 15U];
    ++counts[byte >> 4];
  }
}

}  // namespace runnel::codec
