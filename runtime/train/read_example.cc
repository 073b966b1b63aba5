#include "runtime/train/read_example.h"

#include "runtime/tensor/reduce.h"
#include "runtime/train/loss.h"

namespace runnel::train {

Failure check_source(const data::ExampleSource& source, const plan::LossSpec& loss, uint64_t input_count,
                     uint32_t channels, uint32_t target_count) {
  if (source.input_count() != input_count) {
    return fail(Error::kShape, "an example has %u values, the model's input %llu", source.input_count(),
                static_cast<unsigned long long>(input_count));
  }
  if (source.example_count() == 0) return fail(Error::kInvalidArgument, "there are no examples");
  if (loss.target == plan::TargetKind::kInput) return Error::kOk;
  const bool labels = loss.target == plan::TargetKind::kLabels;
  if (source.target_count() != target_count || (labels && source.class_count() == 0)) {
    return fail(Error::kShape, "the examples have %u targets of %u classes, the model wants %u %s",
                source.target_count(), source.class_count(), target_count, labels ? "labels" : "numbers");
  }
  if (labels && source.class_count() > channels) {
    return fail(Error::kOutOfRange, "the examples have %u classes, the model %u", source.class_count(), channels);
  }
  return Error::kOk;
}

Failure read_example(const data::ExampleSource& source, uint32_t index, const plan::LossSpec& loss, uint32_t channels,
                     std::span<float> input, std::span<float> target) {
  source.read(index, input, target);
  if (!tensor::all_finite(input)) return fail(Error::kNotFinite, "example %u: a value is NaN or infinite", index);
  const std::span<const float> compared = loss.target == plan::TargetKind::kInput ? input : target;
  if (Failure bad = check_targets(loss, channels, compared); !bad.ok()) return bad.prefix("example %u", index);
  return Error::kOk;
}

}  // namespace runnel::train
