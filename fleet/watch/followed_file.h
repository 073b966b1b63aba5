// The events that another program appends to a file, as they come.
//
// Threads: one. Time: never blocks. Trust: as EventStream; what is torn becomes a MalformedEvent.
#pragma once

#include <string>
#include <vector>

#include "fleet/event_stream.h"
#include "fleet/unique_fd.h"

namespace runnel::fleet {

class FollowedFile {
 public:
  // The file need not be there yet.
  explicit FollowedFile(std::string path) : path_(std::move(path)) {}

  // The events of all lines that were completed since the last call.
  std::vector<Event> read_new();

 private:
  std::string path_;
  UniqueFd fd_;
  LineSplitter lines_;
};

}  // namespace runnel::fleet
