#include "device/kept_values.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/bytes.h"
#include "runtime/base/crc32c.h"
#include "runtime/host/file_bytes.h"

namespace runnel::device {
namespace {

constexpr uint32_t kMagic = 0x4C4C4E52;  // "RNLL"
constexpr uint32_t kFormat = 1;
constexpr size_t kHeaderBytes = 40;  // magic, format, run, two of sequence and count
constexpr uint64_t kFileBytesMax = kHeaderBytes + 2 * sizeof(float) * uint64_t{KeptValues::kCountMax} + 4;

}  // namespace

Failure KeptValues::load() {
  run_ = 0;
  states_ = {};
  if (path_.empty()) return Error::kNotFound;
  const Result<std::vector<uint8_t>> file = host::read_file(path_, kFileBytesMax);
  if (!file) return file.failure();
  const std::vector<uint8_t>& bytes = *file;
  const Failure damaged = fail(Error::kCorrupt, "%s: damaged; what it kept begins anew", path_.c_str());
  if (bytes.size() < kHeaderBytes + 4 || load_le<uint32_t>(bytes.data()) != kMagic ||
      load_le<uint32_t>(&bytes[4]) != kFormat ||
      load_le<uint32_t>(&bytes[bytes.size() - 4]) != crc32c(ByteView(bytes).first(bytes.size() - 4))) {
    return damaged;
  }
  const uint64_t counts[2] = {load_le<uint32_t>(&bytes[24]), load_le<uint32_t>(&bytes[36])};
  if (bytes.size() != kHeaderBytes + 4 + (counts[0] + counts[1]) * sizeof(float)) return damaged;
  run_ = load_le<uint64_t>(&bytes[8]);
  size_t at = kHeaderBytes;
  for (size_t i = 0; i < 2; ++i) {
    states_[i].sequence = load_le<uint64_t>(&bytes[16 + 12 * i]);
    states_[i].values.resize(static_cast<size_t>(counts[i]));
    if (counts[i] > 0)
      std::memcpy(states_[i].values.data(), &bytes[at], static_cast<size_t>(counts[i]) * sizeof(float));
    at += static_cast<size_t>(counts[i]) * sizeof(float);
  }
  return Error::kOk;
}

std::span<const float> KeptValues::before(uint64_t run, uint64_t sequence, size_t count) const {
  if (run != run_) return {};
  for (const State& state : states_) {
    if (state.sequence != 0 && state.sequence < sequence && state.values.size() == count) return state.values;
  }
  return {};
}

Failure KeptValues::keep(uint64_t run, uint64_t sequence, std::vector<float> values) {
  if (run != run_) states_ = {};
  run_ = run;
  if (states_[0].sequence != 0 && states_[0].sequence < sequence) states_[1] = std::move(states_[0]);
  states_[0] = {sequence, std::move(values)};
  Failure written = write();
  if (!written.ok()) static_cast<void>(load().ok());  // what is lost in memory is still there
  return written;
}

Failure KeptValues::write() const {
  if (path_.empty()) return Error::kOk;
  std::vector<uint8_t> bytes(kHeaderBytes);
  bytes.reserve(kHeaderBytes + (states_[0].values.size() + states_[1].values.size()) * sizeof(float) + 4);
  store_le<uint32_t>(bytes.data(), kMagic);
  store_le<uint32_t>(&bytes[4], kFormat);
  store_le<uint64_t>(&bytes[8], run_);
  for (size_t i = 0; i < 2; ++i) {
    store_le<uint64_t>(&bytes[16 + 12 * i], states_[i].sequence);
    store_le<uint32_t>(&bytes[24 + 12 * i], static_cast<uint32_t>(states_[i].values.size()));
    const auto* values = reinterpret_cast<const uint8_t*>(states_[i].values.data());
    bytes.insert(bytes.end(), values, values + states_[i].values.size() * sizeof(float));
  }
  const uint32_t checksum = crc32c(bytes);
  bytes.resize(bytes.size() + 4);
  store_le<uint32_t>(&bytes[bytes.size() - 4], checksum);
  return host::write_file_atomically(path_, bytes, 0600);
}

}  // namespace runnel::device
