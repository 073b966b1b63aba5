// Fleets that begin from a trained model, and what leaves a fleet as ONNX.
#include "coordinator/commands/starting_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "coordinator/commands/export_command.h"
#include "coordinator/commands/init_command.h"
#include "coordinator/commands/models_command.h"
#include "coordinator/commands/safetensors.h"
#include "coordinator/config/model_file.h"
#include "coordinator/onnx/onnx_export.h"
#include "coordinator/store/sqlite_store.h"
#include "tests/unit/coordinator/temp_folder.h"

namespace runnel::coordinator {
namespace {

using testing::HasSubstr;

class StartingModelTest : public testing::Test {
 protected:
  // digits-mlp with numbers of its own, as an ONNX file.
  std::string trained_file() {
    const plan::ModelSpec spec = *parse_model_file(std::string(find_builtin_model("digits-mlp")->toml));
    const plan::ModelLayout layout = *plan::make_layout(spec);
    trained_.resize(layout.parameter_count);
    for (size_t index = 0; index < trained_.size(); ++index)
      trained_[index] = static_cast<float>(index % 509) * 0x1.0p-9F;
    return write("trained.onnx", write_onnx(export_onnx(spec, layout, trained_)));
  }

  template <typename Bytes>
  std::string write(const char* name, const Bytes& bytes) {
    std::ofstream(folder_.file(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return folder_.file(name);
  }

  std::vector<float> parameters_of(const std::string& state) {
    return (*SqliteStore::open(StateFolder(state).database(), false))->load()->model.parameters;
  }

  TempFolder folder_;
  std::vector<float> trained_;
  std::ostringstream out_;
};

const char* const kHead = R"(
name = "head"
input = [64]
classes = 3
layer = [
  { kind = "dense", units = 64, sharing = "frozen" },
  { kind = "tanh" },
  { kind = "dense", units = 3 },
]
)";

TEST_F(StartingModelTest, AnOnnxFileGivesAFleetItsModelAndAFleetGivesItBack) {
  InitOptions init;
  init.onnx_path = trained_file();
  init.state_folder = folder_.file("fleet");
  const Failure made = init_fleet(init, out_);
  ASSERT_TRUE(made.ok()) << made.text();
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("digits-mlp, 4810 parameters"), HasSubstr("start  parameters from")));
  const std::vector<float> first = parameters_of(init.state_folder);
  ASSERT_EQ(first.size(), trained_.size());
  for (size_t index = 0; index < first.size(); ++index) ASSERT_NEAR(first[index], trained_[index], 1e-4F) << index;

  ExportOptions options;
  options.state_folder = init.state_folder;
  options.out_path = folder_.file("fleet.bin");
  options.format = "onnx";
  const Failure written = export_model(options, out_);
  ASSERT_TRUE(written.ok()) << written.text();
  Result<StartingModel> again = choose_starting_model("", options.out_path);
  ASSERT_TRUE(again.ok()) << again.failure().text();
  EXPECT_EQ(again->spec.name.view(), "digits-mlp");
  EXPECT_EQ(again->trained, first);
}

TEST_F(StartingModelTest, AHeadIsReplacedAndTheRestIsFrozen) {
  Result<StartingModel> model = choose_starting_model(write("head.toml", std::string(kHead)), trained_file());
  ASSERT_TRUE(model.ok()) << model.failure().text();
  EXPECT_EQ(model->layers_trained, 2U);
  std::vector<float> parameters(model->layout.parameter_count);
  model->fill(5, parameters);
  // Shared before frozen: the head's 195 parameters come first.
  ASSERT_EQ(model->layout.shared_count, 195U);
  for (size_t index = 0; index < 64 * 64 + 64; ++index) ASSERT_EQ(parameters[195 + index], trained_[index]);
  EXPECT_NE(parameters[0], trained_[0]);
}

TEST_F(StartingModelTest, AFrozenLayerMustHaveItsParameters) {
  std::string text = kHead;
  text.replace(text.find("units = 3"), 9, "units = 3, sharing = \"frozen\"");
  text.replace(text.find(", sharing = \"frozen\""), 20, "");
  Result<StartingModel> model = choose_starting_model(write("head.toml", text), trained_file());
  EXPECT_EQ(model.error(), Error::kShape);
  EXPECT_THAT(model.failure().text(), HasSubstr("layer 2 (dense) is frozen, but"));
}

TEST_F(StartingModelTest, WhatIsNoModelIsRefusedWithTheFilesName) {
  EXPECT_THAT(choose_starting_model("", write("a.onnx", std::string("not ONNX"))).failure().text(),
              HasSubstr("a.onnx: "));
  EXPECT_EQ(choose_starting_model("", folder_.file("none.onnx")).error(), Error::kNotFound);
  Result<StartingModel> other = choose_starting_model("lenet5", trained_file());
  EXPECT_THAT(other.failure().text(), HasSubstr("no layer of it fits the model's first layers"));
}

TEST_F(StartingModelTest, TheListNamesEveryBuiltinModel) {
  const Failure listed = print_models({}, out_);
  ASSERT_TRUE(listed.ok()) << listed.text();
  for (const BuiltinModel& model : builtin_models()) EXPECT_THAT(out_.str(), HasSubstr(std::string(model.name)));
  out_.str("");
  ASSERT_TRUE(print_models({"", trained_file()}, out_).ok());
  EXPECT_THAT(out_.str(), HasSubstr("name = \"digits-mlp\""));
  EXPECT_TRUE(parse_model_file(out_.str()).ok());
}

TEST(Safetensors, EveryKindOfTensorHasItsShape) {
  const plan::ModelSpec spec = *parse_model_file(std::string(find_builtin_model("gru-char")->toml));
  const plan::ModelLayout layout = *plan::make_layout(spec);
  const std::vector<std::vector<uint32_t>> expected = {{96, 32}, {384, 32},       {384, 128}, {384},
                                                       {384},    {96, 128, 1, 1}, {96}};
  ASSERT_EQ(layout.tensors.size(), expected.size());
  for (size_t index = 0; index < expected.size(); ++index)
    EXPECT_EQ(tensor_shape(spec, layout.tensors[index]), expected[index]) << layout.tensors[index].name.c_str();
  const plan::ModelSpec net = *parse_model_file(std::string(find_builtin_model("mobilenet-tiny")->toml));
  const plan::ModelLayout net_layout = *plan::make_layout(net);
  EXPECT_EQ(tensor_shape(net, net_layout.tensors[1]), (std::vector<uint32_t>{16}));
  EXPECT_EQ(tensor_shape(net, net_layout.tensors[3]), (std::vector<uint32_t>{16, 1, 3, 3}));
}

}  // namespace
}  // namespace runnel::coordinator
