// How one stored value is represented. The numbers are the IDX format's type bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace runnel::data {

enum class ElementType : uint8_t {
  kU8 = 0x08,
  kI8 = 0x09,
  kI16 = 0x0B,
  kI32 = 0x0C,
  kF32 = 0x0D,
};

constexpr size_t element_bytes(ElementType type) {
  switch (type) {
    case ElementType::kU8:
    case ElementType::kI8:
      return 1;
    case ElementType::kI16:
      return 2;
    case ElementType::kI32:
    case ElementType::kF32:
      return 4;
  }
  return 4;
}

// "u8", "i16" and so on; never null.
constexpr const char* element_name(ElementType type) {
  switch (type) {
    case ElementType::kU8:
      return "u8";
    case ElementType::kI8:
      return "i8";
    case ElementType::kI16:
      return "i16";
    case ElementType::kI32:
      return "i32";
    case ElementType::kF32:
      return "f32";
  }
  return "unknown";
}

}  // namespace runnel::data
