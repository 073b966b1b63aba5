#include "runtime/data/idx_header.h"

#include <algorithm>

#include "runtime/plan/model_spec.h"

namespace runnel::data {
namespace {

constexpr uint8_t kTypeF64 = 0x0E;

uint32_t load_be32(const uint8_t* from) {
  return uint32_t{from[0]} << 24 | uint32_t{from[1]} << 16 | uint32_t{from[2]} << 8 | uint32_t{from[3]};
}

bool known_type(uint8_t type) {
  switch (static_cast<ElementType>(type)) {
    case ElementType::kU8:
    case ElementType::kI8:
    case ElementType::kI16:
    case ElementType::kI32:
    case ElementType::kF32:
      return true;
  }
  return false;
}

}  // namespace

Result<size_t> idx_header_bytes(ByteView prefix) {
  if (prefix.size() < kIdxPrefixBytes) {
    return fail(Error::kTruncated, "%zu bytes where an IDX header begins with %zu", prefix.size(), kIdxPrefixBytes);
  }
  if (prefix[0] != 0 || prefix[1] != 0) {
    return fail(Error::kMalformed, "not an IDX file: it begins with the bytes %02x %02x, not 00 00", prefix[0],
                prefix[1]);
  }
  if (!known_type(prefix[2])) {
    return fail(Error::kUnsupported,
                "IDX type byte 0x%02x%s; supported are 08 (u8), 09 (i8), 0B (i16), 0C (i32), 0D (f32)", prefix[2],
                prefix[2] == kTypeF64 ? " (f64)" : "");
  }
  if (prefix[3] == 0 || prefix[3] > kIdxDimensionsMax) {
    return fail(Error::kMalformed, "IDX header with %u dimensions; 1 to %u are possible", prefix[3], kIdxDimensionsMax);
  }
  return kIdxPrefixBytes + size_t{4} * prefix[3];
}

Result<IdxHeader> parse_idx_header(ByteView bytes) {
  const Result<size_t> header_bytes = idx_header_bytes(bytes);
  if (!header_bytes.ok()) return header_bytes.failure();
  if (bytes.size() < *header_bytes) {
    return fail(Error::kTruncated, "%zu bytes where the IDX header has %zu", bytes.size(), *header_bytes);
  }
  IdxHeader header;
  header.type = static_cast<ElementType>(bytes[2]);
  uint64_t row_values = 1;
  uint64_t values = 1;
  for (uint32_t i = 0; i < bytes[3]; ++i) {
    const uint32_t dimension = load_be32(bytes.data() + kIdxPrefixBytes + size_t{4} * i);
    if (dimension == 0) return fail(Error::kOutOfRange, "IDX dimension %u is 0: there is no data", i);
    // Both products stay far below 2^64: each was checked against its limit before this multiplication by less than
    // 2^32.
    values *= dimension;
    if (i > 0) row_values *= dimension;
    if (values > kIdxValuesMax) {
      return fail(Error::kLimit, "IDX dimensions 0 to %u hold %llu values; at most %llu are read", i,
                  static_cast<unsigned long long>(values), static_cast<unsigned long long>(kIdxValuesMax));
    }
    if (row_values > plan::kDimensionMax) {
      return fail(Error::kLimit, "one IDX row holds %llu values or more; at most %u are read",
                  static_cast<unsigned long long>(row_values), plan::kDimensionMax);
    }
    if (!header.dimensions.push_back(dimension)) return Error::kLimit;
  }
  header.row_values = static_cast<uint32_t>(row_values);
  return header;
}

void idx_to_native(ElementType type, MutableByteView values) {
  const size_t bytes = element_bytes(type);
  RUNNEL_ASSERT(values.size() % bytes == 0);
  if (bytes == 1) return;
  for (size_t at = 0; at < values.size(); at += bytes) {
    std::reverse(values.begin() + static_cast<ptrdiff_t>(at), values.begin() + static_cast<ptrdiff_t>(at + bytes));
  }
}

}  // namespace runnel::data
