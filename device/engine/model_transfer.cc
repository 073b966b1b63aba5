#include "device/engine/model_transfer.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "runtime/base/crc32c.h"
#include "runtime/codec/update_codec.h"

namespace runnel::device {

Failure ModelTransfer::restore() {
  if (keeper_ == nullptr) return Error::kNotFound;
  const Result<ModelKeeper::Kept> kept = keeper_->load(held_, bytes_max_);
  if (!kept) return kept.failure();
  wire::Model model;
  Failure bad = wire::decode_model(held_.bytes(), model);
  if (bad.ok() && (model.run != kept->run || model.model_version != kept->version || kept->version == 0))
    bad = fail(Error::kCorrupt, "the kept model is not the one that its header names");
  if (!bad.ok()) {
    held_.reset();
    return bad;
  }
  held_run_ = kept->run;
  held_version_ = kept->version;
  return Error::kOk;
}

void ModelTransfer::want(uint64_t run, uint64_t version, uint64_t model_bytes) {
  if (run == wanted_run_ && version == wanted_version_ && model_bytes == wanted_bytes_) return;
  if (under_way() && run == wanted_run_ && version > wanted_version_) {
    if (anchor_version_ == 0) {
      anchor_version_ = wanted_version_;
      anchor_bytes_ = wanted_bytes_;
    }
    wanted_version_ = version;
    wanted_bytes_ = model_bytes;
    return;
  }
  stop();
  wanted_run_ = run;
  wanted_version_ = version;
  wanted_bytes_ = model_bytes;
}

bool ModelTransfer::give_up_anchor() {
  if (anchor_version_ == 0) return false;
  anchor_version_ = anchor_bytes_ = 0;
  incoming_.reset();
  incoming_base_ = requested_bytes_ = 0;
  return true;
}

void ModelTransfer::expect_delta(uint64_t base_version) {
  if (!wanted() || base() != base_version || requested_bytes_ != 0) return;
  requested_bytes_ = std::min<uint64_t>(window_bytes_, wanted_bytes_);
}

void ModelTransfer::stop() {
  wanted_version_ = 0;
  anchor_version_ = anchor_bytes_ = 0;
  incoming_.reset();
  incoming_base_ = requested_bytes_ = 0;
}

std::optional<wire::ModelRequest> ModelTransfer::poll_request() {
  if (!wanted()) return std::nullopt;
  // Until the first chunk shows the size: no message that brings the model is longer than the model.
  const uint64_t total = incoming_.total_bytes();
  const uint64_t end = total == 0 ? std::min<uint64_t>(window_bytes_, fetched_bytes()) : total;
  if (requested_bytes_ >= end || requested_bytes_ - incoming_.received_bytes() > window_bytes_ / 2) return std::nullopt;
  const uint64_t offset = requested_bytes_;
  const auto bytes = static_cast<uint32_t>(std::min<uint64_t>(window_bytes_, end - offset));
  requested_bytes_ += bytes;
  return wire::ModelRequest{wanted_run_, fetched_version(), offset, bytes, base()};
}

ModelTransfer::Outcome ModelTransfer::handle_chunk(const wire::ModelChunk& chunk, Failure& why) {
  if (!wanted() || chunk.model_version != fetched_version()) return Outcome::kIgnored;
  const bool full = chunk.base_version == 0;
  if (full ? chunk.total_bytes != fetched_bytes() : chunk.base_version != base()) return Outcome::kIgnored;
  if (incoming_.total_bytes() != chunk.total_bytes || incoming_base_ != chunk.base_version) {
    // The first chunk, or the coordinator has changed its mind.
    if (full) held_.reset();
    const bool resumed = incoming_.total_bytes() != 0;
    why = incoming_.start(chunk.total_bytes, std::min(bytes_max_, fetched_bytes()));
    if (!why.ok()) {
      stop();
      return Outcome::kRefused;
    }
    incoming_base_ = chunk.base_version;
    requested_bytes_ = resumed || chunk.offset != 0 ? 0 : std::min(requested_bytes_, chunk.total_bytes);
    if (chunk.offset != 0) return Outcome::kMore;  // asked for again, from the start
    requested_bytes_ = std::max<uint64_t>(requested_bytes_, chunk.payload.size());
  }
  why = incoming_.add(chunk.offset, chunk.payload);
  if (!why.ok()) return Outcome::kDropped;
  requested_bytes_ = std::max(requested_bytes_, incoming_.received_bytes());
  if (!incoming_.complete()) return Outcome::kMore;
  why = full ? take_full() : take_delta();
  incoming_.reset();
  incoming_base_ = requested_bytes_ = 0;
  if (why.ok()) return Outcome::kHeld;
  if (full) {
    stop();
    return Outcome::kRefused;
  }
  held_.reset();
  anchor_version_ = anchor_bytes_ = 0;
  return Outcome::kFallback;
}

Failure ModelTransfer::take_full() {
  wire::Model model;
  RUNNEL_TRY(wire::decode_model(incoming_.bytes(), model));
  if (model.run != wanted_run_ || model.model_version != fetched_version()) {
    return fail(Error::kMalformed, "the model that came is version %llu of run %llu",
                static_cast<unsigned long long>(model.model_version), static_cast<unsigned long long>(model.run));
  }
  held_ = std::move(incoming_);
  held_run_ = wanted_run_;
  held_version_ = fetched_version();
  anchor_version_ = anchor_bytes_ = 0;
  return Error::kOk;
}

Failure ModelTransfer::take_delta() {
  wire::ModelDelta delta;
  RUNNEL_TRY(wire::decode_delta(incoming_.bytes(), delta));
  if (delta.run != wanted_run_ || delta.model_version != fetched_version() || delta.base_version != held_version_) {
    return fail(Error::kMalformed, "the delta that came leads from version %llu to %llu of run %llu",
                static_cast<unsigned long long>(delta.base_version),
                static_cast<unsigned long long>(delta.model_version), static_cast<unsigned long long>(delta.run));
  }
  wire::Model model;
  RUNNEL_TRY(wire::decode_model(held_.bytes(), model));
  const Result<plan::ModelLayout> layout = plan::make_layout(model.spec);
  if (!layout) return layout.failure();
  const size_t count = model.parameters.size();
  const size_t shared = layout->shared_count;
  if (delta.multiples.count != shared) {
    return fail(Error::kShape, "a delta of %u parameters for a model that shares %zu", delta.multiples.count, shared);
  }
  std::unique_ptr<float[]> memory;
  if (scratch_.size() < count) {
    memory.reset(new (std::nothrow) float[count]);
    if (memory == nullptr) return fail(Error::kNoMemory, "no memory to add a delta of %zu parameters", count);
  }
  const std::span<float> sums = memory != nullptr ? std::span(memory.get(), count) : scratch_.first(count);
  RUNNEL_TRY(codec::decode_tensor("delta", delta.multiples, sums.first(shared)));
  std::copy(model.parameters.begin() + static_cast<std::ptrdiff_t>(shared), model.parameters.end(),
            sums.begin() + static_cast<std::ptrdiff_t>(shared));
  for (size_t i = 0; i < shared; ++i) {
    sums[i] += model.parameters[i];
    if (!std::isfinite(sums[i])) return fail(Error::kNotFinite, "parameter %zu is not finite after the delta", i);
  }
  if (crc32c({reinterpret_cast<const uint8_t*>(sums.data()), sums.size_bytes()}) != delta.checksum) {
    return fail(Error::kCorrupt, "the delta to version %llu does not lead to the coordinator's model",
                static_cast<unsigned long long>(delta.model_version));
  }
  wire::replace_model(held_.mutable_bytes(), fetched_version(), sums);
  held_version_ = fetched_version();
  anchor_version_ = anchor_bytes_ = 0;
  return Error::kOk;
}

Failure ModelTransfer::keep() {
  if (keeper_ == nullptr || !held_.complete()) return Error::kOk;
  return keeper_->save({held_run_, held_version_}, held_.bytes());
}

}  // namespace runnel::device
