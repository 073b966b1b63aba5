#include "fleet/simulator/promises.h"

#include <array>
#include <cstddef>

namespace runnel::fleet {
namespace {

struct Line {
  const char* name;
  const char* sentence;
};

constexpr std::array<Line, static_cast<size_t>(Promise::kCount)> kLines = {{
    {"acknowledged-is-durable", "an update that its device was told is durable is in the coordinator's store"},
    {"counted-once", "an update counts at most once, and one that was acknowledged exactly once"},
    {"refused-does-not-count", "an update that its device was told does not count, does not"},
    {"carried-does-not-count", "an update whose content went into a later one does not count itself"},
    {"nothing-forgotten", "a restart of either side forgets nothing that was acknowledged"},
    {"starts-from-its-disk", "whatever the power does, either side starts again from its own disk"},
    {"versions-rise", "the model's version never goes back"},
    {"one-model", "a device trains on the very bits of the version that the coordinator planned"},
    {"bounds-hold", "unfinished uploads and the devices' queues stay within their bounds"},
    {"devices-can-work", "what a device is asked to train and compress, it can"},
    {"comes-to-its-end", "once everything is healed, the run comes to its end"},
    {"same-as-without-faults", "the accepted updates, in another order and without faults, give the same model"},
    {"same-when-trained-again", "the accepted updates, trained again from their seeds, give the same model"},
}};

}  // namespace

const char* promise_name(Promise promise) {
  return kLines[static_cast<size_t>(promise)].name;
}
const char* promise_sentence(Promise promise) {
  return kLines[static_cast<size_t>(promise)].sentence;
}

}  // namespace runnel::fleet
