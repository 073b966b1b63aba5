// What the model must be, given which updates were accepted: each is trained again on its own, in a world without
// links, crashes or engines, and averaged round by round.
#pragma once

#include <string>
#include <vector>

#include "coordinator/config/fleet_plan.h"
#include "coordinator/store/store.h"
#include "runtime/data/example_source.h"
#include "runtime/plan/model_spec.h"

namespace runnel::fleet {

struct ReplayInputs {
  uint64_t run = 0;
  coordinator::FleetPlan plan;
  plan::ModelSpec model;
  plan::ModelLayout layout;
  std::vector<const data::ExampleSource*> examples;  // by device
  std::vector<std::string> names;                    // by device
};

// The parameters after `rounds` closed rounds. kUnknownDevice for a ledger entry of a device that is not there;
// otherwise fails as training or decoding does.
Result<std::vector<float>> replay(const ReplayInputs& inputs, const std::vector<coordinator::LedgerEntry>& ledger,
                                  uint32_t rounds);

}  // namespace runnel::fleet
