#include "device/engine/outbox.h"

#include <algorithm>
#include <array>

#include "runtime/base/crc32c.h"
#include "runtime/journal/format.h"

namespace runnel::device {
namespace {

constexpr uint32_t kHeadKey = 1;
constexpr uint32_t kResidualKey = 1;  // plus the slot: 2 or 3
constexpr uint32_t kUpdateKey = 3;    // plus the slot: 4..

ByteView bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}

}  // namespace

Result<Outbox> Outbox::open(journal::Journal& journal) {
  Outbox outbox(journal);
  const Result<uint64_t> size = journal.size(kHeadKey);
  if (!size) {
    if (size.error() != Error::kNotFound) return size.failure();
    return outbox;
  }
  RUNNEL_TRY(journal.verify(kHeadKey));
  std::vector<uint8_t> start(static_cast<size_t>(std::min<uint64_t>(*size, kOutboxRecordBytesMax)));
  RUNNEL_TRY(journal.read(kHeadKey, 0, start));
  Result<OutboxHead> head = decode_outbox(start, *size, outbox.inline_offset_);
  if (!head) return head.failure();
  outbox.head_ = std::move(head).value();
  outbox.clocked_before_ = outbox.head_.sequence;
  RUNNEL_TRY(outbox.verify_entries());
  return outbox;
}

Failure Outbox::verify_entries() {
  for (auto entry = head_.entries.begin(); entry != head_.entries.end();) {
    Failure bad = Error::kOk;
    if (entry->slot != 0) {
      const Result<uint64_t> size = journal_->size(kUpdateKey + entry->slot);
      bad = size.ok() ? journal_->verify(kUpdateKey + entry->slot) : size.failure();
      if (bad.ok() && *size != entry->total_bytes)
        bad = fail(Error::kCorrupt, "the update record's size does not fit the head");
    }
    if (!bad.ok() && bad.error() != Error::kCorrupt && bad.error() != Error::kNotFound) return bad;
    rotten_count_ += bad.ok() ? 0 : 1;
    entry = bad.ok() ? entry + 1 : head_.entries.erase(entry);
  }
  return Error::kOk;
}

const OutboxEntry* Outbox::front() const {
  const auto found =
      std::find_if(head_.entries.begin(), head_.entries.end(), [](const auto& entry) { return !entry.given_back; });
  return found == head_.entries.end() ? nullptr : &*found;
}

OutboxEntry* Outbox::find(OutboxHead& head, uint64_t sequence) const {
  const auto found = std::find_if(head.entries.begin(), head.entries.end(),
                                  [&](const auto& entry) { return entry.sequence == sequence; });
  RUNNEL_ASSERT(found != head.entries.end());
  return &*found;
}

void Outbox::take(uint64_t sequence) {
  find(head_, sequence)->taken = true;
}

void Outbox::untake() {
  for (OutboxEntry& entry : head_.entries) entry.taken = false;
}

void Outbox::handle_time(uint32_t passed_s, uint64_t unix_s, uint32_t off_s_max) {
  uint64_t off_s = 0;
  const bool first = unix_s_ == 0 && unix_s != 0;
  if (first && head_.written_at_s != 0 && unix_s > head_.written_at_s)
    off_s = std::min<uint64_t>(unix_s - head_.written_at_s, off_s_max);
  for (OutboxEntry& entry : head_.entries) {
    const uint64_t age_s = uint64_t{entry.age_s} + passed_s + (entry.sequence <= clocked_before_ ? off_s : 0);
    entry.age_s = static_cast<uint32_t>(std::min<uint64_t>(age_s, UINT32_MAX));
  }
  if (first) clocked_before_ = 0;
  if (unix_s != 0) unix_s_ = unix_s;
}

// --- room ---

// A slot that neither what is durable nor what is to be uses; one with a dead record first, for that is replaced then.
uint32_t Outbox::free_slot(const OutboxHead& next) const {
  const auto used = [](const OutboxHead& head, uint32_t slot) {
    return std::any_of(head.entries.begin(), head.entries.end(),
                       [&](const OutboxEntry& entry) { return entry.slot == slot; });
  };
  uint32_t free = 0;
  for (uint32_t slot = kOutboxEntriesMax; slot > 0; --slot) {
    if (used(head_, slot) || used(next, slot)) continue;
    if (journal_->contains(kUpdateKey + slot)) return slot;
    free = slot;
  }
  return free;
}

void Outbox::sweep() {
  for (uint32_t slot = 1; slot <= 2; ++slot) {
    if (slot != head_.residual_slot) static_cast<void>(journal_->erase(kResidualKey + slot).ok());
  }
  uint64_t named = 0;
  for (const OutboxEntry& entry : head_.entries) named |= uint64_t{1} << entry.slot;
  for (uint32_t slot = 1; slot <= kOutboxEntriesMax; ++slot) {
    if ((named >> slot & 1) == 0) static_cast<void>(journal_->erase(kUpdateKey + slot).ok());
  }
}

bool Outbox::has_room(uint64_t message_bytes, size_t residual_count) {
  if (head_.entries.size() >= kOutboxEntriesMax) return false;
  const Result<uint64_t> head_bytes = journal_->size(kHeadKey);
  uint64_t need = journal::record_bytes(kOutboxRecordBytesMax);
  if (inline_offset_ != 0) {
    for (const OutboxEntry& entry : head_.entries)
      need += entry.slot == 0 ? journal::record_bytes(entry.total_bytes) : 0;
  } else if (head_bytes) {
    need -= std::min(need, journal::record_bytes(*head_bytes));
  }
  if (message_bytes != 0) need += journal::record_bytes(message_bytes);
  // The new residual is written while the old one still counts; and where there was none, once more for a fold.
  const uint64_t residual = residual_count == 0 ? 0 : journal::record_bytes(residual_count * sizeof(float));
  need += head_.residual_slot == 0 ? 2 * residual : residual;
  if (need <= journal_->unused_bytes()) return true;
  sweep();
  return need <= journal_->unused_bytes();
}

// --- changes ---

Failure Outbox::write(OutboxHead next, ByteView state) {
  RUNNEL_ASSERT(state.size() <= kStateBytesMax);
  if (!state.empty()) next.state.assign(state.begin(), state.end());
  if (unix_s_ != 0) next.written_at_s = unix_s_;
  RUNNEL_TRY(move_inline(next));
  const std::vector<uint8_t> record = encode_outbox(next);
  RUNNEL_TRY(journal_->put(kHeadKey, record));
  head_ = std::move(next);
  inline_offset_ = 0;
  return Error::kOk;
}

// The update that lies behind an older format's head gets a slot, as the head is about to be replaced.
Failure Outbox::move_inline(OutboxHead& next) {
  for (OutboxEntry& entry : next.entries) {
    if (entry.slot != 0) continue;
    std::vector<uint8_t> message(static_cast<size_t>(entry.total_bytes));
    RUNNEL_TRY(read(entry, 0, message));
    const uint32_t slot = free_slot(next);
    RUNNEL_TRY(journal_->put(kUpdateKey + slot, message));
    entry.slot = slot;
  }
  return Error::kOk;
}

Failure Outbox::put_residual(std::span<const float> residual, OutboxHead& next) {
  next.residual_slot = next.residual_count = 0;
  if (residual.empty()) return Error::kOk;
  next.residual_slot = head_.residual_slot == 1 ? 2 : 1;
  next.residual_count = static_cast<uint32_t>(residual.size());
  return journal_->put(kResidualKey + next.residual_slot, bytes_of(residual));
}

Failure Outbox::store(const NewUpdate& update) {
  RUNNEL_ASSERT(update.sequence >= next_sequence());
  if (!has_room(update.message.size(), update.residual.size())) {
    return fail(Error::kStorageFull, "no room for an update of %zu bytes beside %zu others", update.message.size(),
                head_.entries.size());
  }
  OutboxHead next = head_;
  std::erase_if(next.entries, [](const OutboxEntry& entry) { return entry.taken; });
  const bool further = head_.sequence != 0 && head_.run == update.run && head_.round == update.round && !head_.kept;
  next.made = further ? head_.made + 1 : 1;
  next.sequence = update.sequence;
  next.run = update.run;
  next.round = update.round;
  next.kept = update.message.empty();
  if (!next.kept) {
    OutboxEntry entry;
    entry.sequence = update.sequence;
    entry.run = update.run;
    entry.round = update.round;
    entry.model_version = update.model_version;
    entry.checksum = crc32c(update.message);
    entry.total_bytes = update.message.size();
    entry.carries = update.carries || !update.residual.empty();
    entry.slot = free_slot(next);
    RUNNEL_TRY(journal_->put(kUpdateKey + entry.slot, update.message));
    next.entries.push_back(entry);
  }
  RUNNEL_TRY(put_residual(update.residual, next));
  return write(std::move(next), update.state);
}

Failure Outbox::settle(uint64_t sequence, ByteView state) {
  OutboxHead next = head_;
  next.entries.erase(next.entries.begin() + (find(next, sequence) - next.entries.data()));
  return write(std::move(next), state);
}

Failure Outbox::give_back(uint64_t sequence, ByteView state) {
  OutboxHead next = head_;
  find(next, sequence)->given_back = true;
  return write(std::move(next), state);
}

Failure Outbox::fold(uint64_t sequence, std::span<const float> residual) {
  OutboxHead next = head_;
  next.entries.erase(next.entries.begin() + (find(next, sequence) - next.entries.data()));
  RUNNEL_TRY(put_residual(residual, next));
  return write(std::move(next), {});
}

// --- reading ---

Result<std::vector<float>> Outbox::residual(uint64_t run) const {
  std::vector<float> residual;
  if (head_.residual_slot == 0 || head_.run != run) return residual;
  const uint32_t key = kResidualKey + head_.residual_slot;
  const Result<uint64_t> size = journal_->size(key);
  if (!size) return size.failure();
  if (*size != uint64_t{head_.residual_count} * sizeof(float))
    return fail(Error::kCorrupt, "the residual record's size does not fit the head");
  residual.resize(head_.residual_count);
  RUNNEL_TRY(journal_->read(
      key, 0, MutableByteView(reinterpret_cast<uint8_t*>(residual.data()), residual.size() * sizeof(float))));
  return residual;
}

Failure Outbox::read(const OutboxEntry& entry, uint64_t offset, MutableByteView bytes) const {
  if (entry.slot == 0) return journal_->read(kHeadKey, inline_offset_ + offset, bytes);
  return journal_->read(kUpdateKey + entry.slot, offset, bytes);
}

}  // namespace runnel::device
