#include "runtime/codec/trellis_coder.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

#include "runtime/codec/trellis_search.h"

namespace runnel::codec {
namespace {

constexpr uint32_t kCostUnit = 4096;  // of TrellisTable::costs, one bit
constexpr size_t kSystemsMax = 4;
constexpr size_t systems_for(size_t count) {
  return count < 4096 ? 1 : kSystemsMax;
}
constexpr uint32_t kLowest = 1U << 16;  // every system stays in [2^16, 2^32) between coordinates
constexpr unsigned kEscapeBits = 11;    // an escaped index takes two uniform numbers of this many bits
constexpr uint32_t kSlotMask = (1U << kTrellisTableBits) - 1;
constexpr unsigned kPivotShift = kTrellisTableBits - 7;
constexpr size_t head_bytes(size_t systems) {
  return 2 + systems * sizeof(uint32_t);
}
constexpr uint8_t kRates[] = {2, 4};  // that the encoder tries: after 50 and after 250 coordinates

// A word of search_trellis taken apart.
struct Symbol {
  int32_t k;
  unsigned odd;
};
Symbol symbol_at(const uint8_t* symbols, size_t index) {
  const auto word = load_le<int32_t>(symbols + index * kTrellisSymbolBytes);
  return {word >> 8, static_cast<unsigned>(word >> 7) & 1U};
}

// 0, -1, 1, -2, 2 .. as 0, 1, 2, 3, 4 ..
constexpr uint32_t zigzag(int32_t k) {
  return (static_cast<uint32_t>(k) << 1) ^ static_cast<uint32_t>(k >> 31);
}
constexpr int32_t unzigzag(uint32_t z) {
  return static_cast<int32_t>(z >> 1) ^ -static_cast<int32_t>(z & 1);
}

// The tables of one class, and how its indices are split: k + half = (upper << uniform_bits) + lower.
struct Class {
  Class(const TrellisModel& model, TrellisShape shape, unsigned c) : uniform_bits(trellis_uniform_bits(c)) {
    const unsigned row = trellis_row(c);
    tables[0] = model.table(shape, row, 0);
    // Once the lowest bits are split off, even and odd points lie around zero alike.
    tables[1] = uniform_bits == 0 ? model.table(shape, row, 1) : tables[0];
    half = uniform_bits == 0 ? 0 : 1 << (uniform_bits - 1);
  }
  TrellisTable tables[2];
  unsigned uniform_bits;
  int32_t half;
};

using Group = std::array<Symbol, kTrellisGroup>;

// What a vector would take under each model, in 1/4096 bit, group by group.
class ModelCosts {
 public:
  ModelCosts(const TrellisModel& model, unsigned first_class)
      : model_(model),
        first_class_(first_class),
        scales_{TrellisScale(model, first_class, kRates[0]), TrellisScale(model, first_class, kRates[1])} {}

  void add(const Group& group, size_t size) {
    uint32_t sum = 0;
    for (size_t n = 0; n < size; ++n) sum += trellis_magnitude(group[n].k, group[n].odd);
    for (size_t r = 0; r < std::size(kRates); ++r) {
      const unsigned c = scales_[r].current();
      const std::array<uint32_t, kTrellisShapes> costs = costs_of(group, size, c);
      for (size_t s = 0; s < kTrellisShapes; ++s) costs_[r][s] += costs[s];
      scales_[r].add(sum);
    }
  }

  TrellisModelChoice best() const {
    TrellisModelChoice best;
    uint64_t least = UINT64_MAX;
    for (size_t r = 0; r < std::size(kRates); ++r) {
      for (size_t s = 0; s < kTrellisShapes; ++s) {
        if (costs_[r][s] >= least) continue;
        least = costs_[r][s];
        best = {static_cast<TrellisShape>(s), kRates[r], static_cast<uint8_t>(first_class_),
                static_cast<double>(least) / kCostUnit};
      }
    }
    return best;
  }

 private:
  std::array<uint32_t, kTrellisShapes> costs_of(const Group& group, size_t size, unsigned c) const {
    const unsigned row = trellis_row(c);
    const unsigned uniform_bits = trellis_uniform_bits(c);
    const int32_t half = uniform_bits == 0 ? 0 : 1 << (uniform_bits - 1);
    const uint16_t* tables[2][kTrellisShapes];
    for (size_t s = 0; s < kTrellisShapes; ++s) {
      const auto shape = static_cast<TrellisShape>(s);
      tables[0][s] = model_.table(shape, row, 0).costs;
      tables[1][s] = uniform_bits == 0 ? model_.table(shape, row, 1).costs : tables[0][s];
    }
    const uint32_t escape = model_.table(TrellisShape::kGaussian, row, 0).escape;
    uint32_t uniform = static_cast<uint32_t>(size) * uniform_bits;
    std::array<uint32_t, kTrellisShapes> costs{};
    for (size_t n = 0; n < size; ++n) {
      const uint32_t z = std::min(zigzag((group[n].k + half) >> uniform_bits), escape);
      uniform += z == escape ? 2 * kEscapeBits : 0;
      for (size_t s = 0; s < kTrellisShapes; ++s) costs[s] += tables[group[n].odd][s][z];
    }
    for (uint32_t& cost : costs) cost += kCostUnit * uniform;
    return costs;
  }

  const TrellisModel& model_;
  unsigned first_class_;
  TrellisScale scales_[std::size(kRates)];
  uint64_t costs_[std::size(kRates)][kTrellisShapes] = {};
};

// The class of a mean over the first coordinates.
unsigned class_of(const TrellisModel& model, int64_t sum, size_t count) {
  const int64_t level = sum * TrellisScale::kUnit / static_cast<int64_t>(count) * static_cast<int64_t>(kTrellisGroup);
  unsigned c = 0;
  while (c + 1 < kTrellisClasses && level >= model.upper_level(c)) ++c;
  return c;
}
constexpr size_t kFirstCoordinates = 64 * kTrellisGroup;

// The systems of the encoder, which writes from the end of the buffer to its start.
class Packer {
 public:
  explicit Packer(uint8_t* end) : to_(end) { systems_.fill(kLowest); }

  const uint8_t* position() const { return to_; }

  void put(size_t system, uint32_t start, uint32_t frequency) {
    uint32_t state = systems_[system];
    if (state >= uint64_t{frequency} << (32 - kTrellisTableBits)) state = spill(state);
    systems_[system] = ((state / frequency) << kTrellisTableBits) + state % frequency + start;
  }

  void put_uniform(size_t system, uint32_t value, unsigned bits) {
    uint32_t state = systems_[system];
    if (state >> (32 - bits) != 0) state = spill(state);
    systems_[system] = (state << bits) | value;
  }

  uint8_t* finish(const TrellisModelChoice& choice, size_t systems) {
    for (size_t system = systems; system-- > 0;) {
      to_ -= sizeof(uint32_t);
      store_le(to_, systems_[system]);
    }
    *--to_ = choice.first_class;
    *--to_ = static_cast<uint8_t>(static_cast<unsigned>(choice.shape) | choice.rate * 16U);
    return to_;
  }

 private:
  uint32_t spill(uint32_t state) {
    to_ -= sizeof(uint16_t);
    store_le(to_, static_cast<uint16_t>(state));
    return state >> 16;
  }

  uint8_t* to_;
  std::array<uint32_t, kSystemsMax> systems_;
};

// In the opposite order of Unpacker::take.
void put_symbol(Packer& packer, const Class& group_class, size_t system, Symbol symbol) {
  const int32_t shifted = symbol.k + group_class.half;
  const uint32_t z = zigzag(shifted >> group_class.uniform_bits);
  if (group_class.uniform_bits > 0) {
    const uint32_t mask = (1U << group_class.uniform_bits) - 1;
    packer.put_uniform(system, static_cast<uint32_t>(shifted) & mask, group_class.uniform_bits);
  }
  const TrellisTable& table = group_class.tables[symbol.odd];
  const uint32_t coded = std::min(z, table.escape);
  if (coded == table.escape) {
    packer.put_uniform(system, z >> kEscapeBits, kEscapeBits);
    packer.put_uniform(system, z & ((1U << kEscapeBits) - 1), kEscapeBits);
  }
  packer.put(system, table.starts[coded], static_cast<uint32_t>(table.starts[coded + 1]) - table.starts[coded]);
}

class Unpacker {
 public:
  Unpacker(const uint8_t* from, const uint8_t* end) : from_(from), end_(end) { systems_.fill(kLowest); }

  void set(size_t system, uint32_t state) { systems_[system] = state; }

  // True if no coordinate of the next group can run into the end.
  bool roomy() const { return static_cast<size_t>(end_ - from_) >= kTrellisGroup * 4 * sizeof(uint16_t); }

  // Nothing is left, and every system is where the encoder began: else some byte was not what the encoder wrote.
  bool ended() const {
    return from_ == end_ && !overrun_ &&
           std::all_of(systems_.begin(), systems_.end(), [](uint32_t state) { return state == kLowest; });
  }
  bool overrun() const { return overrun_; }

  template <bool kRoomy>
  int32_t take(size_t system, const Class& group_class, const TrellisTable& table) {
    uint32_t state = systems_[system];
    const uint32_t slot = state & kSlotMask;
    uint32_t coded = table.pivots[slot >> kPivotShift];
    while (slot >= table.starts[coded + 1]) ++coded;
    const uint32_t start = table.starts[coded];
    state = (table.starts[coded + 1] - start) * (state >> kTrellisTableBits) + slot - start;
    state = fill<kRoomy>(state);
    if (coded == table.escape) {
      coded = state & ((1U << kEscapeBits) - 1);
      state = fill<kRoomy>(state >> kEscapeBits);
      coded |= (state & ((1U << kEscapeBits) - 1)) << kEscapeBits;
      state = fill<kRoomy>(state >> kEscapeBits);
    }
    int32_t k = unzigzag(coded);
    if (group_class.uniform_bits > 0) {
      const unsigned bits = group_class.uniform_bits;
      const auto lower = static_cast<int32_t>(state & ((1U << bits) - 1));
      state = fill<kRoomy>(state >> bits);
      k = std::clamp(k, -kTrellisIndexMax, kTrellisIndexMax);
      k = static_cast<int32_t>(std::clamp<int64_t>(int64_t{k} * (int64_t{1} << bits) + lower - group_class.half,
                                                   -2 * kTrellisIndexMax, 2 * kTrellisIndexMax));
    }
    systems_[system] = state;
    return k;
  }

 private:
  template <bool kRoomy>
  uint32_t fill(uint32_t state) {
    if (state >= kLowest) return state;
    if (!kRoomy && end_ - from_ < static_cast<ptrdiff_t>(sizeof(uint16_t))) {
      overrun_ = true;
      return state << 16;
    }
    state = (state << 16) | load_le<uint16_t>(from_);
    from_ += sizeof(uint16_t);
    return state;
  }

  const uint8_t* from_;
  const uint8_t* end_;
  bool overrun_ = false;
  std::array<uint32_t, kSystemsMax> systems_;
};

struct NextStates {
  std::array<std::array<uint8_t, 2>, kTrellisStates> state{};
};
constexpr NextStates next_states() {
  NextStates next;
  for (unsigned s = 0; s < kTrellisStates; ++s) {
    for (unsigned p = 0; p < 2; ++p) next.state[s][p] = static_cast<uint8_t>(trellis_next(s, p));
  }
  return next;
}
constexpr NextStates kNext = next_states();

using Paths = std::array<uint8_t, kTrellisLanes>;

// One group; returns the sum of its magnitudes, or UINT32_MAX if an index is beyond its limit.
template <bool kRoomy, size_t kSystems>
uint32_t take_group(Unpacker& unpacker, const Class& group_class, Paths& paths, std::span<float> values) {
  uint32_t sum = 0;
  uint32_t largest = 0;
  for (size_t n = 0; n < values.size(); ++n) {
    uint8_t& state = paths[n % kTrellisLanes];
    const unsigned odd = state & 1U;
    const int32_t k = unpacker.take<kRoomy>(n % kSystems, group_class, group_class.tables[odd]);
    state = kNext.state[state][static_cast<unsigned>(k) & 1U];
    values[n] = static_cast<float>(2 * k + static_cast<int32_t>(odd));
    const uint32_t magnitude = trellis_magnitude(k, odd);
    sum += magnitude;
    largest |= magnitude;
  }
  return largest > 2U * static_cast<uint32_t>(kTrellisIndexMax) ? UINT32_MAX : sum;
}

// Where the search is tried to tell the size of a vector: all of it, or pieces that are spread evenly.
struct Sample {
  Sample(size_t count, size_t count_max) : size(count) {
    if (count <= count_max) return;
    pieces = count_max / kPiece;
    size = kPiece;
    stride = (count - kPiece) / (pieces - 1);
  }

  static constexpr size_t kPiece = 8192;
  size_t pieces = 1;
  size_t size;
  size_t stride = 0;
};
// Rare bursts of points other than zero are what the size consists of below kSparseBits a coordinate.
constexpr size_t kSampled = 1 << 17;
constexpr size_t kSparselySampled = 1 << 20;
constexpr double kSparseBits = 0.75;

// What the nearest points would take, alternately even and odd ones.
class NearestCosts {
 public:
  NearestCosts(std::span<const float> first_values, float inverse_step)
      : inverse_step_(inverse_step), costs_(TrellisModel::instance(), first_class(first_values)) {}

  void add(std::span<const float> values) {
    for (size_t first = 0; first < values.size(); first += kTrellisGroup) {
      const size_t size = std::min(kTrellisGroup, values.size() - first);
      Group group;
      for (size_t n = 0; n < size; ++n) group[n] = nearest(values[first + n], n & 1U);
      costs_.add(group, size);
    }
  }

  double bits() const { return costs_.best().bits; }

 private:
  Symbol nearest(float value, unsigned odd) const {
    // Adding 2^21 makes the conversion round down; beyond 2^20 the values travel as they are.
    const float scaled = std::clamp(value * inverse_step_, -1048576.0F, 1048576.0F);
    const double half = (double{scaled} - odd) * 0.5 + (0.5 + 2097152.0);
    return {static_cast<int32_t>(half) - 2097152, odd};
  }

  unsigned first_class(std::span<const float> values) const {
    int64_t sum = 0;
    for (size_t n = 0; n < values.size(); ++n) {
      const Symbol symbol = nearest(values[n], n & 1U);
      sum += trellis_magnitude(symbol.k, symbol.odd);
    }
    return class_of(TrellisModel::instance(), sum, values.size());
  }

  float inverse_step_;
  ModelCosts costs_;
};

// The class that the first points of a search begin with.
unsigned first_class_of(const TrellisSearch& search, size_t count) {
  int64_t sum = 0;
  for (size_t n = 0; n < std::min(count, kFirstCoordinates); ++n) {
    const Symbol symbol = symbol_at(search.symbols(n / kTrellisLanes).data(), n % kTrellisLanes);
    sum += trellis_magnitude(symbol.k, symbol.odd);
  }
  return class_of(TrellisModel::instance(), sum, std::min(count, kFirstCoordinates));
}

// What the points take that the search finds.
double searched_bits(std::span<const float> values, float inverse_step, const Sample& sample) {
  std::optional<ModelCosts> costs;
  bool all_zero = true;
  for (size_t piece = 0; piece < sample.pieces; ++piece) {
    const std::span<const float> part = values.subspan(piece * sample.stride, sample.size);
    TrellisSearch search(part, inverse_step);
    size_t first = 0;
    while (const size_t steps = search.decide()) {
      if (!costs)
        costs.emplace(TrellisModel::instance(), first_class_of(search, std::min(part.size(), steps * kTrellisLanes)));
      // Paths that left zero before a piece begins would still be away from it.
      if (first == 0 && piece > 0) {
        first += steps * kTrellisLanes;
        continue;
      }
      for (size_t step = 0; step < steps; step += 2, first += kTrellisGroup) {
        const size_t size = std::min(kTrellisGroup, part.size() - first);
        Group group;
        for (size_t n = 0; n < size; ++n) {
          group[n] = symbol_at(search.symbols(step + n / kTrellisLanes).data(), n % kTrellisLanes);
          all_zero = all_zero && group[n].k == 0 && group[n].odd == 0;
        }
        costs->add(group, size);
      }
    }
  }
  return all_zero ? 0.0 : costs->best().bits;
}

// What the whole vector takes, where a sample of it was searched: the nearest points tell how the rest differs.
double predicted_bits(std::span<const float> values, float inverse_step, const Sample& sample) {
  const double searched = searched_bits(values, inverse_step, sample);
  if (sample.pieces == 1 || searched == 0.0) return searched;
  const std::span<const float> first = values.first(kFirstCoordinates);
  NearestCosts whole(first, inverse_step);
  whole.add(values);
  NearestCosts sampled(first, inverse_step);
  for (size_t piece = 0; piece < sample.pieces; ++piece) {
    const size_t skipped = piece == 0 ? 0 : kTrellisEmitted * kTrellisLanes;
    sampled.add(values.subspan(piece * sample.stride + skipped, sample.size - skipped));
  }
  return searched * whole.bits() / sampled.bits();
}

}  // namespace

TrellisModelChoice choose_trellis_model(ByteView symbols, size_t count) {
  if (count == 0) return {};
  const TrellisModel& model = TrellisModel::instance();
  const size_t looked_at = std::min(count, kFirstCoordinates);
  int64_t sum = 0;
  for (size_t n = 0; n < looked_at; ++n) {
    const Symbol symbol = symbol_at(symbols.data(), n);
    sum += trellis_magnitude(symbol.k, symbol.odd);
  }
  ModelCosts costs(model, class_of(model, sum, looked_at));
  for (size_t first = 0; first < count; first += kTrellisGroup) {
    const size_t size = std::min(kTrellisGroup, count - first);
    Group group;
    for (size_t n = 0; n < size; ++n) group[n] = symbol_at(symbols.data(), first + n);
    costs.add(group, size);
  }
  return costs.best();
}

ByteView pack_trellis(const TrellisModelChoice& choice, MutableByteView buffer, size_t count) {
  const TrellisModel& model = TrellisModel::instance();
  uint8_t* symbols = buffer.data();
  // The coder runs backwards, but the classes follow from what comes before: they are noted in the symbols first.
  TrellisScale scale(model, choice.first_class, choice.rate);
  for (size_t first = 0; first < count; first += kTrellisGroup) {
    uint32_t sum = 0;
    const unsigned c = scale.current();
    for (size_t n = first; n < std::min(count, first + kTrellisGroup); ++n) {
      const Symbol symbol = symbol_at(symbols, n);
      sum += trellis_magnitude(symbol.k, symbol.odd);
    }
    const auto word = load_le<uint32_t>(symbols + first * kTrellisSymbolBytes);
    store_le(symbols + first * kTrellisSymbolBytes, word | c);
    scale.add(sum);
  }
  const size_t systems = systems_for(count);
  Packer packer(buffer.data() + buffer.size());
  for (size_t group = (count + kTrellisGroup - 1) / kTrellisGroup; group-- > 0;) {
    const size_t first = group * kTrellisGroup;
    const size_t size = std::min(kTrellisGroup, count - first);
    std::array<Symbol, kTrellisGroup> taken;
    for (size_t n = 0; n < size; ++n) taken[n] = symbol_at(symbols, first + n);
    const unsigned c = load_le<uint32_t>(symbols + first * kTrellisSymbolBytes) & 127U;
    const Class group_class(model, choice.shape, c);
    // A coordinate takes at most four words, and the head lies before the first.
    const auto room_bytes = packer.position() - (symbols + first * kTrellisSymbolBytes);
    if (room_bytes < static_cast<ptrdiff_t>(4 * sizeof(uint16_t) * kTrellisGroup + head_bytes(systems))) return {};
    for (size_t n = size; n-- > 0;) put_symbol(packer, group_class, n & (systems - 1), taken[n]);
  }
  const uint8_t* start = packer.finish(choice, systems);
  return {start, static_cast<size_t>(buffer.data() + buffer.size() - start)};
}

double predict_packed_trellis_bytes(std::span<const float> values, float inverse_step) {
  if (values.empty()) return 0.0;
  double bits = predicted_bits(values, inverse_step, Sample(values.size(), kSampled));
  if (values.size() > kSampled && bits < kSparseBits * static_cast<double>(values.size())) {
    bits = predicted_bits(values, inverse_step, Sample(values.size(), kSparselySampled));
  }
  if (bits == 0.0) return 0.0;
  // A system's last state holds on average half its bits of what was coded into it.
  const size_t systems = systems_for(values.size());
  return bits / 8.0 + static_cast<double>(head_bytes(systems) - systems * sizeof(uint16_t));
}

Failure unpack_trellis(ByteView payload, std::span<float> values) {
  const size_t systems = systems_for(values.size());
  if (payload.size() < head_bytes(systems)) return fail(Error::kTruncated, "payload ends inside its head");
  const unsigned shape = payload[0] & 15U;
  const unsigned rate = payload[0] >> 4U;
  const unsigned first_class = payload[1];
  if (shape >= kTrellisShapes || rate < 1 || rate > 7 || first_class >= kTrellisClasses) {
    return fail(Error::kOutOfRange, "no model has shape %u, rate %u and class %u", shape, rate, first_class);
  }
  Unpacker unpacker(payload.data() + head_bytes(systems), payload.data() + payload.size());
  for (size_t system = 0; system < systems; ++system) {
    unpacker.set(system, load_le<uint32_t>(payload.data() + 2 + system * sizeof(uint32_t)));
  }
  const auto take = [&](const Class& group_class, Paths& paths, std::span<float> group) {
    if (systems == 1) return take_group<false, 1>(unpacker, group_class, paths, group);
    return unpacker.roomy() ? take_group<true, kSystemsMax>(unpacker, group_class, paths, group)
                            : take_group<false, kSystemsMax>(unpacker, group_class, paths, group);
  };
  const TrellisModel& model = TrellisModel::instance();
  TrellisScale scale(model, first_class, rate);
  Paths paths{};
  for (size_t first = 0; first < values.size(); first += kTrellisGroup) {
    const Class group_class(model, static_cast<TrellisShape>(shape), scale.current());
    const std::span<float> group = values.subspan(first, std::min(kTrellisGroup, values.size() - first));
    const uint32_t sum = take(group_class, paths, group);
    if (unpacker.overrun()) return fail(Error::kTruncated, "payload ends before value %zu", first + group.size());
    if (sum == UINT32_MAX) return fail(Error::kOutOfRange, "an index from value %zu on is too large", first);
    scale.add(sum);
  }
  if (!unpacker.ended()) return fail(Error::kMalformed, "payload does not end where its values do");
  return Error::kOk;
}

}  // namespace runnel::codec
