// One line a happening on standard error: "2026-01-31 12:00:00 I text". For people; machines read the event log.
//
// Threads: any; a line is written in one piece.
#pragma once

namespace runnel::host {

enum class LogLevel : char { kDebug = 'D', kInfo = 'I', kWarning = 'W', kError = 'E' };

// Lines below `level` are dropped from now on; kInfo at first.
void set_log_level(LogLevel level);

void log_line(LogLevel level, const char* format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace runnel::host
