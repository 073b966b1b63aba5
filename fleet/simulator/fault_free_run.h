// The same accepted updates, without the world: a fresh round engine for every round, no sessions, links or crashes,
// and another order of arrival. It must come to the same model, bit for bit, whatever the plan.
#pragma once

#include <optional>
#include <string>

#include "fleet/simulator/witness.h"

namespace runnel::fleet {

// What is different, or nullopt. Half of a round's updates are there when its engine starts, as after a restart; the
// others come in while it is open.
std::optional<std::string> differs_without_faults(const SimulationOptions& options, const plan::ModelLayout& layout,
                                                  const Witness& witness);

}  // namespace runnel::fleet
