// Which coordinates are sent when only a share of them is: drawn from a seed that both ends know, so that no index
// travels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace runnel::codec {

// The probability that a coordinate is kept: `keep` on the grid that the selection uses.
float kept_share(float keep);

// How many of `count` coordinates are kept; about keep * count. 0 < keep <= 1.
size_t kept_count(size_t count, float keep, uint64_t seed);

// Writes the kept values, each times `factor`, to the front of `out`. REQUIRES: out.size() >= kept_count(...). Returns
// how many there are.
size_t gather(std::span<const float> values, float keep, float factor, uint64_t seed, std::span<float> out);

// The way back, in place: the kept values stand at the end of `values`, and the others become zero.
void scatter(std::span<float> values, float keep, uint64_t seed);

}  // namespace runnel::codec
