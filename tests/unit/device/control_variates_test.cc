// SCAFFOLD on devices: the fleet's control variate is read off the models that come, and nothing of it travels.
#include "device/control_variates.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <limits>

#include "device/own_evaluation.h"
#include "device/training_task.h"
#include "tests/unit/device/small_task.h"

namespace runnel::device {
namespace {

// Three devices, each of which has seen mostly one class, and a server that averages.
class SmallFleet {
 public:
  static constexpr uint32_t kDevices = 3;

  SmallFleet() {
    Rng rng(8);
    for (uint32_t device = 0; device < kDevices; ++device) {
      examples_.push_back(std::make_unique<data::Dataset>(data::ElementType::kF32, 8, 3, 1.0F));
      for (int i = 0; i < 40; ++i) {
        const uint32_t label = i < 36 ? device : static_cast<uint32_t>(rng.below(3));
        std::array<float, 8> point{};
        for (size_t j = 0; j < point.size(); ++j)
          point[j] = static_cast<float>((j % 3 == label ? 0.7 : 0.0) + 0.5 * rng.normal());
        const ByteView bytes(reinterpret_cast<const uint8_t*>(point.data()), sizeof point);
        EXPECT_TRUE(examples_.back()->append(bytes, label).ok());
        EXPECT_TRUE(all_.append(bytes, label).ok());
      }
    }
    parameters_.resize(task_.layout.parameter_count);
    train::initialize_parameters(task_.layout, 3, parameters_);
  }

  // Whole gradients, so that devices drift apart by their data alone.
  plan::RoundPlan plan(uint32_t round, float share) const {
    plan::RoundPlan plan = task_.plan(round);
    plan.codec.codec = plan::CodecId::kFp32;
    plan.training.batch_size = 40;
    plan.training.local_steps = 30;
    plan.training.learning_rate = 0.1F;
    plan.training.scaffold_share = share;
    return plan;
  }

  std::vector<uint8_t> model() const {
    std::vector<uint8_t> memory(wire::model_bytes_max(task_.spec, parameters_.size()));
    const Result<ByteView> built = wire::build_model({1, 1, task_.spec, parameters_}, memory);
    EXPECT_TRUE(built.ok());
    return {built->begin(), built->end()};
  }

  std::vector<float> train(uint32_t device, const plan::RoundPlan& plan, ControlVariates& controls) const {
    const std::vector<uint8_t> message = model();
    TrainingTask task("d", *examples_[device], 0);
    task.keep_controls(controls);
    const Failure started = task.start(plan, plan.round, message);
    EXPECT_TRUE(started.ok()) << started.text();
    for (bool done = false; !done;) {
      const Result<bool> step = task.step();
      EXPECT_TRUE(step.ok()) << step.failure().text();
      done = !step.ok() || *step;
    }
    const Result<TrainedUpdate> update = task.finish();
    EXPECT_TRUE(update.ok()) << update.failure().text();
    wire::Update decoded;
    EXPECT_TRUE(wire::decode_update(update->message, decoded).ok());
    std::vector<float> values(parameters_.size());
    EXPECT_TRUE(codec::decode_update(task_.layout, {decoded.tensors.begin(), decoded.tensors.size()}, values).ok());
    return values;
  }

  void round(const plan::RoundPlan& plan, std::span<ControlVariates> controls) {
    std::vector<float> sum(parameters_.size(), 0.0F);
    for (uint32_t device = 0; device < kDevices; ++device) {
      const std::vector<float> update = train(device, plan, controls[device]);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += update[i];
    }
    for (size_t i = 0; i < sum.size(); ++i) parameters_[i] += sum[i] / kDevices;
  }

  double loss() const {
    Result<OwnEvaluation> evaluation = OwnEvaluation::create(task_.spec, all_);
    EXPECT_TRUE(evaluation.ok() && evaluation->start(parameters_).ok());
    for (bool done = false; !done;) done = *evaluation->step();
    return evaluation->scores().loss;
  }

  std::span<const float> parameters() const { return parameters_; }

 private:
  SmallTask task_;
  std::vector<std::unique_ptr<data::Dataset>> examples_;
  data::Dataset all_{data::ElementType::kF32, 8, 3, 1.0F};
  std::vector<float> parameters_;
};

std::vector<float> correction_of(ControlVariates controls, const plan::RoundPlan& plan, std::span<const float> model) {
  const std::span<const float> correction = controls.begin(plan, plan.round, model);
  return {correction.begin(), correction.end()};
}

// If everyone takes part, c is the mean of all c_i: that the models told it is what makes the corrections cancel.
TEST(ControlVariates, WithEveryoneTheCorrectionsCancel) {
  SmallFleet fleet;
  std::array<ControlVariates, SmallFleet::kDevices> controls;
  for (uint32_t round = 1; round <= 4; ++round) {
    std::vector<double> sum(fleet.parameters().size(), 0.0);
    double largest = 0.0;
    for (const ControlVariates& each : controls) {
      const std::vector<float> correction = correction_of(each, fleet.plan(round, 1.0F), fleet.parameters());
      for (size_t i = 0; i < sum.size(); ++i) {
        sum[i] += double{correction[i]};
        largest = std::max(largest, std::abs(double{correction[i]}));
      }
    }
    if (round == 1) {
      EXPECT_EQ(largest, 0.0) << "nothing is known yet";
    } else {
      EXPECT_GT(largest, 0.01);
    }
    for (const double each : sum) ASSERT_NEAR(each, 0.0, 1e-5 + 1e-3 * largest) << "round " << round;
    fleet.round(fleet.plan(round, 1.0F), controls);
  }
}

TEST(ControlVariates, KeepUnlikeDevicesFromDriftingApart) {
  const auto loss_after = [](float share) {
    SmallFleet fleet;
    std::array<ControlVariates, SmallFleet::kDevices> controls;
    for (uint32_t round = 1; round <= 12; ++round) fleet.round(fleet.plan(round, share), controls);
    return fleet.loss();
  };
  const double drifting = loss_after(0.0F);
  const double corrected = loss_after(1.0F);
  EXPECT_LT(corrected, 0.95 * drifting);
}

TEST(ControlVariates, AnUpdateThatIsTrainedAgainHasTheSameBytes) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("runnel_controls_" + std::to_string(::getpid()));
  SmallFleet fleet;
  std::array<ControlVariates, SmallFleet::kDevices> controls;
  controls[0] = ControlVariates(file.string());
  for (uint32_t round = 1; round <= 2; ++round) fleet.round(fleet.plan(round, 1.0F), controls);
  const std::vector<float> update = fleet.train(0, fleet.plan(3, 1.0F), controls[0]);
  // The device died before it was stored.
  ControlVariates restarted(file.string());
  ASSERT_TRUE(restarted.load().ok());
  EXPECT_EQ(fleet.train(0, fleet.plan(3, 1.0F), restarted), update);
  ControlVariates anew;
  EXPECT_NE(fleet.train(0, fleet.plan(3, 1.0F), anew), update) << "else they made no difference";
  std::filesystem::remove(file);
}

TEST(ControlVariates, MissedRoundsAreMadeUpFor) {
  SmallFleet fleet;
  std::array<ControlVariates, SmallFleet::kDevices> controls;
  fleet.round(fleet.plan(1, 1.0F), controls);
  const ControlVariates away = controls[0];
  for (uint32_t round = 2; round <= 3; ++round) fleet.round(fleet.plan(round, 1.0F), controls);
  // As if each of the two rounds had moved the model by half of what both did.
  const plan::RoundPlan plan = fleet.plan(4, 1.0F);
  const std::vector<float> back = correction_of(away, plan, fleet.parameters());
  const std::vector<float> steady = correction_of(controls[0], plan, fleet.parameters());
  double along = 0.0;
  double length = 0.0;
  for (size_t i = 0; i < back.size(); ++i) {
    along += double{back[i]} * double{steady[i]};
    length += double{steady[i]} * double{steady[i]};
  }
  EXPECT_GT(along, 0.3 * length) << "it points where the others' do";
}

TEST(ControlVariates, NumbersThatRanAwayAreForgotten) {
  const plan::RoundPlan plan = SmallFleet().plan(1, 1.0F);
  ControlVariates controls;
  const std::array<float, 2> model{1.0F, 2.0F};
  (void)controls.begin(plan, 1, model);
  const std::array<float, 2> away{std::numeric_limits<float>::infinity(), 0.0F};
  ASSERT_TRUE(controls.keep(plan, 1, 30, away, away).ok());
  plan::RoundPlan next = plan;
  next.round = 2;
  for (const float each : controls.begin(next, 2, model)) EXPECT_EQ(each, 0.0F);
}

TEST(ControlVariates, APlanWithThemNeedsAPlaceForThem) {
  const SmallTask small;
  plan::RoundPlan plan = small.plan(1);
  plan.training.local_steps = 3;
  plan.training.scaffold_share = 1.0F;
  TrainingTask task("d", *small.examples, 0);
  EXPECT_EQ(task.start(plan, 1, small.model).error(), Error::kUnsupported);
  ControlVariates controls;
  task.keep_controls(controls);
  ASSERT_TRUE(task.start(plan, 1, small.model).ok());
  EXPECT_EQ(task.memory_beside().controls, ControlVariates::bytes_for(small.layout.shared_count));
}

}  // namespace
}  // namespace runnel::device
