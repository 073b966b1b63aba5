// The order in which one epoch visits the examples: a pseudo-random permutation that takes no memory.
//
// A device does not know before a round how many examples it will have, and the arena is fixed, so the order is
// computed rather than stored: a Feistel network permutes the smallest range of 2^(2k) indices that holds all examples,
// and an index that lands outside is sent through again until it is inside (cycle walking; Black and Rogaway 2002).
// That range is less than four times the example count, so four rounds through the network are the most that is
// expected. Memory: 40 bytes. Determinism: a function of the count and the key, integers only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace runnel::train {

class ExampleOrder {
 public:
  ExampleOrder() = default;
  ExampleOrder(uint32_t example_count, uint64_t key);

  // The example at `position`; every example stands at exactly one position. REQUIRES: position < example_count.
  uint32_t at(uint32_t position) const;

 private:
  static constexpr size_t kRounds = 6;

  uint32_t example_count_ = 0;
  uint32_t half_bits_ = 0;
  std::array<uint32_t, kRounds> keys_{};
};

}  // namespace runnel::train
