// Frames that a broken or hostile peer could send within an authenticated session: random bytes, damaged frames, whole
// frames that are out of place or full of wild numbers.
//
// Left out are lies that their receiver has to believe: a coordinator that calls an update durable, refuses it, ends
// the run or plans a round that does not exist, and a device that sends a well-formed update of its own, or contradicts
// itself about one whose fate is open.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/rng.h"

namespace runnel::fleet {

// As if from the device of that name, for the coordinator. The fate of its updates up to `settled` is known to it.
std::vector<uint8_t> hostile_frame_up(Rng& rng, uint64_t run, const std::string& device, uint64_t settled);

// As if from the coordinator, for a device.
std::vector<uint8_t> hostile_frame_down(Rng& rng, uint64_t run);

}  // namespace runnel::fleet
