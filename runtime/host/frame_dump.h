// Plaintext frames as files, for looking at: DIR/000042-out-UpdateChunk.rnl. The stock flatc opens them
// (schemas/WIRE.md).
//
// A debugging aid: a full disk or a missing folder is reported once and then ignored. Threads: one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"

namespace runnel::host {

class FrameDump {
 public:
  FrameDump() = default;

  // Creates the folder if need be. Frames hold private data: only the owner may read them.
  static Result<FrameDump> open(const std::string& folder);

  // `direction` is "in" or "out"; `name` the message's schema name; `extension` "rnl", "rnlu" or "rnlm".
  void write(std::string_view direction, std::string_view name, std::string_view extension, ByteView bytes);
  bool enabled() const { return !folder_.empty(); }

 private:
  std::string folder_;
  uint64_t next_ = 1;
};

}  // namespace runnel::host
