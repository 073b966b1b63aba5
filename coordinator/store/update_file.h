// The bytes of updates that the open round has accepted, in a file beside the database: written once, in order, and
// named by rows of the database, which say where each lies and what its checksum is.
//
// SQLite would write them twice, into its log and into its pages, with a checksum and a place for every page. The
// order is what makes both one: bytes are written and synced here first, and count from the moment that the transaction
// with their rows is committed. What no row names is free, so a write that was cut short, torn or reordered by a power
// failure costs nothing, and when a round has closed, the next one writes from the beginning again. Every write begins
// on a block of its own, so that one which is torn cannot touch bytes that count already.
//
// Memory: none but the descriptor. Threads: one at a time. Trust: the store's own file, whose bytes the caller checks.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::coordinator {

class UpdateFile {
 public:
  static constexpr uint64_t kBlockBytes = 4096;
  // Of a file whose bytes have ended, what is left for the next round: written over, it needs no new blocks.
  static constexpr uint64_t kKeptBytes = 16ULL << 20;

  // Nothing is opened yet.
  explicit UpdateFile(std::string path) : path_(std::move(path)) {}
  UpdateFile(const UpdateFile&) = delete;
  UpdateFile& operator=(const UpdateFile&) = delete;
  ~UpdateFile();

  // Where the next write may begin when `bytes` bytes count.
  static constexpr uint64_t next_block(uint64_t bytes) { return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes; }

  // Writes the blobs one after another from `offset` and syncs them; the file is made (0600) when it is missing.
  // kStorageFull, kIo: nothing counts, and what the file grew by is given back.
  Failure write(uint64_t offset, std::span<const ByteView> blobs);
  // Fills `out` from `offset`. kCorrupt: the file is missing or ends before.
  Failure read(uint64_t offset, MutableByteView out);
  // Gives back what lies beyond. Room is all that this is about, so a failure is none.
  void cut(uint64_t bytes);
  // The file will not grow beyond this, as if the disk were full.
  void set_bytes_max(uint64_t bytes_max) { bytes_max_ = bytes_max; }

  const std::string& path() const { return path_; }

 private:
  Failure open(bool create);
  Failure write_all(uint64_t offset, std::span<const ByteView> blobs);
  Failure failure(const char* doing, int code) const;

  std::string path_;
  int descriptor_ = -1;
  uint64_t bytes_max_ = UINT64_MAX;
};

}  // namespace runnel::coordinator
