// Where examples come from, as the trainer and the evaluator see it: an input, and what the model's output for it is
// compared with.
#pragma once

#include <cstdint>
#include <span>

namespace runnel::data {

class ExampleSource {
 public:
  virtual ~ExampleSource() = default;

  virtual uint32_t example_count() const = 0;

  // Values of one example; the model's input shape says how they are arranged.
  virtual uint32_t input_count() const = 0;

  // Labels or values that one example is compared with: one class, one class a position of a sequence, or numbers.
  virtual uint32_t target_count() const = 0;

  // Labels are whole numbers below it; 0: the targets are numbers of any kind.
  virtual uint32_t class_count() const = 0;

  // Writes example `index` as floats, scaled, row-major, and what it is compared with; labels are floats too, and
  // exact. An empty `target` is not written: a model that is compared with its own input asks for none. REQUIRES: index
  // < example_count(), input.size() == input_count(), target is empty or has target_count() values.
  virtual void read(uint32_t index, std::span<float> input, std::span<float> target) const = 0;

  // Of a source with one label an example.
  uint32_t read_labelled(uint32_t index, std::span<float> input) const {
    float label = 0.0F;
    read(index, input, {&label, 1});
    return static_cast<uint32_t>(label);
  }
};

}  // namespace runnel::data
