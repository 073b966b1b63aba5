// Updates on their way in: at most one a device, and a bounded number of bytes for all of them.
//
// A part that was received stays here when its device loses the link, so that the upload goes on where it stopped.
// When there is no room, the part that has been silent longest gives way; its device then starts again from the
// beginning.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/time.h"
#include "runtime/wire/messages.h"
#include "runtime/wire/reassembly.h"

namespace runnel::coordinator {

class UploadTable {
 public:
  // `bytes_max` for all parts together, `update_bytes_max` for one.
  UploadTable(uint64_t bytes_max, uint64_t update_bytes_max)
      : bytes_max_(bytes_max), update_bytes_max_(update_bytes_max) {}

  // Begins, or finds again, the upload that the offer announces; gives the contiguous bytes received so far.
  // kLimit when the update is too large; kBusy when others that are active hold all the room.
  Result<uint64_t> offer(const std::string& device, const wire::UpdateOffer& offer, Instant now);

  // Takes a chunk and gives the contiguous bytes received. kNotFound without an offer of that sequence; kOutOfRange for
  // a gap.
  Result<uint64_t> add(const std::string& device, const wire::UpdateChunk& chunk, Instant now);

  // True once every byte is there and the checksum holds. kChecksum if all bytes are there and it does not.
  Result<bool> complete(const std::string& device) const;
  // REQUIRES: complete(device).
  ByteView bytes(const std::string& device) const;
  uint64_t sequence(const std::string& device) const;

  void forget(const std::string& device);
  uint64_t held_bytes() const { return held_bytes_; }
  size_t size() const { return uploads_.size(); }

 private:
  struct Upload {
    wire::UpdateOffer offer;
    wire::Reassembly bytes;
    Instant touched;
  };
  bool make_room(uint64_t bytes, Instant now);

  // A part that was touched this recently is in use and does not give way.
  static constexpr Duration kActive = seconds(30);

  uint64_t bytes_max_;
  uint64_t update_bytes_max_;
  uint64_t held_bytes_ = 0;
  std::map<std::string, Upload> uploads_;
};

}  // namespace runnel::coordinator
