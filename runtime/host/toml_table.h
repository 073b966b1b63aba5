// A strict reader of TOML: every failure names the line and the key, and a key that nobody asked for is refused,
// because a typing error must not silently become a default.
//
// Read each known key, then call refuse_unread(). Threads: one at a time. Trust: the text may be anything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace runnel::host {

class TomlTable {
 public:
  // kMalformed: not TOML.
  static Result<TomlTable> parse(std::string_view text);

  TomlTable(TomlTable&& other) noexcept;
  TomlTable& operator=(TomlTable&& other) noexcept;
  TomlTable(const TomlTable&) = delete;
  TomlTable& operator=(const TomlTable&) = delete;
  ~TomlTable();

  bool has(std::string_view key) const;
  // Where the key is; for a key that is not there, where the table begins.
  uint32_t line_of(std::string_view key) const;
  // True if no key is there at all.
  bool empty() const;

  // Each leaves `value` as it is when the key is not there, and on failure: kMalformed for another type, kOutOfRange
  // for an integer that does not fit. A whole number is a good float.
  Failure read(std::string_view key, bool& value);
  Failure read(std::string_view key, uint32_t& value);
  Failure read(std::string_view key, uint64_t& value);  // TOML's integers end at 2^63 - 1
  Failure read(std::string_view key, float& value);
  Failure read(std::string_view key, double& value);
  Failure read(std::string_view key, std::string& value);
  // [1, 2, 3], of at most `count_max` numbers; a single number counts as an array of one.
  Failure read(std::string_view key, size_t count_max, std::vector<uint32_t>& values);
  // ["a", "b"], of at most `count_max` strings; a single string counts as an array of one.
  Failure read(std::string_view key, size_t count_max, std::vector<std::string>& values);

  // The table under [key]; an empty one when it is not there.
  Result<TomlTable> table(std::string_view key);
  // The tables under [[key]]; none when it is not there.
  Result<std::vector<TomlTable>> tables(std::string_view key);

  // kUnknownName for the first key that was never asked for.
  Failure refuse_unread() const;

  // A failure about the key: "line 3: training.batch_size ...", where `what` is a sentence's rest.
  Failure at(std::string_view key, Error error, const std::string& what) const;
  // Puts the line in front of a failure whose text begins with a key of this table; others are left as they are.
  Failure locate(Failure failure) const;

 private:
  struct State;
  explicit TomlTable(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The text as a TOML string, quotes included.
std::string toml_quoted(std::string_view text);
// The shortest text that reads back as the same number, always recognisable as a float.
std::string toml_float(float value);
std::string toml_float(double value);

}  // namespace runnel::host
