// Every field of a message in words: two messages are equal when their words are. Reading all of it also lets a
// sanitizer see a view that reaches outside its buffer.
#pragma once

#include <bit>
#include <iomanip>
#include <sstream>
#include <string>

#include "runtime/wire/messages.h"

namespace runnel::wire {

class Describer {
 public:
  std::string text() const { return out_.str(); }

  void operator()(const Hello& m) {
    number("protocol_min", m.protocol_min);
    number("protocol_max", m.protocol_max);
    words("device", m.device);
    words("software", m.software);
    bytes("codecs", {m.codecs.begin(), m.codecs.size()});
    number("frame_bytes_max", m.frame_bytes_max);
    number("held_run", m.held_run);
    number("held_model_version", m.held_model_version);
    number("unavailable", m.unavailable);
  }
  void operator()(const Welcome& m) {
    number("protocol", m.protocol);
    words("software", m.software);
    number("run", m.run);
    number("rounds", m.rounds);
    number("chunk_bytes_max", m.chunk_bytes_max);
    number("window_bytes", m.window_bytes);
    number("ping_after_ms", m.ping_after_ms);
    number("last_sequence", m.last_sequence);
    number("offer_bytes_max", m.offer_bytes_max);
  }
  void operator()(const RoundPlan& m) {
    number("run", m.plan.run);
    number("round", m.plan.round);
    number("rounds", m.plan.rounds);
    number("model_version", m.plan.model_version);
    number("model_bytes", m.model_bytes);
    number("delta_from", m.delta_from);
    number("seed", m.plan.seed);
    number("time_left_ms", static_cast<uint64_t>(to_ms(m.plan.time_left)));
    real("learning_rate", m.plan.training.learning_rate);
    real("momentum", m.plan.training.momentum);
    real("weight_decay", m.plan.training.weight_decay);
    real("proximal_mu", m.plan.training.proximal_mu);
    number("batch_size", m.plan.training.batch_size);
    number("local_epochs", m.plan.training.local_epochs);
    number("local_steps", m.plan.training.local_steps);
    number("schedule", static_cast<uint64_t>(m.plan.training.schedule));
    real("learning_rate_end", m.plan.training.learning_rate_end);
    number("optimizer", static_cast<uint64_t>(m.plan.training.optimizer));
    real("beta1", m.plan.training.beta1);
    real("beta2", m.plan.training.beta2);
    real("epsilon", m.plan.training.epsilon);
    real("clip_norm", m.plan.training.clip_norm);
    number("accumulate", m.plan.training.accumulate);
    number("warmup_rounds", m.plan.training.warmup_rounds);
    real("scaffold_share", m.plan.training.scaffold_share);
    number("rate_mode", static_cast<uint64_t>(m.plan.rate.mode));
    real("contraction", m.plan.rate.contraction);
    real("k", m.plan.rate.k);
    real("error_share", m.plan.rate.error_share);
    number("budget_bytes", m.plan.rate.budget_bytes);
    real("resolution", m.plan.rate.resolution);
    real("weight_ratio", m.plan.rate.weight_ratio);
    number("deadline", m.plan.rate.deadline);
    number("save_time", m.plan.rate.save_time);
    number("per_layer", m.plan.rate.per_layer);
    number("late", static_cast<uint64_t>(m.plan.rate.late));
    real("step_ratio_max", m.plan.rate.step_ratio_max);
    number("policy", static_cast<uint64_t>(m.plan.policy));
    number("staleness_max", m.plan.staleness_max);
    number("offline_updates", m.plan.offline_updates);
    number("codec", static_cast<uint64_t>(m.plan.codec.codec));
    number("levels", m.plan.codec.levels);
    number("bucket", m.plan.codec.bucket);
    number("exact_coordinates_max", m.plan.codec.exact_coordinates_max);
    number("coder", static_cast<uint64_t>(m.plan.codec.coder));
    real("step", m.plan.codec.step);
    real("bits", m.plan.codec.bits);
    number("rotate", m.plan.codec.rotate);
    number("error_feedback", m.plan.codec.error_feedback);
    real("keep", m.plan.codec.keep);
  }
  void operator()(const ModelRequest& m) {
    number("run", m.run);
    number("model_version", m.model_version);
    number("offset", m.offset);
    number("bytes", m.bytes);
    number("held_version", m.held_version);
  }
  void operator()(const ModelChunk& m) {
    number("model_version", m.model_version);
    number("offset", m.offset);
    number("total_bytes", m.total_bytes);
    bytes("payload", m.payload);
    number("base_version", m.base_version);
  }
  void operator()(const UpdateOffer& m) {
    number("run", m.run);
    number("sequence", m.sequence);
    number("round", m.round);
    number("total_bytes", m.total_bytes);
    number("checksum", m.checksum);
    bytes("payload", m.payload);
    number("model_version", m.model_version);
  }
  void operator()(const UpdateChunk& m) {
    number("sequence", m.sequence);
    number("offset", m.offset);
    bytes("payload", m.payload);
  }
  void operator()(const UpdateAck& m) {
    number("sequence", m.sequence);
    number("state", static_cast<uint64_t>(m.state));
    number("received_bytes", m.received_bytes);
  }
  void operator()(const Refusal& m) {
    number("reason", static_cast<uint64_t>(m.reason));
    words("detail", m.detail);
    number("sequence", m.sequence);
    number("retry_after_ms", m.retry_after_ms);
  }
  void operator()(const Ping& m) { number("nonce", m.nonce); }
  void operator()(const Pong& m) { number("nonce", m.nonce); }
  void operator()(const Bye& m) {
    number("cause", static_cast<uint64_t>(m.cause));
    number("come_back_ms", m.come_back_ms);
  }

  void operator()(const Update& m) {
    number("run", m.run);
    words("device", m.device);
    number("sequence", m.sequence);
    number("round", m.round);
    number("model_version", m.model_version);
    number("sample_count", m.sample_count);
    real("mean_loss", m.mean_loss);
    for (size_t i = 0; i < m.tensors.size(); ++i) {
      const plan::EncodedTensor& tensor = m.tensors[i];
      words("tensor", m.tensor_names[i]);
      number("codec", static_cast<uint64_t>(tensor.codec));
      number("count", tensor.count);
      number("bits", tensor.bits);
      number("levels", tensor.levels);
      number("bucket", tensor.bucket);
      real("scale", tensor.scale);
      bytes("payload", tensor.payload);
      number("coder", static_cast<uint64_t>(tensor.coder));
      number("tensors", tensor.tensors);
      number("rotated", tensor.rotated);
      real("keep", tensor.keep);
      number("seed", tensor.seed);
    }
  }
  void operator()(const ModelDelta& m) {
    number("run", m.run);
    number("base_version", m.base_version);
    number("model_version", m.model_version);
    number("checksum", m.checksum);
    number("count", m.multiples.count);
    real("step", m.multiples.scale);
    bytes("payload", m.multiples.payload);
  }
  void operator()(const Model& m) {
    number("run", m.run);
    number("model_version", m.model_version);
    words("name", m.spec.name.view());
    extent("input", m.spec.input.height, m.spec.input.width);
    number("channels", m.spec.input.channels);
    number("classes", m.spec.classes);
    for (const plan::LayerSpec& layer : m.spec.layers) {
      number("layer", static_cast<uint64_t>(layer.kind));
      number("units", layer.units);
      extent("kernel", layer.kernel.height, layer.kernel.width);
      extent("stride", layer.stride.height, layer.stride.width);
      extent("padding", layer.padding.height, layer.padding.width);
      number("groups", layer.groups);
      number("bias", layer.bias);
      number("every_step", layer.every_step);
      number("sharing", static_cast<uint64_t>(layer.sharing));
      real("value", layer.value);
      number("vocabulary", layer.vocabulary);
      extent("shape", layer.shape.height, layer.shape.width);
      number("shape", layer.shape.channels);
      words("name", layer.name.view());
      for (const uint16_t input : layer.inputs) number("input", input);
    }
    number("loss", static_cast<uint64_t>(m.spec.loss.kind));
    number("target", static_cast<uint64_t>(m.spec.loss.target));
    real("label_smoothing", m.spec.loss.label_smoothing);
    real("huber_delta", m.spec.loss.huber_delta);
    for (const float parameter : m.parameters) real("w", parameter);
  }

 private:
  void number(const char* name, uint64_t value) { out_ << name << '=' << std::dec << value << ' '; }
  void words(const char* name, std::string_view value) { out_ << name << "=\"" << value << "\" "; }
  // By its bits, so that no two numbers look alike.
  void real(const char* name, float value) {
    out_ << name << "=0x" << std::hex << std::bit_cast<uint32_t>(value) << ' ';
  }
  void extent(const char* name, uint32_t height, uint32_t width) {
    out_ << name << '=' << std::dec << height << 'x' << width << ' ';
  }
  void bytes(const char* name, ByteView value) {
    out_ << name << "=[" << std::hex << std::setfill('0');
    for (const uint8_t byte : value) out_ << std::setw(2) << unsigned{byte};
    out_ << "] ";
  }
  std::ostringstream out_;
};

inline std::string describe(const Message& message) {
  Describer describer;
  std::visit(describer, message);
  return std::string(message_name(message)) + " " + describer.text();
}

inline std::string describe(const Update& update) {
  Describer describer;
  describer(update);
  return describer.text();
}

inline std::string describe(const ModelDelta& delta) {
  Describer describer;
  describer(delta);
  return describer.text();
}
inline std::string describe(const Model& model) {
  Describer describer;
  describer(model);
  return describer.text();
}

}  // namespace runnel::wire
