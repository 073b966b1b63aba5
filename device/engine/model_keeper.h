// The newest model that this device has, kept over restarts: whoever holds an older version gets a delta instead of the
// whole model.
//
// The storage is two halves, written in turn: first the model, then, once that is durable, the header that vouches for
// it. A power cut leaves the new one or the one before. What does not hold (torn, rotten, foreign) counts as nothing
// held: the model can always be fetched again. Threads: one at a time. Memory: none of its own. Trust: CRCs guard
// against torn and flipped bytes, not against malice.
#pragma once

#include <cstdint>

#include "runtime/base/result.h"
#include "runtime/journal/storage.h"
#include "runtime/wire/reassembly.h"

namespace runnel::device {

class ModelKeeper {
 public:
  static constexpr uint64_t kHeaderBytes = 64;

  // `storage` must outlive the keeper. A model of up to size_bytes() / 2 - kHeaderBytes can be kept.
  explicit ModelKeeper(journal::Storage& storage) : storage_(storage) {}

  struct Kept {
    uint64_t run = 0;
    uint64_t version = 0;
  };

  // Reads the newest model that holds into `message`. kNotFound: the storage is empty; kCorrupt: it is not, and nothing
  // in it holds; kIo. `message` is then empty.
  Result<Kept> load(wire::Reassembly& message, uint64_t bytes_max);

  // Durable on return. kStorageFull, also when the model is larger than half the storage; kIo. On failure the model
  // before this one is kept.
  Failure save(const Kept& kept, ByteView message);

 private:
  struct Header {
    uint64_t generation = 0;  // 0: the slot holds nothing
    Kept kept;
    uint64_t bytes = 0;
    uint32_t checksum = 0;
  };
  uint64_t slot_offset(unsigned slot) const { return slot == 0 ? 0 : storage_.size_bytes() / 2 / 8 * 8; }
  uint64_t slot_bytes() const { return storage_.size_bytes() / 2 / 8 * 8; }
  Failure read_header(unsigned slot, Header& header, bool& blank);
  Failure read_message(unsigned slot, const Header& header, wire::Reassembly& message, uint64_t bytes_max);

  journal::Storage& storage_;
  unsigned active_ = 1;      // the slot that must not be written next
  uint64_t generation_ = 0;  // newest seen
};

}  // namespace runnel::device
