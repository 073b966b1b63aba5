// A journal's whole contents as a std::map, for comparing it with what it should hold.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "runtime/journal/journal.h"
#include "tests/unit/journal/faulty_storage.h"

namespace runnel::journal::test {

using State = std::map<uint32_t, Bytes>;

inline Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

// A change to one key: a new value, or none for an erase.
struct Change {
  uint32_t key;
  std::optional<Bytes> value;

  Failure apply_to(Journal& journal) const { return value ? journal.put(key, ByteView(*value)) : journal.erase(key); }
  State apply_to(State state) const {
    if (value) {
      state[key] = *value;
    } else {
      state.erase(key);
    }
    return state;
  }
};

// Every live value, read whole. A value that cannot be read fails the test.
inline State state_of(const Journal& journal) {
  State state;
  uint64_t bytes = 0;
  for (const uint32_t key : journal.keys()) {
    const auto size = journal.size(key);
    EXPECT_TRUE(size.ok());
    Bytes value(size.ok() ? static_cast<size_t>(size.value()) : 0);
    const Failure failure = journal.read(key, 0, value);
    EXPECT_TRUE(failure.ok()) << failure.text();
    EXPECT_TRUE(journal.verify(key).ok());
    bytes += record_bytes(value.size());
    state.emplace(key, std::move(value));
  }
  EXPECT_EQ(journal.live_bytes(), bytes);
  return state;
}

}  // namespace runnel::journal::test
