// Indices to bytes and back with a model that learns: an asymmetric numeral system (rANS, Duda 2013) whose
// probabilities follow from the local scale of the values and from the dither.
//
// Sixteen coordinates are a group. What the groups before it held, near and farther back, picks one of a few contexts;
// each context learns the mean magnitude of the groups that it was picked for, and the class of that mean (see
// model_tables.h) gives all probabilities. Nothing but the shape of the distribution is sent: the decoder learns as the
// encoder did. On independent values all contexts learn the same scale and little is lost; on a model's update, whose
// rows and layers differ by orders of magnitude, each finds its own.
//
// rANS encodes backwards: the encoder first walks forward to pick the classes, then codes from the last group to the
// first. Trust: decoding accepts any bytes, in time O(count).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/codec/model_tables.h"

namespace runnel::codec {

// The indices of a group as they are coded: index + (v >> 4), where v = rotation + 15 - position in the group. Sixteen,
// or fewer at the end.
using GroupView = std::span<const int16_t>;

// The indices' magnitudes once more without that shift, at most 255 each, in all: what the contexts learn from.
uint32_t group_activity(GroupView indices, unsigned rotation);

class Contexts {
 public:
  explicit Contexts(ModelTables& tables);
  // The class of the next group. Its table is there.
  unsigned next_class() {
    const uint32_t chosen = contexts_[context_].chosen;
    tables_->prepare(chosen);
    return chosen;
  }
  // Learns from the group that was coded with it, `count` coordinates of `activity` in all.
  void learn(uint32_t activity, size_t count) {
    Context& context = contexts_[context_];
    context.activity += activity;
    context.coordinates += static_cast<uint32_t>(count);
    if (context.coordinates >= context.update_at) update(context);
    recent_ = (recent_ + activity * 16) / 2;
    // Two contexts an octave of the recent activity.
    const uint32_t level = recent_ / 8;
    const auto exponent = static_cast<size_t>(std::bit_width(level | 1)) - 1;
    const size_t half = (uint64_t{level} * 2 >> exponent) & 1;
    context_ = level == 0 ? 0 : std::min(kContexts - 1, 1 + 2 * exponent + half);
  }

 private:
  static constexpr size_t kContexts = 24;
  struct Context {
    uint32_t activity = 0;
    uint32_t coordinates = 0;
    uint32_t update_at = 0;  // coordinates at which the class is looked up again
    uint32_t chosen = 0;
  };
  void update(Context& context);

  ModelTables* tables_;
  std::array<Context, kContexts> contexts_;
  uint32_t recent_ = 0;  // decayed activity, 1/16 of an index
  size_t context_ = 0;
};

// How many rANS states are interleaved: few in a small payload, where each costs bytes, many where speed counts. State
// k codes the coordinates k, k + states, ...
inline constexpr size_t kModelStatesMax = 32;
size_t model_states_for(size_t count);

// Codes groups backwards into `out`, from its end towards its start.
class ModelEncoder {
 public:
  ModelEncoder(const ModelTables& tables, size_t states, MutableByteView out);

  // Codes a run of groups, of which the next to be coded is the one before the run. A choice a group: its class, and
  // its rotation times 256. A run begins at an even group, and only the last group of all may have fewer than sixteen
  // indices.
  void put(std::span<const int16_t> indices, std::span<const uint16_t> choices);

  // The states in front. The coded bytes are out.last(result); 0 if `out` was too small.
  size_t finish();

 private:
  void put_group(GroupView indices, size_t group, unsigned rotation, unsigned group_class);
  void put_slot(size_t state, uint32_t start, uint32_t frequency);
  void put_raw(size_t state, uint32_t value, unsigned bits);
  void put_index(size_t state, int32_t index, unsigned v, unsigned group_class);
  void put_rest(size_t state, int32_t index, unsigned group_class);
  void put_word(uint32_t word);

  const ModelTables* tables_;
  size_t states_;
  MutableByteView out_;
  size_t at_;
  bool full_ = false;
  std::array<uint32_t, kModelStatesMax> x_;
};

class ModelDecoder {
 public:
  // kTruncated if there are not even the states.
  static Result<ModelDecoder> open(const ModelTables& tables, size_t states, ByteView bytes);

  // The next group, in order; returns its activity.
  uint32_t take(std::span<int16_t> indices, unsigned rotation, unsigned group_class);

  // kTruncated, kMalformed or kOutOfRange unless every byte was used, the states are back where the encoder began and
  // every index was within 16 bits.
  Failure check_end() const;

 private:
  ModelDecoder(const ModelTables& tables, size_t states, ByteView words)
      : tables_(&tables), states_(states), words_(words) {}
  uint32_t take_slot(size_t state) const { return x_[state] & (kProbabilityOne - 1); }
  void advance(size_t state, uint32_t start, uint32_t frequency);
  uint32_t take_raw(size_t state, unsigned bits);
  int32_t take_index(size_t state, unsigned v, unsigned group_class);
  int16_t take_rest(size_t state, int32_t k, unsigned group_class);

  const ModelTables* tables_;
  size_t states_;
  ByteView words_;
  size_t at_ = 0;
  bool overrun_ = false;
  bool out_of_range_ = false;
  size_t group_ = 0;  // the next
  std::array<uint32_t, kModelStatesMax> x_{};
};

// What coding a group takes, in 1/4096 bit.
uint32_t group_cost(const ModelTables& tables, GroupView indices, unsigned rotation, unsigned group_class);

}  // namespace runnel::codec
