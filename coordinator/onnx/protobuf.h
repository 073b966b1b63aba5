// Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding), as much of it as ONNX uses: a reader that
// walks the fields of one message where it lies, and a writer that appends them.
//
// Memory: the reader allocates nothing, so that what a file costs is decided by whoever keeps what it finds. Trust: the
// bytes may be anything; every length is checked against what is left.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/bytes.h"

namespace runnel::coordinator {

// for (ProtoReader reader(bytes); reader.next();) switch (reader.field()) ...; then ask ok().
class ProtoReader {
 public:
  explicit ProtoReader(ByteView message) : rest_(message) {}

  // Moves to the next field. False at the end, and at the first thing that is wrong.
  bool next();
  bool ok() const { return ok_; }
  uint32_t field() const { return field_; }

  // The field's value. Of another wire type: nothing, and the reader is not ok() and at its end.
  int64_t integer();
  float number();
  ByteView bytes();
  std::string_view text();
  // A repeated number stands alone or packed with others: calls `use` for each. False as above, or when `use` says so.
  template <typename Use>
  bool each_integer(Use use) {
    if (type_ != WireType::kBytes) return use(integer()) && ok_;
    ProtoReader packed(value_bytes_);
    while (!packed.rest_.empty()) {
      uint64_t value = 0;
      if (!packed.read_varint(value) || !use(static_cast<int64_t>(value))) return ok_ = false;
    }
    return true;
  }
  // Little-endian fp32: a single one, or as many as are packed; whole ones only.
  ByteView numbers();

 private:
  enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  bool read_varint(uint64_t& value);
  bool take(uint64_t count, ByteView& taken);
  bool stop() { return ok_ = false; }

  ByteView rest_;
  ByteView value_bytes_;  // of kBytes, kFixed32 and kFixed64
  uint64_t value_ = 0;    // of kVarint
  uint32_t field_ = 0;
  WireType type_ = WireType::kVarint;
  bool ok_ = true;
};

class ProtoWriter {
 public:
  void integer(uint32_t field, int64_t value);
  void number(uint32_t field, float value);
  void bytes(uint32_t field, ByteView value);
  void text(uint32_t field, std::string_view value);
  void message(uint32_t field, const ProtoWriter& inner) { bytes(field, inner.bytes_); }

  const std::vector<uint8_t>& written() const { return bytes_; }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  void tag(uint32_t field, uint32_t wire_type) { varint(uint64_t{field} << 3 | wire_type); }
  void varint(uint64_t value);

  std::vector<uint8_t> bytes_;
};

}  // namespace runnel::coordinator
