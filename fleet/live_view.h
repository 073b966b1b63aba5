// One picture of a run as lines of text: progress, accuracy, traffic, and a row a device. Pure; drawing is
// TerminalScreen's.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "fleet/run_record.h"

namespace runnel::fleet {

struct ViewOptions {
  size_t width = 80;    // columns; 40 at least are used
  size_t height = 24;   // lines the picture may take at most
  bool colour = false;  // ANSI colours; they take no columns
  std::string title;    // "1/2  qsgd, 4 bits"
};

// Each line takes at most `width` columns. `recent` are the latest notices, newest last; as many as there is room for.
std::vector<std::string> render_view(const RunRecord& record, const std::vector<std::string>& recent,
                                     const ViewOptions& options);

// Seconds until the last round ends, from the pace so far; negative while no round has ended.
double remaining_s(const RunRecord& record);

}  // namespace runnel::fleet
