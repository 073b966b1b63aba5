// A recurrent layer's gates stand in another order in ONNX than here, where they stand as in PyTorch.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "runtime/plan/model_spec.h"

namespace runnel::coordinator {

// Ours are reset, update, new and input, forget, cell, output; ONNX's update, reset, hidden and input, output, forget,
// cell. The number is our place of ONNX's gate `gate`.
constexpr uint32_t our_gate(plan::LayerKind kind, uint32_t gate) {
  constexpr uint32_t kGru[] = {1, 0, 2};
  constexpr uint32_t kLstm[] = {0, 3, 1, 2};
  return kind == plan::LayerKind::kGru ? kGru[gate] : kLstm[gate];
}
constexpr uint32_t gate_count(plan::LayerKind kind) {
  return kind == plan::LayerKind::kGru ? 3 : 4;
}

enum class GateOrder { kToOnnx, kFromOnnx };

// Copies `from` to `to` with the gates, equal parts of the whole, in the other order. REQUIRES: equal sizes that the
// number of gates divides; no overlap. Bytes, because what stands in a file need not be aligned.
inline void reorder_gates(plan::LayerKind kind, GateOrder order, std::span<const uint8_t> from, std::span<uint8_t> to) {
  const size_t bytes = from.size() / gate_count(kind);
  for (uint32_t gate = 0; gate < gate_count(kind); ++gate) {
    const size_t ours = our_gate(kind, gate) * bytes;
    const size_t theirs = gate * bytes;
    const bool out = order == GateOrder::kToOnnx;
    if (bytes > 0) std::memcpy(to.data() + (out ? theirs : ours), from.data() + (out ? ours : theirs), bytes);
  }
}

}  // namespace runnel::coordinator
