#include "device/engine/model_keeper.h"

#include <algorithm>
#include <array>

#include "runtime/base/crc32c.h"

namespace runnel::device {
namespace {

constexpr uint32_t kMagic = 0x4B4C4E52;  // "RNLK"
constexpr uint32_t kFormat = 1;
constexpr size_t kCheckedBytes = ModelKeeper::kHeaderBytes - 4;

}  // namespace

Failure ModelKeeper::read_header(unsigned slot, Header& header, bool& blank) {
  header = {};
  std::array<uint8_t, kHeaderBytes> bytes{};
  if (slot_bytes() < kHeaderBytes) return Error::kOk;
  if (const Error error = storage_.read(slot_offset(slot), bytes); error != Error::kOk)
    return fail(error, "the kept model's header cannot be read");
  blank = std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0 || byte == 0xFF; });
  const uint8_t* in = bytes.data();
  if (load_le<uint32_t>(in) != kMagic || load_le<uint32_t>(in + 4) != kFormat ||
      load_le<uint32_t>(in + kCheckedBytes) != crc32c(ByteView(bytes).first(kCheckedBytes))) {
    return Error::kOk;
  }
  header.generation = load_le<uint64_t>(in + 8);
  header.kept = {load_le<uint64_t>(in + 16), load_le<uint64_t>(in + 24)};
  header.bytes = load_le<uint64_t>(in + 32);
  header.checksum = load_le<uint32_t>(in + 40);
  return Error::kOk;
}

Failure ModelKeeper::read_message(unsigned slot, const Header& header, wire::Reassembly& message, uint64_t bytes_max) {
  if (header.bytes > slot_bytes() - kHeaderBytes) return fail(Error::kCorrupt, "a kept model beyond its storage");
  RUNNEL_TRY(message.start(header.bytes, bytes_max));
  std::array<uint8_t, 1024> part;
  for (uint64_t at = 0; at < header.bytes; at += part.size()) {
    const MutableByteView bytes(part.data(), static_cast<size_t>(std::min<uint64_t>(part.size(), header.bytes - at)));
    if (const Error error = storage_.read(slot_offset(slot) + kHeaderBytes + at, bytes); error != Error::kOk)
      return fail(error, "the kept model cannot be read");
    RUNNEL_TRY(message.add(at, bytes));
  }
  if (crc32c(message.bytes()) != header.checksum) return fail(Error::kCorrupt, "the kept model is damaged");
  return Error::kOk;
}

Result<ModelKeeper::Kept> ModelKeeper::load(wire::Reassembly& message, uint64_t bytes_max) {
  std::array<Header, 2> headers;
  bool blank[2] = {true, true};
  for (unsigned slot = 0; slot < 2; ++slot) RUNNEL_TRY(read_header(slot, headers[slot], blank[slot]));
  const unsigned newer = headers[1].generation > headers[0].generation ? 1 : 0;
  generation_ = headers[newer].generation;
  Failure why = blank[0] && blank[1] ? fail(Error::kNotFound, "no model is kept")
                                     : fail(Error::kCorrupt, "what is kept is no model");
  for (const unsigned slot : {newer, 1 - newer}) {
    if (headers[slot].generation == 0) continue;
    why = read_message(slot, headers[slot], message, bytes_max);
    if (why.ok()) {
      active_ = slot;
      return headers[slot].kept;
    }
  }
  message.reset();
  return why;
}

Failure ModelKeeper::save(const Kept& kept, ByteView message) {
  if (slot_bytes() < kHeaderBytes || message.size() > slot_bytes() - kHeaderBytes) {
    return fail(Error::kStorageFull, "a model of %zu bytes, there is room for one of %llu", message.size(),
                static_cast<unsigned long long>(slot_bytes() - std::min(slot_bytes(), kHeaderBytes)));
  }
  const unsigned slot = 1 - active_;
  std::array<uint8_t, kHeaderBytes> header{};
  uint8_t* out = header.data();
  store_le<uint32_t>(out, kMagic);
  store_le<uint32_t>(out + 4, kFormat);
  store_le<uint64_t>(out + 8, generation_ + 1);
  store_le<uint64_t>(out + 16, kept.run);
  store_le<uint64_t>(out + 24, kept.version);
  store_le<uint64_t>(out + 32, message.size());
  store_le<uint32_t>(out + 40, crc32c(message));
  store_le<uint32_t>(out + kCheckedBytes, crc32c(ByteView(header).first(kCheckedBytes)));
  Error error = storage_.write(slot_offset(slot) + kHeaderBytes, message);
  if (error == Error::kOk) error = storage_.sync();
  if (error == Error::kOk) error = storage_.write(slot_offset(slot), header);
  if (error == Error::kOk) error = storage_.sync();
  if (error != Error::kOk) return fail(error, "the model is not kept");
  active_ = slot;
  ++generation_;
  return Error::kOk;
}

}  // namespace runnel::device
