// A tiny model and a few points to train it on, for tests of what surrounds the training.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "device/training_task.h"
#include "runtime/base/rng.h"
#include "runtime/codec/update_codec.h"
#include "runtime/data/dataset.h"
#include "runtime/train/initialize.h"
#include "runtime/wire/frame.h"

namespace runnel::device {

struct SmallTask {
  SmallTask() : examples(std::make_unique<data::Dataset>(data::ElementType::kF32, 8, 3, 1.0F)) {
    Rng rng(5);
    for (int i = 0; i < 40; ++i) {
      const auto label = static_cast<uint32_t>(rng.below(3));
      std::array<float, 8> point{};
      for (size_t j = 0; j < point.size(); ++j) {
        point[j] = static_cast<float>((j % 3 == label ? 1.0 : 0.0) + 0.3 * rng.normal());
      }
      const ByteView bytes(reinterpret_cast<const uint8_t*>(point.data()), sizeof point);
      EXPECT_TRUE(examples->append(bytes, label).ok());
    }
    EXPECT_TRUE(spec.name.assign("small"));
    spec.input = {8, 1, 1};
    spec.classes = 3;
    plan::LayerSpec dense;
    dense.kind = plan::LayerKind::kDense;
    dense.units = 24;
    EXPECT_TRUE(spec.layers.push_back(dense));
    EXPECT_TRUE(spec.layers.push_back({plan::LayerKind::kRelu}));
    dense.units = 3;
    EXPECT_TRUE(spec.layers.push_back(dense));
    layout = *plan::make_layout(spec);
    std::vector<float> parameters(layout.parameter_count);
    train::initialize_parameters(layout, 3, parameters);
    std::vector<uint8_t> memory(wire::model_bytes_max(spec, parameters.size()));
    const Result<ByteView> built = wire::build_model({1, 1, spec, parameters}, memory);
    EXPECT_TRUE(built.ok());
    model.assign(built->begin(), built->end());
  }

  plan::RoundPlan plan(uint32_t round) const {
    plan::RoundPlan plan;
    plan.run = 1;
    plan.round = round;
    plan.rounds = 100;
    plan.model_version = 1;
    plan.seed = round;
    plan.training.batch_size = 8;
    return plan;
  }

  TrainedUpdate train(const plan::RoundPlan& round_plan, Carried carried, const rate::LinkLimits& limits = {},
                      bool retry = false, std::span<const float> ahead = {}) const {
    TrainingTask task("d", *examples, 0);
    const Failure started = task.start(round_plan, round_plan.round, model, std::move(carried), {}, retry, ahead);
    EXPECT_TRUE(started.ok()) << started.text();
    if (!started.ok()) return {};
    for (bool done = false; !done;) {
      const Result<bool> step = task.step();
      EXPECT_TRUE(step.ok()) << step.failure().text();
      if (!step.ok()) return {};
      done = *step;
    }
    Result<TrainedUpdate> update = task.finish(limits);
    EXPECT_TRUE(update.ok()) << update.failure().text();
    return update.ok() ? std::move(update).value() : TrainedUpdate{};
  }

  // Decodes the update and adds it.
  void add_to(const TrainedUpdate& trained, std::vector<double>& sum) const {
    wire::Update update;
    ASSERT_TRUE(wire::decode_update(trained.message, update).ok());
    std::vector<float> values(layout.parameter_count);
    ASSERT_TRUE(codec::decode_update(layout, {update.tensors.begin(), update.tensors.size()}, values).ok());
    for (size_t i = 0; i < values.size(); ++i) sum[i] += double{values[i]};
  }

  std::unique_ptr<data::Dataset> examples;
  plan::ModelSpec spec;
  plan::ModelLayout layout;
  std::vector<uint8_t> model;  // a Model message
};

}  // namespace runnel::device
