// The encoder's half of trellis-coded quantization: the path through the trellis with the least squared error
// (Viterbi).
//
// Decisions are taken kTrellisDepth steps late, when all surviving paths have long had the same past; nothing is lost
// by it and the memory does not grow with the vector.
//
// Memory: 37 KiB of stack. Time: about 200 simple operations a coordinate. The result has the same bits everywhere.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/codec/trellis_code.h"

namespace runnel::codec {

inline constexpr size_t kTrellisEmitted = 160;  // steps that are decided at a time
inline constexpr size_t kTrellisDepth = 64;     // steps by which the search is ahead of them
inline constexpr size_t kTrellisRows = kTrellisDepth + kTrellisEmitted;

// The squared errors of the best path into every state, and how each was reached: bit l of a decision is the parity
// that led path l here.
using TrellisMetrics = std::array<float, kTrellisStates * kTrellisLanes>;
using TrellisRow = std::array<uint8_t, kTrellisStates>;

// How a coordinate's index lies in memory between the search and the coder: k * 256 + (state & 1) * 128, with seven
// bits free for the coder's class.
inline constexpr size_t kTrellisSymbolBytes = sizeof(int32_t);

// The search, some steps at a time. REQUIRES: finite values, |value * inverse_step| <= 2^20.
class TrellisSearch {
 public:
  TrellisSearch(std::span<const float> values, float inverse_step) : values_(values), inverse_step_(inverse_step) {}

  // Decides up to kTrellisEmitted further steps. Returns how many; 0 once there are no more values.
  size_t decide();

  // The symbols of one of the steps last decided, one for each path; those beyond the last value mean nothing.
  ByteView symbols(size_t step) const { return ByteView(rows_[step]).first<kTrellisLanes * kTrellisSymbolBytes>(); }

 private:
  using Ends = std::array<uint8_t, kTrellisLanes>;

  float scaled(size_t step, size_t lane) const;
  void restart();
  void advance(size_t step, size_t row);
  Ends best_states() const;
  void trace(size_t rows, size_t decided);

  std::span<const float> values_;
  float inverse_step_;
  size_t next_step_ = 0;
  Ends decided_states_{};  // of the paths after the last step that was decided
  alignas(64) TrellisMetrics metrics_;
  alignas(64) TrellisMetrics between_;
  std::array<TrellisRow, kTrellisRows> rows_;  // decisions, which make way for the symbols of their own step
};

// Writes one symbol for each value to `symbols`. REQUIRES: as above, and symbols.size() >= values.size() *
// kTrellisSymbolBytes.
void search_trellis(std::span<const float> values, float inverse_step, MutableByteView symbols);

// One step of all paths: the metrics before and after it, the values in units of the step.
void step_trellis_reference(const TrellisMetrics& before, std::span<const float, kTrellisLanes> scaled,
                            TrellisMetrics& after, TrellisRow& row);

#ifdef RUNNEL_FAST_KERNELS
// Two steps at a time, so that the metrics end where they began.
void step_trellis_twice_fast(TrellisMetrics& metrics, TrellisMetrics& between, const float* scaled, TrellisRow& first,
                             TrellisRow& second);
#endif

}  // namespace runnel::codec
