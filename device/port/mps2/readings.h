// What the example board has measured: windows of an accelerometer beside a machine, each with the state that the
// machine was in. The emulated board has no sensor, so it makes them up, each anew whenever it is read: the same for
// the same board, and others on another.
//
// Threads: any. Memory: none beyond itself.
#pragma once

#include "runtime/data/example_source.h"

namespace runnel::port {

inline constexpr uint32_t kReadingValues = 64;
inline constexpr uint32_t kReadingClasses = 10;

class Readings final : public data::ExampleSource {
 public:
  Readings(uint64_t board, uint32_t count) : board_(board), count_(count) {}

  uint32_t example_count() const override { return count_; }
  uint32_t input_count() const override { return kReadingValues; }
  uint32_t target_count() const override { return 1; }
  uint32_t class_count() const override { return kReadingClasses; }
  void read(uint32_t index, std::span<float> input, std::span<float> target) const override;

 private:
  uint64_t board_;
  uint32_t count_;
};

}  // namespace runnel::port
