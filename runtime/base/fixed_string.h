// A short text inside the object: no heap, always terminated.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace runnel {

template <size_t kCapacity>
class FixedString {
 public:
  FixedString() = default;

  // False, and unchanged, when the text does not fit.
  [[nodiscard]] bool assign(std::string_view text) {
    if (text.size() > kCapacity) return false;
    // An empty view may have no data at all, and `text` may be a part of what stands here.
    if (!text.empty()) std::memmove(text_, text.data(), text.size());
    text_[text.size()] = '\0';
    size_ = text.size();
    return true;
  }

  const char* c_str() const { return text_; }
  std::string_view view() const { return {text_, size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  static constexpr size_t capacity() { return kCapacity; }
  friend bool operator==(const FixedString& a, const FixedString& b) { return a.view() == b.view(); }

 private:
  char text_[kCapacity + 1] = {};
  size_t size_ = 0;
};

}  // namespace runnel
