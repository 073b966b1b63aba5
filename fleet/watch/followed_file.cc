#include "fleet/watch/followed_file.h"

#include <fcntl.h>

#include <array>
#include <cerrno>

namespace runnel::fleet {

std::vector<Event> FollowedFile::read_new() {
  std::vector<Event> events;
  if (!fd_.open()) fd_ = UniqueFd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 8192> block;  // NOLINT(cppcoreguidelines-pro-type-member-init): read fills it
  while (fd_.open()) {
    const ssize_t got = ::read(fd_.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;  // its end for now
    for (const std::string& line : lines_.feed({block.data(), static_cast<size_t>(got)})) {
      events.push_back(parse_event(line));
    }
  }
  return events;
}

}  // namespace runnel::fleet
