// Any bytes are an ONNX graph that becomes a model, or a failure; what became a model can be exported and reads back
// as the same parameters.
//
// Input: one ONNX file.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "coordinator/onnx/onnx_export.h"
#include "coordinator/onnx/onnx_import.h"

namespace {

using namespace runnel;  // NOLINT(google-build-using-namespace): a program of one file

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "onnx_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Result<coordinator::OnnxGraph> graph = coordinator::read_onnx({data, size});
  if (!graph) {
    require(graph.failure().text()[0] != '\0', "a refusal without words");
    return 0;
  }
  const Result<coordinator::ImportedModel> model = coordinator::import_onnx(*graph, "fuzzed");
  if (!model) {
    require(model.failure().text()[0] != '\0', "a refusal without words");
    return 0;
  }
  const Result<plan::ModelLayout> layout = plan::make_layout(model->spec);
  require(layout.ok() && layout->parameter_count == model->parameters.size(), "parameters do not fit the layers");
  const std::vector<uint8_t> file =
      coordinator::write_onnx(coordinator::export_onnx(model->spec, *layout, model->parameters));
  const Result<coordinator::OnnxGraph> again = coordinator::read_onnx(file);
  require(again.ok(), "our own file does not read");
  const Result<coordinator::ImportedModel> back = coordinator::import_onnx(*again, "fuzzed");
  require(back.ok() && back->parameters.size() == model->parameters.size(), "our own file is another model");
  return 0;
}
