// Where labelled examples come from, as the trainer and the evaluator see it.
#pragma once

#include <cstdint>
#include <span>

namespace runnel::data {

class ExampleSource {
 public:
  virtual ~ExampleSource() = default;

  virtual uint32_t example_count() const = 0;
  virtual uint32_t input_count()
      const = 0;  // values of one example; the model's input shape says how they are arranged
  virtual uint32_t class_count() const = 0;

  // Writes example `index` as floats, scaled, row-major, and returns its label.
  // REQUIRES: index < example_count(), input.size() == input_count(). The label is < class_count().
  virtual uint32_t read(uint32_t index, std::span<float> input) const = 0;
};

}  // namespace runnel::data
