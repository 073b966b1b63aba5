// Which devices take part in a round. Depends on the names, the seed and the round alone, never on who came first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace runnel::coordinator {

// `count` of the candidates, drawn without replacement and returned in ascending order; all of them when there are
// fewer.
std::vector<std::string> select_cohort(std::vector<std::string> candidates, size_t count, uint64_t seed,
                                       uint32_t round);

// The seed of one device in one round: its shuffling and its stochastic rounding derive from it.
uint64_t device_seed(uint64_t run_seed, uint32_t round, const std::string& device);

}  // namespace runnel::coordinator
