// A closed round as a simulation saw it, put together from what the store and the devices hold.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "coordinator/store/store.h"
#include "fleet/simulator/simulated_device.h"
#include "fleet/simulator/simulated_round.h"

namespace runnel::fleet {

// `ledger` ends with the round's updates; `selected` are the names of the devices that were asked.
SimulatedRound describe_round(const coordinator::RoundResult& result,
                              const std::vector<coordinator::LedgerEntry>& ledger,
                              const std::vector<std::string>& selected,
                              std::span<const std::unique_ptr<SimulatedDevice>> devices, Duration closed_at,
                              bool bytes_by_device);

}  // namespace runnel::fleet
