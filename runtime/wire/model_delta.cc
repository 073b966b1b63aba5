#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/wire/flatbuffer_memory.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/generated_headers.h"

namespace runnel::wire {
namespace {

constexpr size_t kDeltaOverheadBytesMax = 256;

bool aligned(ByteView bytes) {
  return reinterpret_cast<uintptr_t>(bytes.data()) % 8 == 0;
}

// What fp32 can add again and again without losing a bit: normal, and far from both ends.
Failure check_step(float step) {
  if (!std::isfinite(step)) return fail(Error::kNotFinite, "ModelDelta.step is not finite");
  const uint32_t bits = std::bit_cast<uint32_t>(step);
  if ((bits & 0x807FFFFFU) == 0 && step >= 0x1p-60F && step <= 0x1p60F) return Error::kOk;
  return fail(Error::kOutOfRange, "ModelDelta.step %g is not a power of two", static_cast<double>(step));
}

}  // namespace

Failure decode_delta(ByteView bytes, ModelDelta& delta) {
  RUNNEL_ASSERT(aligned(bytes));
  if (bytes.size() > kBlobBytesMax) return fail(Error::kLimit, "a model delta of %zu bytes", bytes.size());
  if (bytes.size() < 12) return fail(Error::kTruncated, "a model delta of %zu bytes is too short", bytes.size());
  if (!schema::ModelDeltaBufferHasIdentifier(bytes.data()))
    return fail(Error::kMalformed, "not a model delta: its identifier is not RNLD");
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), kDepthMax, kTablesMax);
  if (!schema::VerifyModelDeltaBuffer(verifier))
    return fail(Error::kMalformed, "a model delta whose offsets do not hold together");
  const schema::ModelDelta& from = *schema::GetModelDelta(bytes.data());
  delta = ModelDelta{};
  delta.run = from.run();
  delta.base_version = from.base_version();
  delta.model_version = from.model_version();
  if (delta.base_version == 0 || delta.base_version >= delta.model_version) {
    return fail(Error::kMalformed, "ModelDelta leads from version %llu to %llu",
                static_cast<unsigned long long>(delta.base_version),
                static_cast<unsigned long long>(delta.model_version));
  }
  delta.checksum = from.checksum();
  RUNNEL_TRY(check_step(from.step()));
  plan::EncodedTensor& multiples = delta.multiples;
  multiples.codec = plan::CodecId::kDeadzone;
  multiples.coder = plan::Coder::kModel;
  multiples.bits = 0;
  multiples.count = from.count();
  if (multiples.count > plan::kParametersMax)
    return fail(Error::kLimit, "ModelDelta claims %u parameters", multiples.count);
  multiples.payload = bytes_of(from.payload());
  // What the codec writes for zeros alone.
  multiples.scale = multiples.payload.empty() ? 0.0F : from.step();
  return Error::kOk;
}

void replace_model(MutableByteView model, uint64_t model_version, std::span<const float> parameters) {
  auto* root = flatbuffers::GetMutableRoot<flatbuffers::Table>(model.data());
  RUNNEL_ASSERT(root->SetField<uint64_t>(schema::Model::VT_MODEL_VERSION, model_version, 0));
  auto* values = root->GetPointer<flatbuffers::Vector<float>*>(schema::Model::VT_PARAMETERS);
  RUNNEL_ASSERT(values->size() == parameters.size());
  std::memcpy(values->Data(), parameters.data(), parameters.size_bytes());
}

size_t delta_overhead_bytes_max() {
  return kDeltaOverheadBytesMax;
}

Result<ByteView> build_delta(const ModelDelta& delta, MutableByteView memory) {
  RUNNEL_ASSERT(aligned(memory));
  const ByteView multiples = delta.multiples.payload;
  if (multiples.size() + kDeltaOverheadBytesMax > memory.size())
    return fail(Error::kNoMemory, "a model delta of up to %zu bytes in %zu", multiples.size() + kDeltaOverheadBytesMax,
                memory.size());
  BlockAllocator allocator(memory);
  flatbuffers::FlatBufferBuilder builder(memory.size() / 8 * 8, &allocator);
  const auto payload = builder.CreateVector(multiples.data(), multiples.size());
  const float step = multiples.empty() ? 1.0F : delta.multiples.scale;
  schema::FinishModelDeltaBuffer(
      builder, schema::CreateModelDelta(builder, delta.run, delta.base_version, delta.model_version, delta.checksum,
                                        delta.multiples.count, step, payload));
  return ByteView{builder.GetBufferPointer(), builder.GetSize()};
}

}  // namespace runnel::wire
