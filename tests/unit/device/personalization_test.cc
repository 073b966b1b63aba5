// What a device keeps for itself: local layers, and examples that it only evaluates on.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "device/kept_values.h"
#include "device/training_task.h"
#include "tests/unit/device/small_task.h"

namespace runnel::device {
namespace {

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "runnel_local_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file() const { return (path_ / "local-layers").string(); }

 private:
  std::filesystem::path path_;
};

std::vector<float> values(std::span<const float> from) {
  return {from.begin(), from.end()};
}

TEST(KeptValues, SurviveARestartTwoUpdatesDeep) {
  const Folder folder;
  const std::vector<float> first = {1.0F, 2.0F, 3.0F};
  const std::vector<float> second = {4.0F, 5.0F, 6.0F};
  {
    KeptValues local(folder.file());
    EXPECT_EQ(local.load().error(), Error::kNotFound);
    EXPECT_TRUE(local.before(9, 1, 3).empty());
    ASSERT_TRUE(local.keep(9, 1, first).ok());
    ASSERT_TRUE(local.keep(9, 2, second).ok());
  }
  KeptValues local(folder.file());
  ASSERT_TRUE(local.load().ok());
  EXPECT_EQ(values(local.before(9, 3, 3)), values(second));
  EXPECT_EQ(values(local.before(9, 2, 3)), values(first)) << "trained again, it begins where it began";
  EXPECT_TRUE(local.before(9, 1, 3).empty());
  EXPECT_TRUE(local.before(8, 3, 3).empty()) << "of another run";
  EXPECT_TRUE(local.before(9, 3, 4).empty()) << "of another model";
  ASSERT_TRUE(local.keep(9, 2, first).ok());
  EXPECT_EQ(values(local.before(9, 3, 3)), values(first));
  EXPECT_EQ(values(local.before(9, 2, 3)), values(first)) << "what update 1 left";
}

TEST(KeptValues, WhatCannotBeWrittenDoesNotCount) {
  const Folder folder;
  KeptValues local(folder.file());
  ASSERT_TRUE(local.keep(9, 1, {1.0F}).ok());
  const std::filesystem::path away = folder.file() + "-folder";
  std::filesystem::create_directory(away);
  KeptValues nowhere((away / "gone" / "local-layers").string());
  EXPECT_FALSE(nowhere.keep(9, 1, {1.0F}).ok());
  EXPECT_TRUE(nowhere.before(9, 2, 1).empty());
  // A folder stands where the new file is to go.
  const std::string file = folder.file();
  std::filesystem::rename(file, file + "-kept");
  std::filesystem::create_directory(file);
  EXPECT_FALSE(local.keep(9, 2, {2.0F}).ok());
  std::filesystem::remove(file);
  std::filesystem::rename(file + "-kept", file);
  ASSERT_TRUE(local.load().ok());
  EXPECT_EQ(values(local.before(9, 3, 1)), std::vector<float>{1.0F});
}

TEST(KeptValues, ADamagedFileIsDropped) {
  const Folder folder;
  {
    KeptValues local(folder.file());
    ASSERT_TRUE(local.keep(9, 1, {1.0F, 2.0F}).ok());
  }
  std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(42);
  file.put('x');
  file.close();
  KeptValues local(folder.file());
  EXPECT_EQ(local.load().error(), Error::kCorrupt);
  EXPECT_TRUE(local.before(9, 2, 2).empty());
  std::filesystem::resize_file(folder.file(), 7);
  EXPECT_EQ(local.load().error(), Error::kCorrupt);
}

// The same model with its last layer local.
struct PersonalTask : SmallTask {
  PersonalTask() {
    spec.layers[2].sharing = plan::Sharing::kLocal;
    layout = *plan::make_layout(spec);
    std::vector<float> parameters(layout.parameter_count);
    train::initialize_parameters(layout, 3, parameters);
    std::vector<uint8_t> memory(wire::model_bytes_max(spec, parameters.size()));
    const Result<ByteView> built = wire::build_model({1, 1, spec, parameters}, memory);
    EXPECT_TRUE(built.ok());
    model.assign(built->begin(), built->end());
  }

  std::vector<uint8_t> train_with(KeptValues& local, uint64_t sequence) const {
    TrainingTask task("d", *examples, 0);
    task.keep_local(local);
    EXPECT_TRUE(task.start(plan(1), sequence, model).ok());
    for (bool done = false; !done;) {
      const Result<bool> step = task.step();
      EXPECT_TRUE(step.ok()) << step.failure().text();
      done = !step.ok() || *step;
    }
    Result<TrainedUpdate> update = task.finish();
    EXPECT_TRUE(update.ok()) << update.failure().text();
    return update.ok() ? update->message : std::vector<uint8_t>{};
  }
};

TEST(Personalization, LocalLayersGoOnAndDoNotTravel) {
  const PersonalTask task;
  ASSERT_LT(task.layout.shared_count, task.layout.parameter_count);
  KeptValues local;
  const std::vector<uint8_t> first = task.train_with(local, 1);
  wire::Update update;
  ASSERT_TRUE(wire::decode_update(first, update).ok());
  uint64_t coordinates = 0;
  for (const plan::EncodedTensor& tensor : update.tensors) coordinates += tensor.count;
  EXPECT_EQ(coordinates, task.layout.shared_count);
  const size_t count = task.layout.trained_count - task.layout.shared_count;
  const std::vector<float> after_first = values(local.before(1, 2, count));
  ASSERT_EQ(after_first.size(), count);
  const std::vector<uint8_t> second = task.train_with(local, 2);
  EXPECT_NE(values(local.before(1, 3, count)), after_first) << "it goes on from there";
  // Killed before update 2 was stored, the device trains it again: the same bytes.
  EXPECT_EQ(task.train_with(local, 2), second);
  KeptValues anew;
  EXPECT_NE(task.train_with(anew, 2), second) << "else the local layers made no difference";
}

TEST(Personalization, TheUpdateSaysWhatWasFoundOnExamplesKeptBack) {
  const SmallTask task;
  TrainingTask training("d", *task.examples, 0);
  training.hold_back(*task.examples);
  ASSERT_TRUE(training.start(task.plan(1), 1, task.model).ok());
  for (bool done = false; !done;) {
    const Result<bool> step = training.step();
    ASSERT_TRUE(step.ok()) << step.failure().text();
    done = *step;
  }
  const Result<TrainedUpdate> trained = training.finish();
  ASSERT_TRUE(trained.ok()) << trained.failure().text();
  wire::Update update;
  ASSERT_TRUE(wire::decode_update(trained->message, update).ok());
  EXPECT_EQ(update.evaluation, training.evaluation());
  EXPECT_EQ(update.evaluation.metric, plan::Metric::kAccuracy);
  EXPECT_EQ(update.evaluation.examples, 40U);
  EXPECT_LT(update.evaluation.loss_after, update.evaluation.loss_before);
  EXPECT_GE(update.evaluation.value_after, update.evaluation.value_before);
  // Looking does not change what is learnt.
  TrainedUpdate plain = task.train(task.plan(1), {});
  wire::Update without;
  ASSERT_TRUE(wire::decode_update(plain.message, without).ok());
  EXPECT_EQ(without.evaluation.examples, 0U);
  ASSERT_EQ(without.tensors.size(), update.tensors.size());
  for (size_t i = 0; i < update.tensors.size(); ++i) {
    const ByteView a = without.tensors[i].payload;
    const ByteView b = update.tensors[i].payload;
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  }
}

// The global model, fine-tuned for this device alone, is judged too; the fleet's update is the same to the bit.
TEST(Personalization, FineTuningIsReportedAndChangesNothingElse) {
  const SmallTask task;
  const auto train = [&](uint32_t fine_tune_steps) {
    TrainingTask training("d", *task.examples, 0);
    training.hold_back(*task.examples);
    training.fine_tune(fine_tune_steps);
    EXPECT_TRUE(training.start(task.plan(1), 1, task.model).ok());
    for (bool done = false; !done;) {
      const Result<bool> step = training.step();
      EXPECT_TRUE(step.ok()) << step.failure().text();
      done = !step.ok() || *step;
    }
    Result<TrainedUpdate> trained = training.finish();
    EXPECT_TRUE(trained.ok()) << trained.failure().text();
    return trained->message;
  };
  const std::vector<uint8_t> plain_message = train(0);
  const std::vector<uint8_t> few_message = train(1);
  const std::vector<uint8_t> many_message = train(60);
  wire::Update plain, few, many;
  ASSERT_TRUE(wire::decode_update(plain_message, plain).ok());
  ASSERT_TRUE(wire::decode_update(few_message, few).ok());
  ASSERT_TRUE(wire::decode_update(many_message, many).ok());
  EXPECT_EQ(plain.evaluation.tuned_steps, 0U);
  EXPECT_EQ(few.evaluation.tuned_steps, 1U);
  EXPECT_EQ(many.evaluation.tuned_steps, 60U);
  EXPECT_LT(few.evaluation.loss_tuned, few.evaluation.loss_before);
  EXPECT_LT(many.evaluation.loss_tuned, few.evaluation.loss_tuned);
  for (const wire::Update* update : {&few, &many}) {
    EXPECT_EQ(update->evaluation.loss_before, plain.evaluation.loss_before);
    EXPECT_EQ(update->evaluation.loss_after, plain.evaluation.loss_after);
    EXPECT_EQ(update->mean_loss, plain.mean_loss);
    EXPECT_EQ(update->sample_count, plain.sample_count);
    ASSERT_EQ(update->tensors.size(), plain.tensors.size());
    for (size_t i = 0; i < plain.tensors.size(); ++i) {
      const ByteView a = plain.tensors[i].payload;
      const ByteView b = update->tensors[i].payload;
      EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    }
  }
}

}  // namespace
}  // namespace runnel::device
