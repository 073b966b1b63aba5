#include "fleet/delay_line.h"

#include <algorithm>

#include "runtime/base/error.h"

namespace runnel::fleet {

void DelayLine::push(ByteView bytes, Instant due) {
  RUNNEL_ASSERT(bytes.size() <= room_bytes());
  if (bytes.empty()) return;
  if (!pieces_.empty()) due = std::max(due, pieces_.back().due);
  pieces_.push_back({due, {bytes.begin(), bytes.end()}});
  bytes_ += bytes.size();
}

ByteView DelayLine::front(Instant now) const {
  if (pieces_.empty() || pieces_.front().due > now) return {};
  return ByteView(pieces_.front().bytes).subspan(consumed_);
}

void DelayLine::consume(size_t bytes) {
  RUNNEL_ASSERT(!pieces_.empty() && bytes <= pieces_.front().bytes.size() - consumed_);
  consumed_ += bytes;
  bytes_ -= bytes;
  if (consumed_ == pieces_.front().bytes.size()) {
    pieces_.pop_front();
    consumed_ = 0;
  }
}

}  // namespace runnel::fleet
