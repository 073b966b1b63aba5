#include "runtime/train/read_example.h"

#include "runtime/tensor/reduce.h"

namespace runnel::train {

Failure check_source(const data::ExampleSource& source, uint64_t input_count, uint32_t classes) {
  if (source.input_count() != input_count) {
    return fail(Error::kShape, "an example has %u values, the model's input %llu", source.input_count(),
                static_cast<unsigned long long>(input_count));
  }
  if (source.target_count() != 1 || source.class_count() == 0) {
    return fail(Error::kShape, "the examples have %u targets of %u classes, the model wants one label each",
                source.target_count(), source.class_count());
  }
  if (source.class_count() > classes) {
    return fail(Error::kOutOfRange, "the examples have %u classes, the model %u", source.class_count(), classes);
  }
  if (source.example_count() == 0) return fail(Error::kInvalidArgument, "there are no examples");
  return Error::kOk;
}

Result<uint32_t> read_example(const data::ExampleSource& source, uint32_t index, uint32_t classes,
                              std::span<float> input) {
  const uint32_t label = source.read_labelled(index, input);
  if (label >= classes)
    return fail(Error::kOutOfRange, "example %u: label %u of a model with %u classes", index, label, classes);
  if (!tensor::all_finite(input)) return fail(Error::kNotFinite, "example %u: a value is NaN or infinite", index);
  return label;
}

}  // namespace runnel::train
