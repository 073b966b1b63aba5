// Bytes to messages and back. The one room that sees FlatBuffers' generated types.
//
// Decoding is total: any bytes give a message or a Failure that says what is wrong, in time linear in their number,
// without allocating. The FlatBuffers verifier runs first, then a semantic check of every field that is later used.
// Building writes into a FrameBuilder's own memory, which is set at construction and never grows.
#pragma once

#include <memory>

#include "runtime/base/result.h"
#include "runtime/wire/messages.h"

namespace runnel::wire {

// Decodes one frame. REQUIRES: bytes.data() is 8-byte aligned. Failures: kTruncated, kMalformed, kLimit, kNotFinite,
// kOutOfRange, kUnsupported (a message kind of a newer protocol: to be ignored).
Result<Message> decode_frame(ByteView bytes);

// Decodes a whole Update message into `update`; on failure what `update` holds is unspecified. REQUIRES and failures as
// above.
Failure decode_update(ByteView bytes, Update& update);

// Decodes a whole Model message; the spec has passed plan::make_layout and the parameters fit it and are finite. kShape
// too; otherwise as decode_update().
Failure decode_model(ByteView bytes, Model& model);

// Decodes a whole ModelDelta message: base_version below model_version, a step that is a power of two. Whether the
// payload holds multiples is codec::decode_tensor's business. Otherwise as decode_update().
Failure decode_delta(ByteView bytes, ModelDelta& delta);

// Turns a Model message that decodes into that of another version, in place. REQUIRES: parameters as many as it has.
void replace_model(MutableByteView model, uint64_t model_version, std::span<const float> parameters);

// Builds messages in memory of its own. A view that it returned is valid until the next call.
class FrameBuilder {
 public:
  FrameBuilder();
  ~FrameBuilder();
  FrameBuilder(FrameBuilder&& other) noexcept;
  FrameBuilder(const FrameBuilder&) = delete;
  FrameBuilder& operator=(const FrameBuilder&) = delete;

  // The frame's bytes. REQUIRES: texts and payloads within the limits of messages.h.
  ByteView build(const Message& message);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// An upper bound of what build_update() needs beside the payloads.
size_t update_overhead_bytes_max(size_t tensor_count);

// Writes an Update message to the end of `memory` and returns the part that holds it, or kNoMemory. REQUIRES: memory is
// 8-byte aligned, names are at most kNameBytesMax long. The part may be only 4-byte aligned: copy it before decoding
// it.
Result<ByteView> build_update(const Update& update, MutableByteView memory);

// Writes a Model message; `memory` as above. model_bytes_max() gives a size that is enough.
size_t model_bytes_max(const plan::ModelSpec& spec, size_t parameter_count);
Result<ByteView> build_model(const Model& model, MutableByteView memory);

// Writes a ModelDelta message; `memory` as above, delta_overhead_bytes_max() larger than the payload.
size_t delta_overhead_bytes_max();
Result<ByteView> build_delta(const ModelDelta& delta, MutableByteView memory);

}  // namespace runnel::wire
