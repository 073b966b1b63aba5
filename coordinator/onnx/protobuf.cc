#include "coordinator/onnx/protobuf.h"

namespace runnel::coordinator {

bool ProtoReader::read_varint(uint64_t& value) {
  value = 0;
  for (uint32_t shift = 0; shift < 64; shift += 7) {
    if (rest_.empty()) return stop();
    const uint8_t byte = rest_.front();
    rest_ = rest_.subspan(1);
    if (shift == 63 && byte > 1) return stop();
    value |= uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return true;
  }
  return stop();
}

bool ProtoReader::take(uint64_t count, ByteView& taken) {
  if (count > rest_.size()) return stop();
  taken = rest_.first(static_cast<size_t>(count));
  rest_ = rest_.subspan(static_cast<size_t>(count));
  return true;
}

bool ProtoReader::next() {
  if (!ok_ || rest_.empty()) return false;
  uint64_t tag = 0;
  if (!read_varint(tag)) return false;
  if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) return stop();
  field_ = static_cast<uint32_t>(tag >> 3);
  value_bytes_ = {};
  switch (tag & 7) {
    case 0:
      type_ = WireType::kVarint;
      return read_varint(value_);
    case 1:
      type_ = WireType::kFixed64;
      return take(8, value_bytes_);
    case 2: {
      type_ = WireType::kBytes;
      uint64_t count = 0;
      return read_varint(count) && take(count, value_bytes_);
    }
    case 5:
      type_ = WireType::kFixed32;
      return take(4, value_bytes_);
    default:  // groups, which nobody has written since 2008, and what never was
      return stop();
  }
}

int64_t ProtoReader::integer() {
  if (type_ == WireType::kVarint) return static_cast<int64_t>(value_);
  stop();
  return 0;
}

float ProtoReader::number() {
  if (type_ == WireType::kFixed32) return load_le<float>(value_bytes_.data());
  stop();
  return 0.0F;
}

ByteView ProtoReader::bytes() {
  if (type_ == WireType::kBytes) return value_bytes_;
  stop();
  return {};
}

std::string_view ProtoReader::text() {
  const ByteView view = bytes();
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

ByteView ProtoReader::numbers() {
  const bool whole = type_ == WireType::kFixed32 || (type_ == WireType::kBytes && value_bytes_.size() % 4 == 0);
  if (whole) return value_bytes_;
  stop();
  return {};
}

void ProtoWriter::varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<uint8_t>(value | 0x80));
  bytes_.push_back(static_cast<uint8_t>(value));
}

void ProtoWriter::integer(uint32_t field, int64_t value) {
  tag(field, 0);
  varint(static_cast<uint64_t>(value));
}

void ProtoWriter::number(uint32_t field, float value) {
  tag(field, 5);
  bytes_.resize(bytes_.size() + 4);
  store_le(bytes_.data() + bytes_.size() - 4, value);
}

void ProtoWriter::bytes(uint32_t field, ByteView value) {
  tag(field, 2);
  varint(value.size());
  bytes_.insert(bytes_.end(), value.begin(), value.end());
}

void ProtoWriter::text(uint32_t field, std::string_view value) {
  bytes(field, {reinterpret_cast<const uint8_t*>(value.data()), value.size()});
}

}  // namespace runnel::coordinator
