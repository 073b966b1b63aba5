// A device's own evaluation: the global model that it was given and the one that it made of it, on examples that it
// keeps out of training; a batch a call.
//
// Memory: one block, of evaluation_bytes(), allocated by create(), and what Metrics takes. Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/data/example_source.h"
#include "runtime/plan/metric.h"
#include "runtime/train/evaluator.h"
#include "runtime/train/metrics.h"

namespace runnel::device {

class OwnEvaluation {
 public:
  static constexpr uint32_t kBatchExamples = 8;

  // `examples` must outlive this. Fails when the model does not fit them, as Evaluator::create() and start() do.
  static Result<OwnEvaluation> create(const plan::ModelSpec& spec, const data::ExampleSource& examples);
  static Result<size_t> bytes_for(const plan::ModelSpec& spec);

  // Begins with a model, which is borrowed until it is done.
  Failure start(std::span<const float> parameters);
  // One batch; true when it was the last.
  Result<bool> step();
  // What the model that is done came to. A detector of unusual examples that saw none of them is judged by its RMSE.
  plan::Scores scores();

 private:
  OwnEvaluation(const data::ExampleSource& examples, std::vector<uint8_t> block, train::Evaluator evaluator,
                train::Metrics metrics)
      : examples_(&examples),
        block_(std::move(block)),
        evaluator_(std::move(evaluator)),
        metrics_(std::move(metrics)) {}

  const data::ExampleSource* examples_;
  std::vector<uint8_t> block_;
  train::Evaluator evaluator_;
  train::Metrics metrics_;
};

}  // namespace runnel::device
