// Any bytes lead a device that holds a version to the wanted one, or to asking for the full model; what decodes can be
// built again.
//
// Input: one ModelDelta message.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "device/engine/model_transfer.h"
#include "tests/golden/wire/samples.h"
#include "tests/unit/wire/describe.h"

namespace {

using namespace runnel;  // NOLINT(google-build-using-namespace): a program of one file

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "delta_fuzz: %s\n", what);
  std::abort();
}

std::vector<uint8_t> model_message(const std::vector<float>& parameters, uint64_t version) {
  wire::Model model = wire::samples::model(parameters);
  model.model_version = version;
  std::vector<uint8_t> memory(wire::model_bytes_max(model.spec, parameters.size()));
  const Result<ByteView> built = wire::build_model(model, memory);
  require(built.ok(), "no model");
  return {built->begin(), built->end()};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> aligned(data, data + size);
  wire::ModelDelta delta;
  if (const Failure bad = wire::decode_delta(aligned, delta); bad.ok()) {
    std::vector<uint8_t> memory(delta.multiples.payload.size() + wire::delta_overhead_bytes_max());
    const Result<ByteView> built = wire::build_delta(delta, memory);
    require(built.ok(), "what decoded cannot be built");
    const std::vector<uint8_t> copy(built->begin(), built->end());
    wire::ModelDelta again;
    require(wire::decode_delta(copy, again).ok(), "our own bytes do not decode");
    require(wire::describe(again) == wire::describe(delta), "built again, it says something else");
  } else {
    require(bad.text()[0] != '\0', "a refusal without words");
  }

  static const std::vector<uint8_t> held = model_message(wire::samples::parameters(), 3);
  device::ModelTransfer transfer(1 << 16, 1 << 16, nullptr);
  Failure why = Error::kOk;
  transfer.want(wire::samples::kRun, 3, held.size());
  require(transfer.handle_chunk({3, 0, held.size(), held, 0}, why) == device::ModelTransfer::Outcome::kHeld,
          why.text());
  transfer.want(wire::samples::kRun, 5, held.size());
  if (aligned.empty()) return 0;
  transfer.handle_chunk({5, 0, aligned.size(), aligned, 3}, why);
  const auto request = transfer.poll_request();
  require(transfer.holds(wire::samples::kRun, 5) != request.has_value(), "neither held nor asked for");
  if (!transfer.holds_any()) return 0;
  wire::Model model;
  require(wire::decode_model(transfer.held(), model).ok(), "what is held does not decode");
  return 0;
}
