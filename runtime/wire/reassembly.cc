#include "runtime/wire/reassembly.h"

namespace runnel::wire {

Failure Reassembly::start(uint64_t total_bytes, uint64_t bytes_max) {
  if (total_bytes == 0 || total_bytes > bytes_max) {
    return fail(Error::kLimit, "a message of %llu bytes, the limit is %llu",
                static_cast<unsigned long long>(total_bytes), static_cast<unsigned long long>(bytes_max));
  }
  reset();
  if (total_bytes > SIZE_MAX || !buffer_.allocate(static_cast<size_t>(total_bytes)))
    return fail(Error::kNoMemory, "no memory for a message of %llu bytes",
                static_cast<unsigned long long>(total_bytes));
  return Error::kOk;
}

Failure Reassembly::add(uint64_t offset, ByteView payload) {
  if (!range_within(offset, payload.size(), total_bytes()) || offset > received_bytes_) {
    return fail(Error::kOutOfRange, "a chunk [%llu, +%zu) where byte %llu of %llu is next",
                static_cast<unsigned long long>(offset), payload.size(),
                static_cast<unsigned long long>(received_bytes_), static_cast<unsigned long long>(total_bytes()));
  }
  const uint64_t end = offset + payload.size();
  if (end <= received_bytes_) return Error::kOk;
  const uint64_t known = received_bytes_ - offset;
  std::memcpy(buffer_.data() + received_bytes_, payload.data() + known, payload.size() - static_cast<size_t>(known));
  received_bytes_ = end;
  return Error::kOk;
}

void Reassembly::reset() {
  buffer_ = {};
  received_bytes_ = 0;
}

}  // namespace runnel::wire
