// Models as ONNX files: what is exported reads back as it was, and what is not a model is refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

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

// One node between an input and an output of 4 values.
Failure refusal(const std::function<void(OnnxGraph&)>& change) {
  OnnxGraph graph;
  graph.opset = 13;
  graph.name = "graph";
  graph.inputs = {{"input", OnnxType::kFloat, {-1, 4}}};
  graph.outputs = {{"output", OnnxType::kFloat, {-1, 4}}};
  graph.nodes = {{"Relu", "the-node", {"input"}, {"output"}, {}}};
  change(graph);
  const std::vector<uint8_t> file = write_onnx(graph);
  Result<ImportedModel> read = imported(file);
  return read ? Failure(Error::kOk) : read.failure();
}

TEST(Onnx, WhatItCannotTrainIsRefusedByNodeAndOperator) {
  const Failure unknown = refusal([](OnnxGraph& graph) { graph.nodes[0].op = "HardSwish"; });
  EXPECT_EQ(unknown.error(), Error::kUnsupported);
  EXPECT_THAT(unknown.text(), HasSubstr("node the-node (HardSwish): runnel has no layer for this operator"));
  EXPECT_THAT(refusal([](OnnxGraph& graph) { graph.nodes[0].inputs[0] = "nobody"; }).text(),
              HasSubstr("comes from nowhere"));
  EXPECT_THAT(refusal([](OnnxGraph& graph) { graph.nodes[0].outputs[0] = "else"; }).text(),
              HasSubstr("no node gives the output output"));
  EXPECT_THAT(refusal([](OnnxGraph& graph) { graph.opset = 6; }).text(), HasSubstr("operator set 6"));
  EXPECT_THAT(refusal([](OnnxGraph& graph) {
                graph.inputs[0].dims = {-1, -1};
              }).text(),
              HasSubstr("the input's size 1"));
  EXPECT_THAT(refusal([](OnnxGraph& graph) {
                graph.inputs.push_back({"second", OnnxType::kFloat, {-1, 4}});
              }).text(),
              HasSubstr("more than one input"));
  EXPECT_THAT(refusal([](OnnxGraph& graph) { graph.nodes.push_back(graph.nodes[0]); }).text(),
              HasSubstr("output is there twice"));
  EXPECT_EQ(refusal([](OnnxGraph& graph) { graph.nodes.resize(kOnnxNodesMax + 1); }).error(), Error::kLimit);
  EXPECT_FALSE(refusal([](OnnxGraph&) {}).ok()) << "nothing to train";
}

TEST(Onnx, ATensorMustHaveAsManyNumbersAsItsShape) {
  const std::vector<uint8_t> bytes(8);
  const auto with = [&](std::vector<int64_t> dims) {
    return refusal([&](OnnxGraph& graph) { graph.initializers = {{"w", dims, OnnxType::kFloat, bytes}}; });
  };
  EXPECT_EQ(with({3}).error(), Error::kMalformed);
  EXPECT_THAT(with({3}).text(), HasSubstr("tensor w: 3 values in its shape, 8 bytes of them"));
  EXPECT_EQ(with({-2}).error(), Error::kLimit);
  EXPECT_EQ(with({int64_t{1} << 40, int64_t{1} << 40}).error(), Error::kLimit);
  EXPECT_EQ(with(std::vector<int64_t>(9, 1)).error(), Error::kLimit);
}

TEST(Onnx, MetadataOfAnotherModelIsNotBelieved) {
  const Exported mlp = exported(builtin("digits-mlp"));
  OnnxGraph graph = export_onnx(mlp.spec, mlp.layout, mlp.parameters);
  // The same sizes with another activation: the graph has the last word.
  std::string& text = graph.metadata[0].second;
  text.replace(text.find("\"relu\""), 6, "\"tanh\"");
  Result<ImportedModel> read = imported(write_onnx(graph));
  ASSERT_TRUE(read.ok()) << read.failure().text();
  EXPECT_EQ(read->spec.name.view(), "imported");
  EXPECT_EQ(read->spec.layers[1].kind, plan::LayerKind::kRelu);
}

TEST(Onnx, EveryPrefixOfAFileIsRefused) {
  const Exported made = exported(builtin("sensor-cnn"));
  for (size_t size = 0; size < made.file.size(); size += 1 + size / 16) {
    const std::vector<uint8_t> prefix(made.file.begin(), made.file.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(imported(prefix).ok()) << size;
  }
}

}  // namespace
}  // namespace runnel::coordinator
