// Batch, group and layer normalisation against their formulas in double.
#include <gtest/gtest.h>

#include "runtime/tensor/batch_norm.h"
#include "runtime/tensor/group_norm.h"
#include "tests/unit/tensor/finite_difference.h"
#include "tests/unit/tensor/test_values.h"

namespace runnel::tensor {
namespace {

constexpr float kEpsilon = 1e-2F;

// Values whose mean is far from zero beside their spread.
std::vector<float> shifted_values(Rng& rng, size_t count) {
  std::vector<float> values = random_values(rng, count);
  for (float& value : values) value += 3.0F;
  return values;
}

// Normalises the values at `places`, in double; returns mean and variance.
std::pair<double, double> normalise(const Doubles& input, const std::vector<size_t>& places, Doubles& output) {
  double mean = 0.0;
  for (const size_t place : places) mean += input[place];
  mean /= static_cast<double>(places.size());
  double variance = 0.0;
  for (const size_t place : places) variance += (input[place] - mean) * (input[place] - mean);
  variance /= static_cast<double>(places.size());
  for (const size_t place : places) output[place] = (input[place] - mean) / std::sqrt(variance + kEpsilon);
  return {mean, variance};
}

DoubleKernel batch_norm_in_double(const BatchNorm& norm, size_t examples) {
  return [norm, examples](const std::vector<Doubles>& arguments) {
    Doubles output(arguments[0].size());
    for (size_t channel = 0; channel < norm.channels; ++channel) {
      std::vector<size_t> places;
      for (size_t example = 0; example < examples; ++example) {
        for (size_t position = 0; position < norm.positions; ++position)
          places.push_back((example * norm.channels + channel) * norm.positions + position);
      }
      normalise(arguments[0], places, output);
      for (const size_t place : places) output[place] = output[place] * arguments[1][channel] + arguments[2][channel];
    }
    return output;
  };
}

// input, scale and shift of a layer with so many weights.
std::vector<std::vector<float>> norm_arguments(Rng& rng, size_t values, size_t weights) {
  return {shifted_values(rng, values), shifted_values(rng, weights), random_values(rng, weights)};
}

TEST(BatchNorm, AgreesWithTheFormula) {
  Rng rng(11);
  for (const size_t examples : {1U, 2U, 5U}) {
    for (const size_t channels : {1U, 3U, 17U, 32U}) {
      for (const size_t positions : {1U, 2U, 6U, 16U, 19U}) {
        SCOPED_TRACE(std::to_string(examples) + " x " + std::to_string(channels) + " x " + std::to_string(positions));
        const BatchNorm norm{channels, positions, kEpsilon};
        const size_t values = examples * channels * positions;
        const auto arguments = norm_arguments(rng, values, channels);
        const std::vector<float> output_gradient = random_values(rng, values);
        const DoubleKernel kernel = batch_norm_in_double(norm, examples);
        std::vector<float> output(values, 77.0F);
        std::vector<float> saved(batch_norm_saved(norm), 77.0F);
        batch_norm_forward(norm, examples, arguments[0], arguments[1], arguments[2], {}, {}, output, saved);
        expect_values(kernel(all_in_double(arguments)), output, 5e-6);

        const std::vector<float> before = random_values(rng, channels);
        std::vector<float> scale_gradient = before;
        std::vector<float> shift_gradient = before;
        std::vector<float> input_gradient(values, 77.0F);
        batch_norm_backward(norm, examples, arguments[0], arguments[1], saved, output_gradient, -0.5F, scale_gradient,
                            shift_gradient, input_gradient);
        expect_values(difference_gradient(kernel, arguments, output_gradient, 0), input_gradient, 4e-5);
        expect_added(difference_gradient(kernel, arguments, output_gradient, 1), -0.5, before, scale_gradient, 4e-5);
        expect_added(difference_gradient(kernel, arguments, output_gradient, 2), -0.5, before, shift_gradient, 4e-5);

        std::vector<float> in_place = output_gradient;
        batch_norm_backward(norm, examples, arguments[0], arguments[1], saved, in_place, 1.0F, {}, {}, in_place);
        EXPECT_EQ(in_place, input_gradient);
      }
    }
  }
}

TEST(BatchNorm, RunningStatisticsFollowTheUnbiasedVariance) {
  Rng rng(12);
  constexpr size_t kExamples = 4;
  for (const size_t positions : {1U, 9U}) {
    const BatchNorm norm{5, positions, kEpsilon};
    std::vector<float> running_mean(5, 0.5F);
    std::vector<float> running_variance(5, 2.0F);
    std::vector<double> mean(5, 0.5);
    std::vector<double> variance(5, 2.0);
    for (int pass = 0; pass < 3; ++pass) {
      const auto arguments = norm_arguments(rng, kExamples * 5 * positions, 5);
      std::vector<float> output(arguments[0].size());
      std::vector<float> saved(batch_norm_saved(norm));
      batch_norm_forward(norm, kExamples, arguments[0], arguments[1], arguments[2], running_mean, running_variance,
                         output, saved);
      const double count = static_cast<double>(kExamples * positions);
      for (size_t channel = 0; channel < 5; ++channel) {
        Doubles values;
        for (size_t example = 0; example < kExamples; ++example) {
          for (size_t position = 0; position < positions; ++position)
            values.push_back(arguments[0][(example * 5 + channel) * positions + position]);
        }
        double total = 0.0;
        for (const double value : values) total += value;
        double squares = 0.0;
        for (const double value : values) squares += (value - total / count) * (value - total / count);
        mean[channel] += 0.1 * (total / count - mean[channel]);
        variance[channel] += 0.1 * (squares / (count - 1.0) - variance[channel]);
      }
      expect_values(mean, running_mean);
      expect_values(variance, running_variance);
    }
  }
}

TEST(BatchNorm, OfASingleValueLeavesTheRunningStatisticsAlone) {
  const BatchNorm norm{2, 1, kEpsilon};
  std::vector<float> mean(2, 0.25F);
  std::vector<float> variance(2, 0.75F);
  std::vector<float> output(2);
  std::vector<float> saved(4);
  batch_norm_forward(norm, 1, std::vector<float>{5, -5}, std::vector<float>{2, 2}, std::vector<float>{3, 4}, mean,
                     variance, output, saved);
  EXPECT_EQ(output, (std::vector<float>{3, 4}));
  EXPECT_EQ(mean, std::vector<float>(2, 0.25F));
  EXPECT_EQ(variance, std::vector<float>(2, 0.75F));
}

TEST(BatchNorm, WithGivenStatisticsIsALinearFunction) {
  Rng rng(13);
  for (const size_t positions : {1U, 7U, 20U}) {
    const BatchNorm norm{19, positions, kEpsilon};
    const size_t values = 3 * 19 * positions;
    std::vector<std::vector<float>> arguments = norm_arguments(rng, values, 19);
    arguments.push_back(random_values(rng, 19));   // mean
    arguments.push_back(shifted_values(rng, 19));  // variance
    const DoubleKernel kernel = [norm](const std::vector<Doubles>& from) {
      Doubles output;
      for (size_t index = 0; index < from[0].size(); ++index) {
        const size_t channel = index / norm.positions % norm.channels;
        output.push_back((from[0][index] - from[3][channel]) / std::sqrt(from[4][channel] + kEpsilon) *
                             from[1][channel] +
                         from[2][channel]);
      }
      return output;
    };
    std::vector<float> output(values);
    batch_norm_inference(norm, 3, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], output);
    expect_values(kernel(all_in_double(arguments)), output);
    const std::vector<float> output_gradient = random_values(rng, values);
    std::vector<float> input_gradient(values);
    batch_norm_inference_backward(norm, 3, arguments[1], arguments[4], output_gradient, input_gradient);
    expect_values(difference_gradient(kernel, arguments, output_gradient, 0), input_gradient);
  }
}

TEST(BatchNorm, AVarianceBelowZeroCountsAsZero) {
  const BatchNorm norm{2, 1, 0.25F};
  std::vector<float> output(2);
  const std::vector<float> ones(2, 1.0F);
  const std::vector<float> zeros(2, 0.0F);
  batch_norm_inference(norm, 1, std::vector<float>{3, 3}, ones, zeros, zeros, std::vector<float>{-0.5F, 0}, output);
  EXPECT_EQ(output, (std::vector<float>{6, 6}));
  batch_norm_inference_backward(norm, 1, ones, std::vector<float>{-0.5F, 0}, ones, output);
  EXPECT_EQ(output, (std::vector<float>{2, 2}));
}

DoubleKernel group_norm_in_double(const GroupNorm& norm, size_t examples) {
  return [norm, examples](const std::vector<Doubles>& arguments) {
    Doubles output(arguments[0].size());
    const size_t group = norm.channels / norm.groups * norm.positions;
    for (size_t begin = 0; begin < examples * norm.channels * norm.positions; begin += group) {
      std::vector<size_t> places(group);
      for (size_t index = 0; index < group; ++index) places[index] = begin + index;
      normalise(arguments[0], places, output);
    }
    for (size_t index = 0; index < output.size(); ++index) {
      const size_t channel = index / norm.positions % norm.channels;
      output[index] = output[index] * arguments[1][channel] + arguments[2][channel];
    }
    return output;
  };
}

TEST(GroupNorm, AgreesWithTheFormula) {
  Rng rng(14);
  for (const size_t examples : {1U, 3U}) {
    for (const auto& [channels, groups] : {std::pair<size_t, size_t>{1, 1}, {4, 1}, {4, 2}, {6, 6}, {16, 4}}) {
      for (const size_t positions : {1U, 2U, 9U, 20U}) {
        SCOPED_TRACE(std::to_string(channels) + " / " + std::to_string(groups) + " x " + std::to_string(positions));
        const GroupNorm norm{channels, groups, positions, kEpsilon};
        const size_t values = examples * channels * positions;
        const auto arguments = norm_arguments(rng, values, channels);
        const std::vector<float> output_gradient = random_values(rng, values);
        const DoubleKernel kernel = group_norm_in_double(norm, examples);
        std::vector<float> output(values, 77.0F);
        std::vector<float> saved(group_norm_saved(norm, examples), 77.0F);
        group_norm_forward(norm, examples, arguments[0], arguments[1], arguments[2], output, saved);
        expect_values(kernel(all_in_double(arguments)), output, 5e-6);
        const std::vector<float> before = random_values(rng, channels);
        std::vector<float> scale_gradient = before;
        std::vector<float> shift_gradient = before;
        std::vector<float> input_gradient(values, 77.0F);
        group_norm_backward(norm, examples, arguments[0], arguments[1], saved, output_gradient, 0.5F, scale_gradient,
                            shift_gradient, input_gradient);
        expect_values(difference_gradient(kernel, arguments, output_gradient, 0), input_gradient, 1e-5);
        expect_added(difference_gradient(kernel, arguments, output_gradient, 1), 0.5, before, scale_gradient, 1e-5);
        expect_added(difference_gradient(kernel, arguments, output_gradient, 2), 0.5, before, shift_gradient, 1e-5);
      }
    }
  }
}

TEST(LayerNorm, AgreesWithTheFormula) {
  Rng rng(15);
  for (const size_t examples : {1U, 2U, 5U}) {
    for (const size_t count : {1U, 2U, 15U, 16U, 37U}) {
      SCOPED_TRACE(std::to_string(examples) + " x " + std::to_string(count));
      const LayerNorm norm{count, kEpsilon};
      const auto arguments = norm_arguments(rng, examples * count, count);
      const std::vector<float> output_gradient = random_values(rng, examples * count);
      const DoubleKernel kernel = [&](const std::vector<Doubles>& from) {
        Doubles output(from[0].size());
        for (size_t example = 0; example < examples; ++example) {
          std::vector<size_t> places(count);
          for (size_t index = 0; index < count; ++index) places[index] = example * count + index;
          normalise(from[0], places, output);
        }
        for (size_t index = 0; index < output.size(); ++index)
          output[index] = output[index] * from[1][index % count] + from[2][index % count];
        return output;
      };
      std::vector<float> output(examples * count, 77.0F);
      std::vector<float> saved(layer_norm_saved(norm, examples), 77.0F);
      layer_norm_forward(norm, examples, arguments[0], arguments[1], arguments[2], output, saved);
      expect_values(kernel(all_in_double(arguments)), output, 5e-6);
      const std::vector<float> before = random_values(rng, count);
      std::vector<float> scale_gradient = before;
      std::vector<float> shift_gradient = before;
      std::vector<float> input_gradient(examples * count, 77.0F);
      layer_norm_backward(norm, examples, arguments[0], arguments[1], saved, output_gradient, -2.0F, scale_gradient,
                          shift_gradient, input_gradient);
      expect_values(difference_gradient(kernel, arguments, output_gradient, 0), input_gradient, 1e-5);
      expect_added(difference_gradient(kernel, arguments, output_gradient, 1), -2.0, before, scale_gradient, 1e-5);
      expect_added(difference_gradient(kernel, arguments, output_gradient, 2), -2.0, before, shift_gradient, 1e-5);
    }
  }
}

// Updating the weights in place gives what a gradient buffer gives.
TEST(Norms, UpdateTheirOwnWeightsInPlace) {
  Rng rng(16);
  const GroupNorm norm{6, 3, 5, kEpsilon};
  const auto arguments = norm_arguments(rng, 60, 6);
  const std::vector<float> output_gradient = random_values(rng, 60);
  std::vector<float> output(60);
  std::vector<float> saved(group_norm_saved(norm, 2));
  group_norm_forward(norm, 2, arguments[0], arguments[1], arguments[2], output, saved);
  std::vector<float> apart_scale = arguments[1];
  std::vector<float> apart_shift = arguments[2];
  std::vector<float> apart_input(60);
  group_norm_backward(norm, 2, arguments[0], arguments[1], saved, output_gradient, -0.1F, apart_scale, apart_shift,
                      apart_input);
  std::vector<float> scale = arguments[1];
  std::vector<float> shift = arguments[2];
  std::vector<float> input_gradient(60);
  group_norm_backward(norm, 2, arguments[0], scale, saved, output_gradient, -0.1F, scale, shift, input_gradient);
  EXPECT_EQ(scale, apart_scale);
  EXPECT_EQ(shift, apart_shift);
  EXPECT_EQ(input_gradient, apart_input);
}

}  // namespace
}  // namespace runnel::tensor
