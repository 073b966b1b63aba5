#include "runtime/codec/trellis_search.h"

#include <algorithm>

#include "runtime/codec/instruction_set.h"

namespace runnel::codec {
namespace {

// More than any path can gather between two restarts.
constexpr float kUnreachable = 1e6F;

constexpr uint8_t bit_at(unsigned lane) {
  return static_cast<uint8_t>(1U << lane);
}

struct Previous {
  std::array<std::array<uint8_t, 2>, kTrellisStates> state{};
};
constexpr Previous previous_states() {
  Previous previous;
  for (unsigned s = 0; s < kTrellisStates; ++s) {
    for (unsigned p = 0; p < 2; ++p) previous.state[s][p] = static_cast<uint8_t>(trellis_previous(s, p));
  }
  return previous;
}
constexpr Previous kPrevious = previous_states();

class Search {
 public:
  Search(std::span<const float> values, float inverse_step, MutableByteView symbols)
      : values_(values), inverse_step_(inverse_step), symbols_(symbols) {}

  void run() {
    const size_t steps = (values_.size() + kTrellisLanes - 1) / kTrellisLanes;
    for (size_t decided = 0; decided < steps;) {
      const size_t end = std::min(steps, decided + kTrellisRows);
      const size_t last = end == steps ? steps : decided + kTrellisEmitted;
      restart();
      for (size_t step = decided; step < end; step += 2) advance(step, step - decided);
      trace(decided, (end - decided + 1) / 2 * 2, last - decided);
      decided = last;
    }
  }

 private:
  using Ends = std::array<uint8_t, kTrellisLanes>;

  float scaled(size_t step, size_t lane) const {
    const size_t index = step * kTrellisLanes + lane;
    return index < values_.size() ? values_[index] * inverse_step_ : 0.0F;
  }

  // All paths come from where the decided part ends: one that had overtaken another there would leave a gap.
  void restart() {
    metrics_.fill(kUnreachable);
    for (size_t lane = 0; lane < kTrellisLanes; ++lane) metrics_[decided_states_[lane] * kTrellisLanes + lane] = 0.0F;
  }

  // Two steps, to rows `row` and row + 1.
  void advance(size_t step, size_t row) {
    std::array<float, 2 * kTrellisLanes> two;
    for (size_t lane = 0; lane < two.size(); ++lane) two[lane] = scaled(step, lane);
    TrellisRow& first = rows_[row];
    TrellisRow& second = rows_[row + 1];
#ifdef RUNNEL_FAST_KERNELS
    if (!use_reference()) {
      step_trellis_twice_fast(metrics_, between_, two.data(), first, second);
      return;
    }
#endif
    const std::span<const float, 2 * kTrellisLanes> both(two);
    step_trellis_reference(metrics_, both.first<kTrellisLanes>(), between_, first);
    step_trellis_reference(between_, both.last<kTrellisLanes>(), metrics_, second);
  }

  // Where the best path of every lane ends.
  Ends best_states() const {
    Ends ends{};
    std::array<float, kTrellisLanes> least;
    std::copy_n(metrics_.begin(), kTrellisLanes, least.begin());
    for (size_t s = 1; s < kTrellisStates; ++s) {
      for (size_t lane = 0; lane < kTrellisLanes; ++lane) {
        const float metric = metrics_[s * kTrellisLanes + lane];
        if (metric < least[lane]) ends[lane] = static_cast<uint8_t>(s);
        least[lane] = std::min(least[lane], metric);
      }
    }
    return ends;
  }

  // Follows the best paths back from the end of `rows` rows, the first of which is step `first`, and writes the symbols
  // of the first `decided` ones.
  void trace(size_t first, size_t rows, size_t decided) {
    Ends states = best_states();
    for (size_t row = rows; row-- > 0;) {
      if (row + 1 == decided) decided_states_ = states;
      for (unsigned lane = 0; lane < kTrellisLanes; ++lane) {
        const unsigned state = states[lane];
        const unsigned parity = rows_[row][state] >> lane & 1U;
        const unsigned before = kPrevious.state[state][parity];
        states[lane] = static_cast<uint8_t>(before);
        if (row < decided) emit(first + row, lane, before & 1U, parity);
      }
    }
  }

  void emit(size_t step, size_t lane, unsigned odd, unsigned parity) {
    const size_t index = step * kTrellisLanes + lane;
    if (index >= values_.size()) return;
    const float nearest = trellis_nearest(values_[index] * inverse_step_, static_cast<float>(2 * parity + odd));
    const int32_t k = 2 * static_cast<int32_t>(nearest) + static_cast<int32_t>(parity);
    store_le(symbols_.data() + index * kTrellisSymbolBytes, k * 256 + static_cast<int32_t>(odd * 128));
  }

  std::span<const float> values_;
  float inverse_step_;
  MutableByteView symbols_;
  Ends decided_states_{};  // of the paths after the last step that was written
  alignas(64) TrellisMetrics metrics_;
  alignas(64) TrellisMetrics between_;
  std::array<TrellisRow, kTrellisRows> rows_;
};

static_assert(kTrellisRows % 2 == 0 && kTrellisEmitted % 2 == 0);

}  // namespace

void step_trellis_reference(const TrellisMetrics& before, std::span<const float, kTrellisLanes> scaled,
                            TrellisMetrics& after, TrellisRow& row) {
  float errors[4][kTrellisLanes];  // squared, to the nearest point of each subset
  for (unsigned subset = 0; subset < 4; ++subset) {
    for (size_t lane = 0; lane < kTrellisLanes; ++lane) {
      const auto offset = static_cast<float>(subset);
      const float error = scaled[lane] - (4.0F * trellis_nearest(scaled[lane], offset) + offset);
      errors[subset][lane] = error * error;
    }
  }
  for (const TrellisPair& pair : kTrellisPairs) {
    const unsigned odd = pair.even & 1U;
    uint8_t first_bits = 0;
    uint8_t second_bits = 0;
    for (unsigned lane = 0; lane < kTrellisLanes; ++lane) {
      const float even = before[pair.even * kTrellisLanes + lane];
      const float other = before[pair.other * kTrellisLanes + lane];
      const float first[2] = {even + errors[odd][lane], other + errors[odd + 2][lane]};
      const float second[2] = {other + errors[odd][lane], even + errors[odd + 2][lane]};
      if (first[1] < first[0]) first_bits |= bit_at(lane);
      if (second[1] < second[0]) second_bits |= bit_at(lane);
      after[pair.first * kTrellisLanes + lane] = std::min(first[0], first[1]);
      after[pair.second * kTrellisLanes + lane] = std::min(second[0], second[1]);
    }
    row[pair.first] = first_bits;
    row[pair.second] = second_bits;
  }
}

void search_trellis(std::span<const float> values, float inverse_step, MutableByteView symbols) {
  Search(values, inverse_step, symbols).run();
}

}  // namespace runnel::codec
