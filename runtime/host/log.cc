#include "runtime/host/log.h"

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <ctime>

namespace runnel::host {
namespace {

std::atomic<LogLevel> lowest{LogLevel::kInfo};

int rank(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return 0;
    case LogLevel::kInfo:
      return 1;
    case LogLevel::kWarning:
      return 2;
    case LogLevel::kError:
      return 3;
  }
  return 3;
}

}  // namespace

void set_log_level(LogLevel level) {
  lowest = level;
}

void log_line(LogLevel level, const char* format, ...) {
  if (rank(level) < rank(lowest)) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char when[32];
  std::strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
  std::fprintf(stderr, "%s %c %s\n", when, static_cast<char>(level), text);
}

}  // namespace runnel::host
