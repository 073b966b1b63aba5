// Bugs that one test program plants on purpose, one at a time, to see the simulator find them. Everywhere else
// planted() is a constant false, and nothing of this is in the program.
#pragma once

#include <cstdint>

namespace runnel {

enum class PlantedBug : uint8_t {
  kNone,
  kSendBeforePersist,  // the device's flash is not synced before what it holds is relied on
  kAckBeforeStore,     // an update is acknowledged before it is in the store
  kCountTwice,         // an update that comes a second time is added to the sums again
  kForgetUpload,       // an upload goes on behind bytes that are not there
};

#ifdef RUNNEL_PLANTED_BUGS
inline PlantedBug planted_bug = PlantedBug::kNone;
inline bool planted(PlantedBug bug) {
  return planted_bug == bug;
}
#else
constexpr bool planted(PlantedBug) {
  return false;
}
#endif

}  // namespace runnel
