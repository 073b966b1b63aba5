// Any bytes decode to a model whose parameters fit its layers, or to a failure; what decodes can be built again.
//
// Input: one Model message.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/wire/frame.h"
#include "tests/unit/wire/describe.h"

namespace {

using namespace runnel;  // NOLINT(google-build-using-namespace): a program of one file

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "model_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<uint8_t> aligned(data, data + size);
  wire::Model model;
  if (const Failure bad = wire::decode_model(aligned, model); !bad.ok()) {
    require(bad.text()[0] != '\0', "a refusal without words");
    return 0;
  }
  const Result<plan::ModelLayout> layout = plan::make_layout(model.spec);
  require(layout.ok() && layout->parameter_count == model.parameters.size(), "parameters do not fit the layers");
  std::vector<uint8_t> memory(wire::model_bytes_max(model.spec, model.parameters.size()));
  const Result<ByteView> built = wire::build_model(model, memory);
  require(built.ok(), "what decoded cannot be built");
  const std::vector<uint8_t> copy(built->begin(), built->end());
  wire::Model again;
  require(wire::decode_model(copy, again).ok(), "our own bytes do not decode");
  require(wire::describe(again) == wire::describe(model), "built again, it says something else");
  return 0;
}
