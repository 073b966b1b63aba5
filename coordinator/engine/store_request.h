// What the engines decide, one transaction each, for whoever holds the store.
//
// An engine hands one out, waits for its outcome, and decides nothing that depends on it meanwhile. A value, so that it
// can be tried again as it is after a failure.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/store/store.h"

namespace runnel::coordinator {

struct OpenRound {
  RoundRecord round;
};
struct ExtendRound {
  uint32_t round = 0;
  std::vector<std::string> selected;
};
struct AcceptUpdates {
  std::vector<UpdateRecord> updates;
};
struct CloseRound {
  RoundResult result;
};
struct SaveUploads {
  std::vector<UploadPart> parts;
  std::vector<std::string> forgotten;
};
using StoreRequest = std::variant<OpenRound, ExtendRound, AcceptUpdates, CloseRound, SaveUploads>;

// Puts the time into the request and calls the store's method for it.
Failure carry_out(StoreRequest& request, Store& store, int64_t unix_seconds);

}  // namespace runnel::coordinator
