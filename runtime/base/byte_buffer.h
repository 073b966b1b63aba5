// Bytes with one owner. Unlike a vector's, its memory is taken without being written to, and to find too little of it
// is a failure; so a message of announced length costs pages only as it arrives, and then moves on without a copy.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <new>
#include <utility>

#include "runtime/base/bytes.h"

namespace runnel {

class ByteBuffer {
 public:
  ByteBuffer() = default;
  explicit ByteBuffer(ByteView bytes) {
    if (allocate(bytes.size())) std::copy(bytes.begin(), bytes.end(), bytes_.get());
  }
  ByteBuffer(std::initializer_list<uint8_t> bytes) : ByteBuffer(ByteView(bytes.begin(), bytes.size())) {}
  ByteBuffer(const ByteBuffer& other) : ByteBuffer(ByteView(other)) {}
  ByteBuffer(ByteBuffer&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, size_t{0})) {}
  ByteBuffer& operator=(ByteBuffer other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~ByteBuffer() = default;

  // Takes `bytes` bytes, whose values are whatever was there. False, and empty, if there is no room.
  bool allocate(size_t bytes) {
    bytes_.reset(bytes == 0 ? nullptr : new (std::nothrow) uint8_t[bytes]);
    size_ = bytes_ == nullptr ? 0 : bytes;
    return size_ == bytes;
  }

  // Aligned as operator new aligns.
  uint8_t* data() { return bytes_.get(); }
  const uint8_t* data() const { return bytes_.get(); }
  uint8_t* begin() { return data(); }
  uint8_t* end() { return data() + size_; }
  const uint8_t* begin() const { return data(); }
  const uint8_t* end() const { return data() + size_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  friend bool operator==(const ByteBuffer& a, const ByteBuffer& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  size_t size_ = 0;
};

}  // namespace runnel
