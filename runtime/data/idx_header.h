// The head of an IDX file (the MNIST container): bytes `00 00 type ndim`, then `ndim` big-endian uint32 dimensions,
// then the values, row-major and big-endian. The first dimension counts rows.
//
// Trust: the bytes are anybody's. Whatever they are, the answer is a header within the limits below or a Failure.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/base/static_vector.h"
#include "runtime/data/element_type.h"

namespace runnel::data {

inline constexpr size_t kIdxPrefixBytes = 4;  // up to and including ndim
inline constexpr uint32_t kIdxDimensionsMax = 8;
inline constexpr size_t kIdxHeaderBytesMax = kIdxPrefixBytes + size_t{4} * kIdxDimensionsMax;
inline constexpr uint64_t kIdxValuesMax = uint64_t{1} << 31;  // of a whole file

struct IdxHeader {
  ElementType type = ElementType::kU8;
  StaticVector<uint32_t, kIdxDimensionsMax> dimensions;  // each > 0, their product <= kIdxValuesMax
  uint32_t row_values = 1;                               // product of all dimensions but the first

  uint32_t rows() const { return dimensions[0]; }
  size_t row_bytes() const { return size_t{row_values} * element_bytes(type); }
};

// How many bytes the header has, from its first kIdxPrefixBytes. Fails with kMalformed (not an IDX file, or an
// impossible number of dimensions), kUnsupported (an element type that is not read here) or kTruncated.
Result<size_t> idx_header_bytes(ByteView prefix);

// The header at the front of `bytes`; what follows it is not looked at. Fails like idx_header_bytes, and with
// kOutOfRange for a dimension of 0 and kLimit for too many values.
Result<IdxHeader> parse_idx_header(ByteView bytes);

// Turns a run of big-endian elements into the processor's byte order, in place. REQUIRES: whole elements.
void idx_to_native(ElementType type, MutableByteView values);

}  // namespace runnel::data
