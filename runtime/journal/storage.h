// What the journal asks of the place it writes to: four functions over a fixed run of bytes. A Linux file is one
// (runtime/host/file_storage.h), raw flash behind a small adapter another, the tests' fault injector a third.
//
// Threads: one at a time. Trust: the bytes may be torn or rotten, and the journal finds out; they are not an enemy's.
#pragma once

#include <cstdint>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"

namespace runnel::journal {

class Storage {
 public:
  virtual ~Storage() = default;

  // The capacity; the same for the whole life of the object.
  virtual uint64_t size_bytes() const = 0;

  // Fills `into` from `offset`, with everything written so far, synced or not. kIo: the contents of `into` are unknown.
  virtual Error read(uint64_t offset, MutableByteView into) = 0;

  // kStorageFull or kIo: then, as after a power cut, any mix of old and new bytes may stand in [offset, offset + size).
  // Bytes outside that range never change.
  virtual Error write(uint64_t offset, ByteView bytes) = 0;

  // On kOk all earlier writes are durable. Until then, each may be lost, cut or reordered by a power cut. After a
  // failed sync no later one vouches for the earlier writes; the object that opens the storage next must read what is
  // really stored.
  virtual Error sync() = 0;
};

}  // namespace runnel::journal
