#include "coordinator/engine/cohort.h"

#include <algorithm>

#include "runtime/base/rng.h"

namespace runnel::coordinator {
namespace {

// Keeps the two uses of a run's seed apart.
constexpr uint64_t kCohortPart = 0xC0;
constexpr uint64_t kDevicePart = 0xD0;

}  // namespace

std::vector<std::string> select_cohort(std::vector<std::string> candidates, size_t count, uint64_t seed,
                                       uint32_t round) {
  std::sort(candidates.begin(), candidates.end());
  if (candidates.size() <= count) return candidates;
  Rng rng(derive_key(seed, kCohortPart, round));
  for (size_t i = 0; i < count; ++i) std::swap(candidates[i], candidates[i + rng.below(candidates.size() - i)]);
  candidates.resize(count);
  std::sort(candidates.begin(), candidates.end());
  return candidates;
}

uint64_t device_seed(uint64_t run_seed, uint32_t round, const std::string& device) {
  uint64_t key = derive_key(run_seed, kDevicePart, round);
  for (const char c : device) key = derive_key(key, static_cast<unsigned char>(c));
  return key;
}

}  // namespace runnel::coordinator
