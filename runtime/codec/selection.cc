#include "runtime/codec/selection.h"

#include <algorithm>
#include <array>

#include "runtime/base/lane_rng.h"

namespace runnel::codec {
namespace {

constexpr uint64_t kSelectionPart = 0x5E1EC7;

uint32_t threshold_of(float keep) {
  return std::max(1U, static_cast<uint32_t>(keep * 65536.0F));
}

// visit(index) for each kept coordinate, ascending.
template <typename Visitor>
void for_each_kept(size_t count, float keep, uint64_t seed, Visitor&& visit) {
  const LaneRng rng(derive_key(seed, kSelectionPart));
  const uint32_t threshold = threshold_of(keep);
  std::array<uint16_t, LaneRng::kStep> numbers;
  LaneRng::State state{};
  for (size_t first = 0; first < count; first += LaneRng::kStep) {
    if (first % LaneRng::kChunk == 0) state = rng.start(first / LaneRng::kChunk);
    LaneRng::step(state, numbers);
    const size_t last = std::min(count, first + LaneRng::kStep);
    for (size_t i = first; i < last; ++i) {
      if (numbers[i - first] < threshold) visit(i);
    }
  }
}

}  // namespace

float kept_share(float keep) {
  return static_cast<float>(threshold_of(keep)) / 65536.0F;
}

size_t kept_count(size_t count, float keep, uint64_t seed) {
  if (keep >= 1.0F) return count;
  size_t kept = 0;
  for_each_kept(count, keep, seed, [&](size_t) { ++kept; });
  return kept;
}

size_t gather(std::span<const float> values, float keep, float factor, uint64_t seed, std::span<float> out) {
  size_t kept = 0;
  for_each_kept(values.size(), keep, seed, [&](size_t i) { out[kept++] = values[i] * factor; });
  return kept;
}

void scatter(std::span<float> values, float keep, uint64_t seed) {
  // The next kept value is never behind the coordinate it goes to: as many unkept ones are still to come as lie
  // between.
  size_t from = values.size() - kept_count(values.size(), keep, seed);
  size_t to = 0;
  for_each_kept(values.size(), keep, seed, [&](size_t i) {
    const float value = values[from++];
    std::fill(values.begin() + static_cast<std::ptrdiff_t>(to), values.begin() + static_cast<std::ptrdiff_t>(i), 0.0F);
    values[i] = value;
    to = i + 1;
  });
  std::fill(values.begin() + static_cast<std::ptrdiff_t>(to), values.end(), 0.0F);
}

}  // namespace runnel::codec
