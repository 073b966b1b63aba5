// Happenings for programs that watch: one JSON object a line, written as it happens to a file, a FIFO or /dev/fd/N.
//
// Without a path nothing is written. A reader that goes away silences the log and nothing else.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "runtime/base/result.h"

namespace runnel::host {

// One member of the object. An empty optional is written as null.
struct EventField {
  using Value = std::variant<int64_t, uint64_t, double, bool, std::string_view, std::optional<double>>;
  std::string_view name;
  Value value;
};

class EventLog {
 public:
  // An empty path gives a log that writes nothing. kIo, kNotFound: the path, and why it cannot be opened.
  static Result<std::unique_ptr<EventLog>> open(const std::string& path);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  // {"event":name, ...fields}. Texts are escaped; NaN and infinity become null.
  void write(std::string_view name, std::initializer_list<EventField> fields);

 private:
  explicit EventLog(int file) : file_(file) {}
  int file_;
};

}  // namespace runnel::host
