#include "runtime/codec/elias_bucket.h"

#include <algorithm>
#include <cstdlib>

#include "runtime/codec/elias_omega.h"

namespace runnel::codec {
namespace {

uint32_t level_of(int16_t symbol) {
  return static_cast<uint32_t>(symbol < 0 ? -symbol : symbol);
}

Failure take_dense(BitReader& reader, uint32_t symbol_max, const LevelValues& level_values, std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t code = take_omega(reader);
    if (code == 0 || code - 1 > symbol_max) {
      return fail(Error::kOutOfRange, "value %zu: level beyond %u", i, symbol_max);
    }
    const auto level = static_cast<int32_t>(code - 1);
    values[i] = level == 0 ? 0.0F : level_values(reader.bit() != 0 ? -level : level);
  }
  return Error::kOk;
}

Failure take_sparse(BitReader& reader, uint32_t symbol_max, const LevelValues& level_values, std::span<float> values) {
  std::fill(values.begin(), values.end(), 0.0F);
  const uint32_t code = take_omega(reader);
  if (code == 0 || code - 1 > values.size()) {
    return fail(Error::kMalformed, "more nonzero values than the bucket's %zu", values.size());
  }
  size_t next = 0;  // the first position that a gap of 1 leads to
  for (uint32_t left = code - 1; left > 0; --left) {
    const uint32_t gap = take_omega(reader);
    if (gap == 0 || gap > values.size() - next) return fail(Error::kMalformed, "a gap leads out of the bucket");
    const size_t at = next + gap - 1;
    const bool negative = reader.bit() != 0;
    const uint32_t level = take_omega(reader);
    if (level == 0 || level > symbol_max) {
      return fail(Error::kOutOfRange, "value %zu: level beyond %u", at, symbol_max);
    }
    values[at] = level_values(negative ? -static_cast<int32_t>(level) : static_cast<int32_t>(level));
    next = at + 1;
  }
  return Error::kOk;
}

}  // namespace

void EliasLength::add(std::span<const int16_t> symbols) {
  uint64_t dense_bits = 0;
  uint64_t entry_bits = 0;
  uint32_t nonzero_count = 0;
  uint32_t gap = gap_;
  for (const int16_t symbol : symbols) {
    const uint32_t level = level_of(symbol);
    dense_bits += omega_length(level + 1);
    if (level > 0) {
      entry_bits += omega_length(gap) + omega_length(level);
      ++nonzero_count;
      gap = 0;
    }
    ++gap;
  }
  dense_bits_ += dense_bits + nonzero_count;
  entry_bits_ += entry_bits + nonzero_count;
  nonzero_count_ += nonzero_count;
  gap_ = gap;
}

uint64_t EliasLength::sparse_bits() const {
  return omega_length(nonzero_count_ + 1) + entry_bits_;
}

EliasWriter::EliasWriter(BitWriter& writer, const EliasLength& length)
    : writer_(writer), sparse_(length.sparse_is_shorter()) {
  writer_.put(sparse_ ? 1 : 0, 1);
  if (sparse_) put_omega(writer_, length.nonzero_count() + 1);
}

void EliasWriter::put(std::span<const int16_t> symbols) {
  if (!sparse_) {
    for (const int16_t symbol : symbols) {
      const OmegaCode code = omega_code(level_of(symbol) + 1);
      const unsigned signed_bits = symbol != 0 ? 1 : 0;
      writer_.put((code.bits << signed_bits) | (symbol < 0 ? 1U : 0U), code.length + signed_bits);
    }
    return;
  }
  for (const int16_t symbol : symbols) {
    if (symbol != 0) {
      put_omega(writer_, gap_);
      const OmegaCode code = omega_code(level_of(symbol));
      writer_.put((symbol < 0 ? 1U << code.length : 0U) | code.bits, code.length + 1);
      gap_ = 0;
    }
    ++gap_;
  }
}

Failure take_elias(BitReader& reader, uint32_t symbol_max, const LevelValues& level_values, std::span<float> values) {
  return reader.bit() == 0 ? take_dense(reader, symbol_max, level_values, values)
                           : take_sparse(reader, symbol_max, level_values, values);
}

}  // namespace runnel::codec
