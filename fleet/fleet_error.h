// What stops the emulator: a sentence for the person at the terminal. The host edge may throw; the core never does.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace runnel::fleet {

class FleetError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// "WHAT: Address already in use", from errno.
inline FleetError system_error(const std::string& what) {
  return FleetError(what + ": " + std::strerror(errno));
}

}  // namespace runnel::fleet
