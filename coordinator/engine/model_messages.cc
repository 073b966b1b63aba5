#include "coordinator/engine/model_messages.h"

#include <algorithm>

#include "coordinator/engine/public_model.h"
#include "runtime/base/crc32c.h"

namespace runnel::coordinator {

void ModelMessages::set_model(const ModelRecord& model) {
  if (version_ == model.version) return;
  if (!keeps_older_) {
    cached_.clear();
    cached_bytes_ = 0;
  } else if (full_given_) {
    add({version_, 0, std::move(full_)});
  }
  // That the full model was shorter is of no use any more.
  std::erase_if(cached_, [](const Cached& cached) { return cached.bytes.empty(); });
  full_given_ = false;
  std::vector<uint8_t> memory(wire::model_bytes_max(spec_, model.parameters.size()));
  wire::Model message;
  message.run = run_;
  message.model_version = model.version;
  message.spec = spec_;
  message.parameters = model.parameters;
  const Result<ByteView> built = wire::build_model(message, memory);
  RUNNEL_ASSERT(built.ok());
  full_.assign(built->begin(), built->end());
  version_ = model.version;
  const Result<plan::ModelLayout> layout = plan::make_layout(spec_);
  RUNNEL_ASSERT(layout.ok());
  shared_count_ = layout->shared_count;
  checksum_ =
      crc32c({reinterpret_cast<const uint8_t*>(model.parameters.data()), model.parameters.size() * sizeof(float)});
}

std::deque<ModelMessages::Cached>::iterator ModelMessages::find(uint64_t version, uint64_t base_version) {
  return std::find_if(cached_.begin(), cached_.end(), [&](const Cached& cached) {
    return cached.version == version && cached.base_version == base_version;
  });
}

void ModelMessages::add(Cached cached) {
  cached_bytes_ += cached.bytes.size();
  cached_.push_back(std::move(cached));
  while (cached_.size() > 1 && cached_bytes_ > cache_bytes_max_) {
    cached_bytes_ -= cached_.front().bytes.size();
    cached_.pop_front();
  }
}

// The most recently asked for is the last.
ModelMessages::Message ModelMessages::touch(std::deque<Cached>::iterator found) {
  if (found + 1 != cached_.end()) std::rotate(found, found + 1, cached_.end());
  return {cached_.back().base_version, cached_.back().bytes};
}

std::optional<ModelMessages::Message> ModelMessages::older(uint64_t version, uint64_t base_version) {
  const auto found = find(version, base_version);
  if (version == version_ || found == cached_.end()) return std::nullopt;
  return touch(found);
}

std::vector<uint8_t> ModelMessages::make(uint64_t base_version, std::span<const ModelDelta> deltas) const {
  const Result<std::optional<ModelDelta>> delta = compose(deltas, shared_count_);
  // A delta that does not decode any more costs bytes, not the round: devices get the model in full.
  if (!delta || !delta->has_value()) return {};
  wire::ModelDelta message;
  message.run = run_;
  message.base_version = base_version;
  message.model_version = version_;
  message.checksum = checksum_;
  message.multiples.count = shared_count_;
  message.multiples.scale = (*delta)->step;
  message.multiples.payload = (*delta)->blob;
  std::vector<uint8_t> memory((*delta)->blob.size() + wire::delta_overhead_bytes_max());
  const Result<ByteView> built = wire::build_delta(message, memory);
  RUNNEL_ASSERT(built.ok());
  if (built->size() >= full_.size()) return {};
  return {built->begin(), built->end()};
}

ModelMessages::Message ModelMessages::message_for(uint64_t held_version, std::span<const ModelDelta> deltas) {
  const bool chain = !deltas.empty() && deltas.back().version == version_ && deltas.front().version > 0 &&
                     held_version + 1 >= deltas.front().version && held_version < version_ && held_version != 0;
  if (chain) {
    auto found = find(version_, held_version);
    if (found == cached_.end()) {
      add({version_, held_version, make(held_version, deltas.last(version_ - held_version))});
      ++composed_count_;
      found = cached_.end() - 1;
    }
    const Message message = touch(found);
    if (!message.bytes.empty()) return message;
  }
  full_given_ = true;
  return full();
}

}  // namespace runnel::coordinator
