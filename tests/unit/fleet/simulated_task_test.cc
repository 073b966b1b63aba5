#include "fleet/simulate/simulated_task.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "coordinator/config/model_file.h"
#include "runtime/host/dataset_file.h"

namespace runnel::fleet {
namespace {

std::string play_of_three() {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "play.txt";
  std::ofstream file(path);
  for (int i = 0; i < 40; ++i) {
    file << "ANNA:\nThe brook runs quick and cold below the mill.\n\n";
    if (i % 2 == 0) file << "BRUNO:\nThen let it run; the mill has no more corn.\n\n";
    if (i % 4 == 0) file << "CLARA:\nWho hears a mill that stands?\n\n";
  }
  return path.string();
}

plan::ModelSpec next_character_model() {
  const Result<plan::ModelSpec> model =
      coordinator::parse_model_file(std::string(coordinator::find_builtin_model("gru-char")->toml));
  EXPECT_TRUE(model.ok()) << model.failure().text();
  return *model;
}

TEST(SimulatedTask, DevicesHaveTheRowsOfTheirOwnSpeaker) {
  const Result<data::DataSpec> spec = data::parse_data_spec("text:" + play_of_three(), "speaker", "", "");
  ASSERT_TRUE(spec.ok()) << spec.failure().text();
  const Result<std::unique_ptr<SimulatedTask>> task = SimulatedTask::create(*spec, next_character_model(), 3, 1);
  ASSERT_TRUE(task.ok()) << task.failure().text();
  uint32_t before = 0;
  for (uint32_t device = 0; device < 3; ++device) {
    const Result<data::Dataset> expected = host::load_training_part(*spec, device, 3, 1);
    ASSERT_TRUE(expected.ok()) << expected.failure().text();
    const std::shared_ptr<const data::ExampleSource> part = (*task)->examples_of(device);
    ASSERT_EQ(part->example_count(), expected->example_count());
    EXPECT_TRUE(device == 0 || part->example_count() < before) << "whoever says most comes first";
    before = part->example_count();
    std::vector<float> input(expected->input_count());
    std::vector<float> same(expected->input_count());
    std::vector<float> target(expected->target_count());
    for (uint32_t i = 0; i < part->example_count(); ++i) {
      part->read(i, input, target);
      expected->read(i, same, target);
      EXPECT_EQ(input, same) << "device " << device << ", example " << i;
    }
  }
}

TEST(SimulatedTask, MoreDevicesThanSpeakersAreRefused) {
  const Result<data::DataSpec> spec = data::parse_data_spec("text:" + play_of_three(), "speaker", "", "");
  ASSERT_TRUE(spec.ok());
  const Result<std::unique_ptr<SimulatedTask>> task = SimulatedTask::create(*spec, next_character_model(), 4, 1);
  ASSERT_FALSE(task.ok());
  EXPECT_NE(std::string(task.failure().text()).find("3 speakers"), std::string::npos) << task.failure().text();
}

}  // namespace
}  // namespace runnel::fleet
