#include "runtime/train/example_order.h"

#include <bit>

#include "runtime/base/error.h"
#include "runtime/base/rng.h"

namespace runnel::train {

ExampleOrder::ExampleOrder(uint32_t example_count, uint64_t key) : example_count_(example_count) {
  const auto bits = static_cast<uint32_t>(std::bit_width(example_count == 0 ? 0 : example_count - 1));
  half_bits_ = (bits + 1) / 2;
  Rng rng(key);
  for (uint32_t& round_key : keys_) round_key = static_cast<uint32_t>(rng.next_u64());
}

uint32_t ExampleOrder::at(uint32_t position) const {
  RUNNEL_ASSERT(position < example_count_);
  if (half_bits_ == 0) return 0;
  const uint32_t mask = (1U << half_bits_) - 1;
  uint32_t index = position;
  do {
    uint32_t left = index >> half_bits_;
    uint32_t right = index & mask;
    for (const uint32_t key : keys_) {
      const auto mixed = static_cast<uint32_t>(mix64((uint64_t{key} << 32) | right) >> 32);
      const uint32_t next = left ^ (mixed & mask);
      left = right;
      right = next;
    }
    index = (left << half_bits_) | right;
  } while (index >= example_count_);
  return index;
}

}  // namespace runnel::train
