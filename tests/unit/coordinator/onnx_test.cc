// Models as ONNX files: what is exported reads back as it was, and what is not a model is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/config/model_file.h"
#include "coordinator/onnx/onnx_export.h"
#include "coordinator/onnx/onnx_import.h"
#include "runtime/train/initialize.h"
#include "tests/unit/coordinator/random_model.h"

namespace runnel::coordinator {
namespace {

using testing::HasSubstr;

struct Exported {
  plan::ModelSpec spec;
  plan::ModelLayout layout;
  std::vector<float> parameters;
  std::vector<uint8_t> file;
};

Exported exported(const plan::ModelSpec& spec, bool with_metadata = true) {
  Exported made{spec, *plan::make_layout(spec), {}, {}};
  made.parameters.resize(made.layout.parameter_count);
  train::initialize_parameters(made.layout, 11, made.parameters);
  // No two alike, also where models begin with constants.
  for (size_t index = 0; index < made.parameters.size(); ++index)
    made.parameters[index] += static_cast<float>(index % 8191) * 0x1.0p-12F;
  OnnxGraph graph = export_onnx(made.spec, made.layout, made.parameters);
  if (!with_metadata) graph.metadata.clear();
  made.file = write_onnx(graph);
  return made;
}

plan::ModelSpec builtin(std::string_view name) {
  return *parse_model_file(std::string(find_builtin_model(name)->toml));
}

Result<ImportedModel> imported(const std::vector<uint8_t>& file) {
  Result<OnnxGraph> graph = read_onnx(file);
  if (!graph) return graph.failure();
  return import_onnx(*graph, "imported");
}

// What a graph says of a layer: neither its name nor its fate, and where its inputs come from in one way only.
plan::LayerSpec bare(const plan::ModelSpec& spec, uint32_t index) {
  plan::LayerSpec layer = spec.layers[index];
  layer.name = {};
  layer.sharing = plan::Sharing::kShared;
  layer.inputs = {};
  for (uint32_t which = 0; which < plan::input_count(spec.layers[index]); ++which)
    EXPECT_TRUE(layer.inputs.push_back(static_cast<uint16_t>(plan::source_of(spec, index, which))));
  return layer;
}

TEST(Onnx, EveryBuiltinModelReadsBackAsItWas) {
  for (const BuiltinModel& model : builtin_models()) {
    const Exported made = exported(builtin(model.name));
    Result<ImportedModel> read = imported(made.file);
    ASSERT_TRUE(read.ok()) << model.name << ": " << read.failure().text();
    EXPECT_EQ(read->spec.name, made.spec.name);
    EXPECT_EQ(read->spec.input, made.spec.input);
    EXPECT_EQ(read->spec.classes, made.spec.classes);
    EXPECT_TRUE(read->spec.layers == made.spec.layers) << model.name;
    EXPECT_EQ(read->spec.loss, made.spec.loss) << model.name;
    EXPECT_TRUE(read->parameters == made.parameters) << model.name;
  }
}

TEST(Onnx, TheGraphAloneSaysTheLayersOfEveryBuiltinModel) {
  for (const BuiltinModel& model : builtin_models()) {
    const Exported made = exported(builtin(model.name), false);
    Result<ImportedModel> read = imported(made.file);
    ASSERT_TRUE(read.ok()) << model.name << ": " << read.failure().text();
    EXPECT_EQ(read->spec.name.view(), "imported");
    EXPECT_EQ(read->spec.input, made.spec.input);
    EXPECT_EQ(read->spec.classes, made.spec.classes);
    ASSERT_EQ(read->spec.layers.size(), made.spec.layers.size()) << model.name;
    for (uint32_t index = 0; index < made.spec.layers.size(); ++index)
      EXPECT_EQ(bare(read->spec, index), bare(made.spec, index)) << model.name << " layer " << index;
    EXPECT_TRUE(read->parameters == made.parameters) << model.name;
  }
}

TEST(Onnx, ModelsDrawnAtRandomReadBackAsTheyWere) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Exported made = exported(random_model(seed));
    Result<ImportedModel> read = imported(made.file);
    ASSERT_TRUE(read.ok()) << "seed " << seed << ": " << read.failure().text() << "\n" << model_file_toml(made.spec);
    EXPECT_TRUE(read->spec.layers == made.spec.layers) << "seed " << seed << "\n"
                                                       << model_file_toml(made.spec) << "\n"
                                                       << model_file_toml(read->spec);
    EXPECT_EQ(read->spec.loss, made.spec.loss);
    EXPECT_TRUE(read->parameters == made.parameters) << "seed " << seed;
  }
}

}  // namespace
}  // namespace runnel::coordinator
