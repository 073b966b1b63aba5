// The Elias code of one bucket's symbols (Alistarh et al. 2017, section 3): a dense and a sparse form, and the shorter
// one is taken. The bits, most significant first:
//
//   code    = 0 dense | 1 sparse                            # dense if they tie
//   dense   = level{values in the bucket}
//   level   = omega(z + 1), then sign if z > 0              # z = |symbol|
//   sparse  = omega(nonzero + 1) entry{nonzero}             # nonzero = how many z > 0 there are
//   entry   = omega(gap) sign omega(z)                      # gap from the entry before; the first counts from -1
//   sign    = 1 for negative
//
// The paper leaves open how a sparse code ends; here the number of entries comes first.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/error.h"
#include "runtime/codec/bit_reader.h"
#include "runtime/codec/bit_writer.h"
#include "runtime/codec/quantizer.h"

namespace runnel::codec {

// The length of one bucket's code in either form, in bits and without the bit that tells the forms apart. Symbols are
// added in order, in as many pieces as the caller likes.
class EliasLength {
 public:
  void add(std::span<const int16_t> symbols);
  uint64_t dense_bits() const { return dense_bits_; }
  uint64_t sparse_bits() const;
  uint32_t nonzero_count() const { return nonzero_count_; }
  bool sparse_is_shorter() const { return sparse_bits() < dense_bits(); }
  // Of the code, with the bit in front.
  uint64_t bits() const { return 1 + (sparse_is_shorter() ? sparse_bits() : dense_bits()); }

 private:
  uint64_t dense_bits_ = 0;
  uint64_t entry_bits_ = 0;
  uint32_t nonzero_count_ = 0;
  uint32_t gap_ = 1;  // of the next coordinate, should it be nonzero
};

// Writes a bucket whose length is known, in the pieces that its symbols come in.
class EliasWriter {
 public:
  EliasWriter(BitWriter& writer, const EliasLength& length);
  void put(std::span<const int16_t> symbols);

 private:
  BitWriter& writer_;
  bool sparse_;
  uint32_t gap_ = 1;
};

// The values of one bucket. Takes time O(values). The reader may have run off its end afterwards, whatever is returned.
Failure take_elias(BitReader& reader, uint32_t symbol_max, const LevelValues& level_values, std::span<float> values);

}  // namespace runnel::codec
