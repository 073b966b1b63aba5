// What a simulation checks, as sentences. Each holds in every simulation, whatever the faults.
//
// To add one: an enumerator, its sentence in promises.cc, and either a call of Witness::broken() where it can be seen
// to break, or a look at everything in Witness::check_at_end().
#pragma once

#include <cstdint>

namespace runnel::fleet {

enum class Promise : uint8_t {
  kAcknowledgedIsDurable,
  kCountedOnce,
  kRefusedDoesNotCount,
  kCarriedDoesNotCount,
  kNothingForgotten,
  kStartsFromItsDisk,
  kVersionsRise,
  kOneModel,
  kBoundsHold,
  kDevicesCanWork,
  kComesToItsEnd,
  kSameAsWithoutFaults,
  kSameWhenTrainedAgain,
  kCount,
};

// "acknowledged-is-durable": for reports and command lines.
const char* promise_name(Promise promise);
const char* promise_sentence(Promise promise);

}  // namespace runnel::fleet
