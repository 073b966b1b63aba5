// FlatBuffers over a block of memory that is given, not allocated.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"

namespace runnel::wire {

// Hands out the block once. Asking for more means that the caller's size bound was wrong: our own bug.
class BlockAllocator final : public flatbuffers::Allocator {
 public:
  explicit BlockAllocator(MutableByteView block) : block_(block) {}
  uint8_t* allocate(size_t bytes) override {
    RUNNEL_ASSERT(bytes <= block_.size());
    return block_.data();
  }
  void deallocate(uint8_t*, size_t) override {}
  uint8_t* reallocate_downward(uint8_t*, size_t, size_t, size_t, size_t) override {
    assertion_failed("a message outgrew the bound given for it", __FILE__, __LINE__);
  }

 private:
  MutableByteView block_;
};

// Verifier options for frames of one level of nesting.
inline constexpr flatbuffers::uoffset_t kDepthMax = 16;
inline constexpr flatbuffers::uoffset_t kTablesMax = 1024;

inline std::string_view text_of(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view{} : std::string_view{text->c_str(), text->size()};
}

inline ByteView bytes_of(const flatbuffers::Vector<uint8_t>* bytes) {
  return bytes == nullptr ? ByteView{} : ByteView{bytes->data(), bytes->size()};
}

}  // namespace runnel::wire
