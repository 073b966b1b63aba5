// Opening a journal over any bytes ends in a journal or an error, and what is then read is the truth or is called
// corrupt.
//
// Input: one byte of mode, then mode 0: the storage's bytes; else: damage to a journal that was written here, as
// triples of an offset (u16) and a byte to exclusive-or with.
#include <algorithm>
#include <array>
#include <cstdint>

#include "runtime/journal/journal.h"
#include "tests/unit/journal/faulty_storage.h"

namespace {

using runnel::ByteView;
using runnel::Error;
using runnel::journal::Journal;
using runnel::journal::test::Bytes;
using runnel::journal::test::FaultyStorage;

constexpr uint32_t kKeys = 3;
constexpr uint32_t kNewKey = 0xF00D;
constexpr uint8_t kVersions = 20;

// Key and version are in the bytes, so that a value can be told from every other.
Bytes value_of(uint32_t key, uint8_t version) {
  Bytes value(1 + version % 7 * 9U, version);
  value.front() = static_cast<uint8_t>(key);
  return value;
}

bool was_ever(uint32_t key, const Bytes& value) {
  for (uint8_t version = 0; version < kVersions; ++version) {
    if (version % kKeys == key && value == value_of(key, version)) return true;
  }
  return false;
}

// `written_here`: the only values are those of value_of().
void examine(FaultyStorage& storage, bool written_here) {
  auto journal = Journal::open(storage, {.record_bytes_max = 4096});
  if (!journal.ok()) return;
  uint64_t bytes = 0;
  for (const uint32_t key : journal->keys()) {
    const auto size = journal->size(key);
    RUNNEL_ASSERT(size.ok() && size.value() <= storage.size_bytes());
    bytes += runnel::journal::record_bytes(size.value());
    Bytes value(size.value());
    const Error error = journal->read(key, 0, value).error();
    RUNNEL_ASSERT(error == journal->verify(key).error());
    RUNNEL_ASSERT(error == Error::kOk || error == Error::kCorrupt);
    RUNNEL_ASSERT(error != Error::kOk || !written_here || was_ever(key, value));
  }
  RUNNEL_ASSERT(bytes == journal->live_bytes() && bytes < storage.size_bytes());

  const Bytes value{1, 2, 3, 4, 5};
  const uint64_t room = journal->free_bytes();
  const Error put = journal->put(kNewKey, ByteView(value)).error();
  RUNNEL_ASSERT(put == Error::kOk || put == Error::kLimit || (put == Error::kStorageFull && room < value.size()));
  const size_t count = journal->keys().size();
  auto reopened = Journal::open(storage, {});
  RUNNEL_ASSERT(reopened.ok() && reopened->keys().size() == count);
  if (put != Error::kOk) return;
  Bytes read(value.size());
  RUNNEL_ASSERT(reopened->read(kNewKey, 0, read).ok() && read == value);
  RUNNEL_ASSERT(!reopened->recovery().dropped_tail);
  RUNNEL_ASSERT(reopened->erase(kNewKey).ok() && !reopened->contains(kNewKey));
}

void examine_arbitrary(ByteView bytes) {
  Bytes image(bytes.begin(), bytes.end());
  image.resize(std::max<size_t>(image.size(), runnel::journal::kStorageBytesMin));
  FaultyStorage storage(image.size());
  storage.load(image);
  examine(storage, false);
}

void examine_damaged(ByteView damage) {
  FaultyStorage storage(780);
  {
    auto journal = Journal::open(storage, {});
    RUNNEL_ASSERT(journal.ok());
    for (uint8_t version = 0; version < kVersions; ++version) {
      const uint32_t key = version % kKeys;
      RUNNEL_ASSERT(journal->put(key, ByteView(value_of(key, version))).ok());
    }
  }
  Bytes image = storage.bytes();
  for (; damage.size() >= 3; damage = damage.subspan(3)) {
    uint8_t& byte = image[runnel::load_le<uint16_t>(damage.data()) % image.size()];
    byte = static_cast<uint8_t>(byte ^ damage[2]);
  }
  storage.load(image);
  examine(storage, true);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  if (input.empty()) return 0;
  if (input.front() == 0) {
    examine_arbitrary(input.subspan(1));
  } else {
    examine_damaged(input.subspan(1));
  }
  return 0;
}
