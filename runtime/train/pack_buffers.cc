#include "runtime/train/pack_buffers.h"

#include <algorithm>

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
  const auto life = [&](uint16_t index) { return uint64_t{buffers[index].last} - buffers[index].first + 1; };
  const auto by_size = [&](uint16_t a, uint16_t b) {
    if (buffers[a].lines != buffers[b].lines) return buffers[a].lines > buffers[b].lines;
    return life(a) != life(b) ? life(a) > life(b) : a < b;
  };
  const auto by_area = [&](uint16_t a, uint16_t b) {
    const uint64_t left = buffers[a].lines * life(a);
    const uint64_t right = buffers[b].lines * life(b);
    return left != right ? left > right : a < b;
  };
  const auto by_life = [&](uint16_t a, uint16_t b) { return life(a) != life(b) ? life(a) > life(b) : by_size(a, b); };

  // The best order is kept, not the places that it gives: they are found again at the end.
  Order best;
  uint64_t lines = UINT64_MAX;
  const auto attempt = [&] {
    const uint64_t found = place_in_order(buffers, order);
    if (found >= lines) return;
    lines = found;
    best = order;
  };
  std::sort(order.begin(), order.end(), by_size);
  attempt();
  std::sort(order.begin(), order.end(), by_area);
  attempt();
  std::sort(order.begin(), order.end(), by_life);
  attempt();
  return place_in_order(buffers, best);
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
