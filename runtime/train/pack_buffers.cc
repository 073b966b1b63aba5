#include "runtime/train/pack_buffers.h"

#include <algorithm>
#include <array>

namespace runnel::train {
namespace {

using Order = StaticVector<uint16_t, kBuffersMax>;

bool meet(const Buffer& a, const Buffer& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The place for `buffer` among those that are placed already, which are sorted by place.
uint64_t find_place(const Buffers& buffers, const Order& placed, const Buffer& buffer) {
  uint64_t end = 0;  // of what was passed so far
  uint64_t best = 0;
  uint64_t best_gap = UINT64_MAX;
  for (const uint16_t index : placed) {
    const Buffer& other = buffers[index];
    if (!meet(buffer, other)) continue;
    if (other.place >= end + buffer.lines && other.place - end < best_gap) {
      best = end;
      best_gap = other.place - end;
    }
    end = std::max(end, other.place + other.lines);
  }
  return best_gap == UINT64_MAX ? end : best;
}

// Places buffers in the given order.
uint64_t place_in_order(Buffers& buffers, const Order& order) {
  Order placed;
  uint64_t lines = 0;
  for (const uint16_t index : order) {
    Buffer& buffer = buffers[index];
    buffer.place = find_place(buffers, placed, buffer);
    lines = std::max(lines, buffer.place + buffer.lines);
    RUNNEL_ASSERT(placed.push_back(index));
    for (size_t at = placed.size() - 1; at > 0 && buffers[placed[at - 1]].place > buffer.place; --at)
      std::swap(placed[at], placed[at - 1]);
  }
  return lines;
}

}  // namespace

uint64_t pack_buffers(Buffers& buffers) {
  Order order;
  for (size_t index = 0; index < buffers.size(); ++index) RUNNEL_ASSERT(order.push_back(static_cast<uint16_t>(index)));
  const auto before = [&](uint16_t a, uint16_t b) {
    const Buffer& left = buffers[a];
    const Buffer& right = buffers[b];
    if (left.lines != right.lines) return left.lines > right.lines;
    const uint32_t left_life = left.last - left.first;
    const uint32_t right_life = right.last - right.first;
    return left_life != right_life ? left_life > right_life : a < b;
  };
  std::sort(order.begin(), order.end(), before);
  return place_in_order(buffers, order);
}

uint64_t lines_alive_max(const Buffers& buffers) {
  uint64_t most = 0;
  // The most is reached at the moment when some buffer begins.
  for (const Buffer& begins : buffers) {
    uint64_t alive = 0;
    for (const Buffer& other : buffers)
      alive += other.first <= begins.first && begins.first <= other.last ? other.lines : 0;
    most = std::max(most, alive);
  }
  return most;
}

}  // namespace runnel::train
