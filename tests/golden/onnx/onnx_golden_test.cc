// Models that PyTorch 1.13 exported: they are read, give PyTorch's outputs, go out again and come back the same; and
// what runnel exports is understood by others, where they are installed. The files are make_onnx.py's.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "coordinator/config/model_file.h"
#include "coordinator/onnx/onnx_export.h"
#include "coordinator/onnx/onnx_import.h"
#include "runtime/base/arena.h"
#include "runtime/base/rng.h"
#include "runtime/train/network.h"

namespace runnel::coordinator {
namespace {

using nlohmann::json;

const std::string kFolder = RUNNEL_GOLDEN_FOLDER;

std::vector<uint8_t> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What the model gives for `examples` inputs, one after the other.
std::vector<float> outputs_of(const plan::ModelSpec& spec, const std::vector<float>& parameters,
                              const std::vector<float>& inputs, uint32_t examples) {
  train::BlockLayout block_layout;
  Result<train::Network> network =
      train::Network::plan(spec, {examples}, train::Network::Use::kInference, block_layout);
  EXPECT_TRUE(network.ok()) << network.failure().text();
  std::vector<uint8_t> memory(block_layout.bytes() + Arena::kAlignment);
  const size_t skip =
      (Arena::kAlignment - reinterpret_cast<uintptr_t>(memory.data()) % Arena::kAlignment) % Arena::kAlignment;
  network->bind({memory.data() + skip, block_layout.bytes()});
  const size_t count = inputs.size() / examples;
  for (uint32_t example = 0; example < examples; ++example)
    std::copy_n(inputs.begin() + static_cast<ptrdiff_t>(example * count), count, network->input(example).begin());
  network->forward(parameters, examples);
  const auto outputs = network->outputs(examples);
  return {outputs.begin(), outputs.end()};
}

std::vector<float> drawn_inputs(const plan::ModelSpec& spec, uint32_t examples) {
  const CounterRng rng(derive_key(31, 0));
  std::vector<float> inputs;
  for (uint32_t index = 0; index < examples * spec.input.count(); ++index) {
    const float drawn = rng.uniform_at(index);
    const bool symbols = spec.layers[0].kind == plan::LayerKind::kEmbedding;
    inputs.push_back(symbols ? std::floor(drawn * static_cast<float>(spec.layers[0].vocabulary)) : drawn * 2 - 1);
  }
  return inputs;
}

class OnnxGolden : public testing::TestWithParam<const char*> {};

TEST_P(OnnxGolden, GivesPyTorchsOutputsAndComesBackTheSame) {
  const std::vector<uint8_t> file = bytes_of(kFolder + "/" + GetParam() + ".onnx");
  const json said = json::parse(std::ifstream(kFolder + "/" + GetParam() + ".json"));
  Result<OnnxGraph> graph = read_onnx(file);
  ASSERT_TRUE(graph.ok()) << graph.failure().text();
  Result<ImportedModel> model = import_onnx(*graph, GetParam());
  ASSERT_TRUE(model.ok()) << model.failure().text();

  std::vector<float> inputs = drawn_inputs(model->spec, 2);
  if (said.contains("steps_first")) {
    const size_t steps = said["steps_first"][0];
    const size_t values = said["steps_first"][1];
    std::vector<float> turned(inputs.size());
    for (size_t index = 0; index < inputs.size(); ++index) {
      const size_t example = index / (steps * values);
      const size_t step = index / values % steps;
      turned[(example * values + index % values) * steps + step] = inputs[index];
    }
    inputs = turned;
  }
  const std::vector<float> outputs = outputs_of(model->spec, model->parameters, inputs, 2);
  ASSERT_EQ(outputs.size(), said["outputs"].size());
  for (size_t index = 0; index < outputs.size(); ++index)
    EXPECT_NEAR(outputs[index], said["outputs"][index].get<float>(), 1e-5F) << index;

  const plan::ModelLayout layout = *plan::make_layout(model->spec);
  const std::vector<uint8_t> again = write_onnx(export_onnx(model->spec, layout, model->parameters));
  Result<OnnxGraph> second = read_onnx(again);
  ASSERT_TRUE(second.ok()) << second.failure().text();
  Result<ImportedModel> back = import_onnx(*second, "other-name");
  ASSERT_TRUE(back.ok()) << back.failure().text();
  EXPECT_EQ(back->spec.name.view(), GetParam());
  EXPECT_TRUE(back->spec.layers == model->spec.layers);
  EXPECT_EQ(back->parameters, model->parameters);
}

INSTANTIATE_TEST_SUITE_P(PyTorch, OnnxGolden,
                         testing::Values("lenet", "waves", "residual", "characters", "last_character", "memory"),
                         [](const auto& test) { return std::string(test.param); });

// onnx.checker accepts every built-in model, and OpenCV computes the same where it knows the layers.
TEST(OnnxReadBack, OthersUnderstandWhatIsExported) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "runnel_onnx_read_back";
  std::filesystem::create_directories(folder);
  for (const BuiltinModel& builtin : builtin_models()) {
    const plan::ModelSpec spec = *parse_model_file(std::string(builtin.toml));
    const plan::ModelLayout layout = *plan::make_layout(spec);
    std::vector<float> parameters(layout.parameter_count);
    for (uint32_t index = 0; index < layout.tensors.size(); ++index) {
      const plan::TensorInfo& tensor = layout.tensors[index];
      const CounterRng rng(derive_key(32, index));
      const float bound = std::sqrt(1.0F / static_cast<float>(std::max(tensor.fan_in, 16U)));
      for (uint32_t element = 0; element < tensor.count; ++element)
        parameters[tensor.offset + element] = tensor.initial + bound * (2 * rng.uniform_at(element) - 1);
    }
    const std::vector<float> inputs = drawn_inputs(spec, 1);
    const std::vector<uint8_t> file = write_onnx(export_onnx(spec, layout, parameters));
    const std::string name(builtin.name);
    std::ofstream(folder / (name + ".onnx"), std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    std::ofstream(folder / (name + ".json"))
        << json{{"inputs", inputs}, {"outputs", outputs_of(spec, parameters, inputs, 1)}};
  }
  const std::string command = "/usr/bin/python3 -W ignore " + kFolder + "/read_back.py " + folder.string();
  const int status = std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe): a test of one thread
  std::filesystem::remove_all(folder);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  if (code == 77 || code == 127) GTEST_SKIP() << "needs python3-onnx, python3-opencv and python3-numpy";
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace runnel::coordinator
