#include "device/engine/carried.h"

#include <memory>
#include <new>

#include "runtime/codec/update_codec.h"
#include "runtime/wire/frame.h"

namespace runnel::device {

Result<plan::ModelLayout> update_layout_of(ByteView model_message) {
  wire::Model model;
  RUNNEL_TRY(wire::decode_model(model_message, model));
  const Result<plan::ModelLayout> layout = plan::make_layout(model.spec);
  if (!layout) return layout.failure();
  return plan::shared_layout(*layout);
}

Failure add_update(ByteView update_message, const plan::ModelLayout& layout, std::span<float> sums) {
  RUNNEL_ASSERT(sums.size() == layout.parameter_count);
  wire::Update update;
  RUNNEL_TRY(wire::decode_update(update_message, update));
  const std::unique_ptr<float[]> memory(new (std::nothrow) float[sums.size()]);
  if (memory == nullptr) return fail(Error::kNoMemory, "no memory to add an update of %zu parameters", sums.size());
  const std::span<float> values(memory.get(), sums.size());
  RUNNEL_TRY(codec::decode_update(layout, {update.tensors.begin(), update.tensors.size()}, values));
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += values[i];
  return Error::kOk;
}

}  // namespace runnel::device
