#include "runtime/host/event_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace runnel::host {
namespace {

void append_text(std::string& line, std::string_view text) {
  line += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      line += escape;
    } else {
      line += c;
    }
  }
  line += '"';
}

void append_number(std::string& line, double number) {
  if (!std::isfinite(number)) {
    line += "null";
    return;
  }
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", number);
  line += text;
}

struct ValueWriter {
  std::string& line;  // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
  void operator()(int64_t value) const { line += std::to_string(value); }
  void operator()(uint64_t value) const { line += std::to_string(value); }
  void operator()(double value) const { append_number(line, value); }
  void operator()(bool value) const { line += value ? "true" : "false"; }
  void operator()(std::string_view value) const { append_text(line, value); }
  void operator()(const std::optional<double>& value) const { append_number(line, value.value_or(std::nan(""))); }
};

}  // namespace

Result<std::unique_ptr<EventLog>> EventLog::open(const std::string& path) {
  if (path.empty()) return std::unique_ptr<EventLog>(new EventLog(-1));
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0)
    return fail(errno == ENOENT ? Error::kNotFound : Error::kIo, "%s: %s", path.c_str(), std::strerror(errno));
  return std::unique_ptr<EventLog>(new EventLog(file));
}

EventLog::~EventLog() {
  if (file_ >= 0) ::close(file_);
}

void EventLog::write(std::string_view name, std::initializer_list<EventField> fields) {
  if (file_ < 0) return;
  std::string line = "{\"event\":";
  append_text(line, name);
  for (const EventField& field : fields) {
    line += ',';
    append_text(line, field.name);
    line += ':';
    std::visit(ValueWriter{line}, field.value);
  }
  line += "}\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t written = ::write(file_, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      ::close(file_);
      file_ = -1;
      return;
    }
    done += static_cast<size_t>(written);
  }
}

}  // namespace runnel::host
