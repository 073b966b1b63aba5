#include "runtime/codec/model_coder.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/base/instruction_set.h"
#include "runtime/codec/model_coder_fast.h"

namespace runnel::codec {
namespace {

constexpr uint32_t kStateMin = 1U << 16;

// The slots of symbol k of a table, for dither v.
struct Slots {
  uint32_t start;
  uint32_t end;
};
Slots slots_of(const ModelTables& tables, unsigned table, int k, unsigned v) {
  const int reach = tables.reach(table);
  Slots slots{0, kProbabilityOne};
  if (k > -reach) slots.start = *(tables.thresholds(table, k) - v);
  if (k <= reach) slots.end = *(tables.thresholds(table, k + 1) - v);
  return slots;
}

// The symbol of an index, and how far beyond the outermost symbol it is.
struct Symbol {
  int32_t k;
  uint32_t beyond;
  bool outermost;
};
Symbol symbol_of(const ModelTables& tables, ScaledClass scale, int32_t index) {
  const int32_t k = index >> scale.shift;
  const int32_t reach = tables.reach(scale.table);
  if (k <= -reach) return {-reach, static_cast<uint32_t>(-reach - k), true};
  if (k > reach) return {reach + 1, static_cast<uint32_t>(k - reach - 1), true};
  return {k, 0, false};
}

constexpr unsigned kLengthBits = 5;  // of beyond + 1: at most 21

// log2 of 1 .. 2^15 in 1/4096 bit: of 1 + i/256 by squaring, and linear between.
struct Logarithms {
  std::array<uint16_t, 257> of_mantissa{};
  constexpr Logarithms() {
    for (size_t i = 0; i <= 256; ++i) {
      double x = 1.0 + static_cast<double>(i) / 256.0;
      uint32_t result = 4;  // in 1/8 of the unit, and half a unit so that cutting rounds
      for (uint32_t bit = 4096 * 8; bit > 0; bit /= 2) {
        if (x >= 2.0) {
          x /= 2.0;
          result += bit;
        }
        x *= x;
      }
      of_mantissa[i] = static_cast<uint16_t>(result / 8);
    }
  }
};
constexpr Logarithms kLogarithms;

uint32_t log2_4096(uint32_t value) {
  const auto exponent = static_cast<unsigned>(std::bit_width(value)) - 1;
  const uint32_t mantissa = value << (16 - exponent) & 0xFFFF;
  const uint32_t low = kLogarithms.of_mantissa[mantissa >> 8];
  const uint32_t high = kLogarithms.of_mantissa[(mantissa >> 8) + 1];
  return 4096 * exponent + low + ((high - low) * (mantissa & 255) >> 8);
}

}  // namespace

uint32_t group_activity(GroupView indices, unsigned rotation) {
  uint32_t sum = 0;
  for (size_t j = 0; j < indices.size(); ++j) {
    const auto shift = static_cast<int>((rotation + 15 - j) >> 4);
    sum += static_cast<uint32_t>(std::min(std::abs(indices[j] - shift), 255));
  }
  return sum;
}

// -- Contexts

Contexts::Contexts(ModelTables& tables) : tables_(&tables) {
  // Before it has seen anything, a context takes the next group to be like the last.
  for (size_t k = 0; k < kContexts; ++k) {
    const size_t exponent = k == 0 ? 0 : (k - 1) / 2;
    const uint32_t half = k == 0 ? 0 : (k - 1) % 2;
    contexts_[k].activity = std::max<uint32_t>(1, ((5 + 2 * half) << exponent) / 8);
    contexts_[k].coordinates = 16;
    update(contexts_[k]);
  }
}

void Contexts::update(Context& context) {
  if (context.coordinates >= 1U << 15) {
    context.activity = (context.activity + 1) / 2;
    context.coordinates /= 2;
  }
  context.chosen = tables_->class_of(static_cast<float>(context.activity) / static_cast<float>(context.coordinates));
  // After every group at first, then less and less often: at each eighth more.
  context.update_at = context.coordinates + std::max(1U, context.coordinates / 8);
}

size_t model_states_for(size_t count) {
  if (count < 4096) return 1;
  if (count < 32768) return 2;
  if (count < 131072) return 4;
  return count < 262144 ? 16 : 32;
}

// -- ModelEncoder

ModelEncoder::ModelEncoder(const ModelTables& tables, size_t states, MutableByteView out)
    : tables_(&tables), states_(states), out_(out), at_(out.size()) {
  x_.fill(kStateMin);
}

void ModelEncoder::put_word(uint32_t word) {
  if (at_ < 2) {
    full_ = true;
    return;
  }
  at_ -= 2;
  store_le<uint16_t>(out_.data() + at_, static_cast<uint16_t>(word));
}

void ModelEncoder::put_slot(size_t state, uint32_t start, uint32_t frequency) {
  uint32_t x = x_[state];
  if (x >> 17 >= frequency) {
    put_word(x & 0xFFFF);
    x >>= 16;
  }
  x_[state] = (x / frequency << kProbabilityBits) + x % frequency + start;
}

void ModelEncoder::put_raw(size_t state, uint32_t value, unsigned bits) {
  put_slot(state, value << (kProbabilityBits - bits), 1U << (kProbabilityBits - bits));
}

void ModelEncoder::put_index(size_t state, int32_t index, unsigned v, unsigned group_class) {
  const ScaledClass scale = scaled_class(group_class);
  const Slots slots = slots_of(*tables_, scale.table, symbol_of(*tables_, scale, index).k, v >> scale.shift);
  put_slot(state, slots.start, slots.end - slots.start);
}

// What take_rest() reads, backwards.
void ModelEncoder::put_rest(size_t state, int32_t index, unsigned group_class) {
  const ScaledClass scale = scaled_class(group_class);
  if (scale.shift > 0) put_raw(state, static_cast<uint32_t>(index) & ((1U << scale.shift) - 1), scale.shift);
  const Symbol symbol = symbol_of(*tables_, scale, index);
  if (!symbol.outermost) return;
  const auto length = static_cast<unsigned>(std::bit_width(symbol.beyond + 1)) - 1;
  const uint32_t rest = symbol.beyond + 1 - (1U << length);
  const unsigned low = std::min(length, 12U);
  if (length > low) put_raw(state, rest >> low, length - low);
  if (low > 0) put_raw(state, rest & ((1U << low) - 1), low);
  put_raw(state, length, kLengthBits);
}

void ModelEncoder::put_group(GroupView indices, size_t group, unsigned rotation, unsigned group_class) {
  const size_t first = group * kGroup;
  for (size_t j = indices.size(); j-- > 0;) put_rest((first + j) % states_, indices[j], group_class);
  for (size_t j = indices.size(); j-- > 0;) {
    put_index((first + j) % states_, indices[j], static_cast<unsigned>(rotation + 15 - j), group_class);
  }
}

void ModelEncoder::put(std::span<const int16_t> indices, std::span<const uint16_t> choices) {
  size_t left = choices.size();
  while (left > 0) {
#ifdef RUNNEL_FAST_KERNELS
    if (states_ >= kGroup && left * kGroup <= indices.size() && at_ >= 2 * kGroup * kPutGroups && !use_reference()) {
      const size_t batch = std::min(left, kPutGroups);
      const size_t first = left - batch;
      const size_t odd_from = states_ == kGroup ? 0 : kGroup;  // where the states of odd groups stand
      std::array<PutRequest, kPutGroups> requests;
      bool in_tables = true;
      for (size_t g = 0; g < batch; ++g) {
        const unsigned group_class = choices[first + g] & 255U;
        const unsigned table = scaled_class(group_class).table;
        in_tables = in_tables && group_class < kClasses;
        requests[g] = {tables_->thresholds(table, 0) - (choices[first + g] >> 8) - 15, tables_->reach(table)};
      }
      if (in_tables &&
          put_groups_fast(requests.data(), batch, &indices[kGroup * first], x_.data() + first % 2 * odd_from,
                          x_.data() + (first + 1) % 2 * odd_from, out_.data() + at_, at_)) {
        left = first;
        continue;
      }
    }
#endif
    --left;
    const size_t count = std::min(kGroup, indices.size() - kGroup * left);
    put_group(indices.subspan(kGroup * left, count), left, choices[left] >> 8, choices[left] & 255U);
  }
}

size_t ModelEncoder::finish() {
  for (size_t state = states_; state-- > 0;) {
    put_word(x_[state] >> 16);
    put_word(x_[state] & 0xFFFF);
  }
  return full_ ? 0 : out_.size() - at_;
}

// -- ModelDecoder

Result<ModelDecoder> ModelDecoder::open(const ModelTables& tables, size_t states, ByteView bytes) {
  if (bytes.size() < 4 * states) {
    return fail(Error::kTruncated, "%zu bytes, but %zu states take %zu", bytes.size(), states, 4 * states);
  }
  ModelDecoder decoder(tables, states, bytes.subspan(4 * states));
  for (size_t state = 0; state < states; ++state) {
    decoder.x_[state] = load_le<uint32_t>(bytes.data() + 4 * state);
    if (decoder.x_[state] < kStateMin) return fail(Error::kMalformed, "state %zu is too small", state);
  }
  return decoder;
}

void ModelDecoder::advance(size_t state, uint32_t start, uint32_t frequency) {
  const uint32_t x = x_[state];
  uint32_t next = frequency * (x >> kProbabilityBits) + (x & (kProbabilityOne - 1)) - start;
  if (next < kStateMin) {
    next <<= 16;
    if (words_.size() - at_ >= 2) {
      next |= load_le<uint16_t>(words_.data() + at_);
      at_ += 2;
    } else {
      overrun_ = true;
    }
  }
  x_[state] = next;
}

uint32_t ModelDecoder::take_raw(size_t state, unsigned bits) {
  const uint32_t value = take_slot(state) >> (kProbabilityBits - bits);
  advance(state, value << (kProbabilityBits - bits), 1U << (kProbabilityBits - bits));
  return value;
}

int32_t ModelDecoder::take_index(size_t state, unsigned v, unsigned group_class) {
  const ScaledClass scale = scaled_class(group_class);
  const uint32_t slot = take_slot(state);
  const int reach = tables_->reach(scale.table);
  v >>= scale.shift;
  int k = -reach;
  while (k <= reach && *(tables_->thresholds(scale.table, k + 1) - v) <= slot) ++k;
  const Slots slots = slots_of(*tables_, scale.table, k, v);
  advance(state, slots.start, slots.end - slots.start);
  return k;
}

int16_t ModelDecoder::take_rest(size_t state, int32_t k, unsigned group_class) {
  const ScaledClass scale = scaled_class(group_class);
  const int32_t reach = tables_->reach(scale.table);
  const bool below = k <= -reach;
  if (below || k > reach) {
    // A length that no encoder writes is cut: the sum stays within 32 bits, and is out of range anyway.
    const unsigned length = std::min(take_raw(state, kLengthBits), 20U);
    const unsigned low = std::min(length, 12U);
    uint32_t rest = low > 0 ? take_raw(state, low) : 0;
    if (length > low) rest |= take_raw(state, length - low) << low;
    const auto beyond = static_cast<int32_t>(rest + (1U << length) - 1);
    k = below ? k - beyond : k + beyond;
  }
  int64_t index = k;
  if (scale.shift > 0) index = index * (int64_t{1} << scale.shift) + take_raw(state, scale.shift);
  if (index < INT16_MIN || index > INT16_MAX) {
    out_of_range_ = true;
    return 0;
  }
  return static_cast<int16_t>(index);
}

uint32_t ModelDecoder::take(std::span<int16_t> indices, unsigned rotation, unsigned group_class) {
  const size_t first_state = group_++ * kGroup % states_;
#ifdef RUNNEL_FAST_KERNELS
  if (states_ >= kGroup && indices.size() == kGroup && group_class < kClasses && words_.size() - at_ >= 2 * kGroup &&
      !use_reference()) {
    const uint16_t* const first = tables_->thresholds(group_class, 0) - rotation - 15;
    const int reach = tables_->reach(group_class);
    uint32_t activity = 0;
    if (take_group_fast(first, reach, rotation, words_.data() + at_, x_.data() + first_state, indices.data(), at_,
                        activity)) {
      return activity;
    }
    for (size_t j = 0; j < kGroup; ++j) indices[j] = take_rest(first_state + j, indices[j], group_class);
    return group_activity(indices, rotation);
  }
#endif
  for (size_t j = 0; j < indices.size(); ++j) {
    indices[j] = static_cast<int16_t>(
        take_index((first_state + j) % states_, static_cast<unsigned>(rotation + 15 - j), group_class));
  }
  for (size_t j = 0; j < indices.size(); ++j) {
    indices[j] = take_rest((first_state + j) % states_, indices[j], group_class);
  }
  return group_activity(indices, rotation);
}

Failure ModelDecoder::check_end() const {
  if (overrun_) return fail(Error::kTruncated, "payload ends inside its code");
  if (out_of_range_) return fail(Error::kOutOfRange, "an index is beyond 16 bits");
  if (at_ != words_.size()) return fail(Error::kMalformed, "%zu trailing bytes", words_.size() - at_);
  for (size_t state = 0; state < states_; ++state) {
    if (x_[state] != kStateMin) return fail(Error::kMalformed, "state %zu does not end where it began", state);
  }
  return Error::kOk;
}

uint32_t group_cost(const ModelTables& tables, GroupView indices, unsigned rotation, unsigned group_class) {
  const ScaledClass scale = scaled_class(group_class);
  uint32_t cost = static_cast<uint32_t>(indices.size()) * 4096 * (kProbabilityBits + scale.shift);
  for (size_t j = 0; j < indices.size(); ++j) {
    const Symbol symbol = symbol_of(tables, scale, indices[j]);
    const auto v = static_cast<unsigned>(rotation + 15 - j) >> scale.shift;
    const Slots slots = slots_of(tables, scale.table, symbol.k, v);
    cost -= log2_4096(slots.end - slots.start);
    if (symbol.outermost) cost += 4096 * (kLengthBits + static_cast<unsigned>(std::bit_width(symbol.beyond + 1)) - 1);
  }
  return cost;
}

}  // namespace runnel::codec
