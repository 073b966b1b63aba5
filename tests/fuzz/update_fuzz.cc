// Any bytes decode to an update within its limits or to a failure, and what decodes can be built again. The bytes also
// arrive in chunks first, as they do on the wire.
//
// Input: one Update message.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/wire/frame.h"
#include "runtime/wire/reassembly.h"
#include "tests/unit/wire/describe.h"

namespace {

using namespace runnel;  // NOLINT(google-build-using-namespace): a program of one file

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "update_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  wire::Reassembly parts;
  require(parts.start(size, wire::kBlobBytesMax).ok(), "no room for the parts");
  const size_t step = 1 + data[0] % 64U;
  for (size_t at = 0; at < size; at += step) {
    require(parts.add(at, {data + at, at + step < size ? step : size - at}).ok(), "a chunk in order was refused");
  }
  require(parts.complete(), "all chunks came and it is not complete");

  wire::Update update;
  if (const Failure bad = wire::decode_update(parts.bytes(), update); !bad.ok()) {
    require(bad.text()[0] != '\0', "a refusal without words");
    return 0;
  }
  require(update.sample_count >= 1 && update.sample_count <= wire::kSampleCountMax, "sample_count");
  size_t payload_bytes = 0;
  for (const plan::EncodedTensor& tensor : update.tensors) {
    require(std::isfinite(tensor.scale) && tensor.scale >= 0.0F, "scale");
    payload_bytes += tensor.payload.size();
  }
  std::vector<uint8_t> memory(wire::update_overhead_bytes_max(update.tensors.size()) + payload_bytes);
  const Result<ByteView> built = wire::build_update(update, memory);
  require(built.ok(), "what decoded cannot be built");
  const std::vector<uint8_t> copy(built->begin(), built->end());
  wire::Update again;
  require(wire::decode_update(copy, again).ok(), "our own bytes do not decode");
  require(wire::describe(again) == wire::describe(update), "built again, it says something else");
  return 0;
}
