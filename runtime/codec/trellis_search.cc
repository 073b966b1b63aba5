#include "runtime/codec/trellis_search.h"

#include <algorithm>

#include "runtime/base/instruction_set.h"

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

static_assert(kTrellisRows % 2 == 0 && kTrellisEmitted % 2 == 0);
static_assert(kTrellisLanes * kTrellisSymbolBytes <= kTrellisStates);

}  // namespace

size_t TrellisSearch::decide() {
  const size_t steps = (values_.size() + kTrellisLanes - 1) / kTrellisLanes;
  if (next_step_ >= steps) return 0;
  const size_t first = next_step_;
  const size_t end = std::min(steps, first + kTrellisRows);
  next_step_ = end == steps ? steps : first + kTrellisEmitted;
  restart();
  for (size_t step = first; step < end; step += 2) advance(step, step - first);
  trace((end - first + 1) / 2 * 2, next_step_ - first);
  return next_step_ - first;
}

float TrellisSearch::scaled(size_t step, size_t lane) const {
  const size_t index = step * kTrellisLanes + lane;
  return index < values_.size() ? values_[index] * inverse_step_ : 0.0F;
}

// All paths come from where the decided part ends: one that had overtaken another there would leave a gap.
void TrellisSearch::restart() {
  metrics_.fill(kUnreachable);
  for (size_t lane = 0; lane < kTrellisLanes; ++lane) metrics_[decided_states_[lane] * kTrellisLanes + lane] = 0.0F;
}

// Two steps, to rows `row` and row + 1.
void TrellisSearch::advance(size_t step, size_t row) {
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
TrellisSearch::Ends TrellisSearch::best_states() const {
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

// Follows the best paths back from the end of `rows` rows, the last of the first `decided` ones being next_step_ - 1,
// and puts the symbols of those into their rows.
void TrellisSearch::trace(size_t rows, size_t decided) {
  Ends states = best_states();
  for (size_t row = rows; row-- > 0;) {
    if (row + 1 == decided) decided_states_ = states;
    std::array<int32_t, kTrellisLanes> symbols;
    for (unsigned lane = 0; lane < kTrellisLanes; ++lane) {
      const unsigned state = states[lane];
      const unsigned parity = rows_[row][state] >> lane & 1U;
      const unsigned before = kPrevious.state[state][parity];
      const unsigned odd = before & 1U;
      states[lane] = static_cast<uint8_t>(before);
      if (row >= decided) continue;
      const float value = scaled(next_step_ - decided + row, lane);
      const float nearest = trellis_nearest(value, static_cast<float>(2 * parity + odd));
      const int32_t k = 2 * static_cast<int32_t>(nearest) + static_cast<int32_t>(parity);
      symbols[lane] = k * 256 + static_cast<int32_t>(odd * 128);
    }
    if (row >= decided) continue;
    for (size_t lane = 0; lane < kTrellisLanes; ++lane) {
      store_le(rows_[row].data() + lane * kTrellisSymbolBytes, symbols[lane]);
    }
  }
}

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
  TrellisSearch search(values, inverse_step);
  size_t at = 0;
  while (const size_t steps = search.decide()) {
    for (size_t step = 0; step < steps; ++step) {
      const ByteView decided = search.symbols(step);
      const size_t bytes = std::min(decided.size(), values.size() * kTrellisSymbolBytes - at);
      std::copy_n(decided.data(), bytes, symbols.data() + at);
      at += bytes;
    }
  }
}

}  // namespace runnel::codec
