#include "bench/load_device.h"

#include <stdexcept>

#include "runtime/base/crc32c.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/monotonic_clock.h"

namespace runnel::bench {
namespace {

// One for all devices of a process: a builder holds a buffer of a frame's size.
wire::FrameBuilder& builder() {
  static wire::FrameBuilder only;
  return only;
}

}  // namespace

LoadDevice::LoadDevice(host::ZmqContext& context, host::Entropy& entropy, const host::DeviceBundle& bundle,
                       std::string session_path)
    : name_(bundle.name), session_path_(std::move(session_path)) {
  auto link = host::DeviceLink::create(context, {});
  if (!link) throw std::runtime_error(link.failure().text());
  host::DeviceChannel::Options options;
  options.unix_time_s = host::unix_seconds;
  options.hint_interval = seconds(1);
  if (auto saved = host::read_file(session_path_, 64 * 1024); saved.ok()) options.saved_session = std::move(*saved);
  auto channel =
      host::DeviceChannel::create({bundle.ca_pem, bundle.certificate_pem, bundle.key_pem}, std::move(options), entropy);
  if (!channel) throw std::runtime_error(channel.failure().text());
  link_ = std::move(*link);
  channel_ = std::move(*channel);
}

void LoadDevice::connect(const std::string& endpoint) {
  endpoint_ = endpoint;
  state_ = State::kConnecting;
  greeted_ = false;
  if (const Failure bad = link_->connect(endpoint); !bad.ok()) throw std::runtime_error(bad.text());
}

void LoadDevice::disconnect() {
  link_->close();
  channel_->handle_disconnected();
  unsent_.clear();
  state_ = State::kAway;
}

void LoadDevice::service(Instant now) {
  if (state_ == State::kAway) return;
  for (host::LinkEvent event{}; link_->poll_event(event);) {
    if (event == host::LinkEvent::kConnected) {
      channel_->handle_connected(now);
    } else {
      channel_->handle_disconnected();
      connect(endpoint_);  // a generator is impatient
    }
  }
  while (link_->receive(message_)) {
    channel_->handle_message(message_, now);
    std::vector<uint8_t> frame;
    while (channel_->poll_plaintext(frame)) handle_frame(frame, now);
  }
  for (host::ChannelEvent event; channel_->poll_event(event);) {
    if (event.kind == host::ChannelEvent::Kind::kFailed) {
      disconnect();
      connect(endpoint_);
    } else if (event.kind == host::ChannelEvent::Kind::kSessionLost) {
      greeted_ = false;
    } else if (!event.resumed) {
      static_cast<void>(host::write_file_atomically(session_path_, channel_->save_session(), 0600));
    }
  }
  channel_->handle_timeout(now);
  if (!greeted_ && link_->connected() && channel_->established()) send_hello();
  if (offer_again_ && *offer_again_ <= now && state_ == State::kWelcomed) send_offer();
  flush();
}

void LoadDevice::send_hello() {
  greeted_ = true;
  wire::Hello hello;
  hello.device = name_;
  hello.software = "load";
  for (uint8_t codec = 0; codec < plan::kCodecCount; ++codec) static_cast<void>(hello.codecs.push_back(codec));
  send(hello);
}

void LoadDevice::handle_frame(ByteView bytes, Instant now) {
  const Result<wire::Message> message = wire::decode_frame(bytes);
  if (!message) throw std::runtime_error(message.failure().text());
  if (const auto* welcome = std::get_if<wire::Welcome>(&*message)) {
    state_ = State::kWelcomed;
    chunk_bytes_ = std::min(welcome->chunk_bytes_max, kChunkBytes);
    window_bytes_ = welcome->window_bytes;
    sequence_ = std::max(sequence_, welcome->last_sequence);
    if (!blob_.empty()) send_offer();
  } else if (const auto* plan = std::get_if<wire::RoundPlan>(&*message)) {
    plan_ = plan->plan;
  } else if (const auto* ack = std::get_if<wire::UpdateAck>(&*message)) {
    take_acknowledgement(*ack);
  } else if (const auto* refusal = std::get_if<wire::Refusal>(&*message)) {
    ++refusals_;
    if (refusal->retry_after_ms > 0 && !blob_.empty()) {
      offered_ = false;
      offer_again_ = now + milliseconds(refusal->retry_after_ms);
    }
  }
}

void LoadDevice::take_acknowledgement(const wire::UpdateAck& ack) {
  if (blob_.empty() || ack.sequence != sequence_) return;
  if (ack.state == wire::UpdateState::kDurable) {
    ++updates_durable_;
    blob_ = {};
    return;
  }
  if (!offered_) sent_bytes_ = ack.received_bytes;
  offered_ = true;
  received_bytes_ = std::max(received_bytes_, ack.received_bytes);
  send_chunks();
}

void LoadDevice::upload(const MadeUpUpdate& update, Instant) {
  blob_ = update.message(*plan_, name_, ++sequence_);
  received_bytes_ = sent_bytes_ = 0;
  send_offer();
  flush();
}

void LoadDevice::send_offer() {
  offered_ = false;
  offer_again_.reset();
  received_bytes_ = 0;
  wire::UpdateOffer offer;
  offer.run = plan_->run;
  offer.sequence = sequence_;
  offer.round = plan_->round;
  offer.total_bytes = blob_.size();
  offer.checksum = crc32c(blob_);
  offer.model_version = plan_->model_version;
  send(offer);
}

void LoadDevice::send_chunks() {
  while (sent_bytes_ < blob_.size() && sent_bytes_ - received_bytes_ + chunk_bytes_ <= window_bytes_) {
    const uint64_t bytes = std::min<uint64_t>(chunk_bytes_, blob_.size() - sent_bytes_);
    send(wire::UpdateChunk{sequence_, sent_bytes_, ByteView(blob_).subspan(sent_bytes_, bytes)});
    sent_bytes_ += bytes;
  }
}

void LoadDevice::send(const wire::Message& message) {
  if (const Failure bad = channel_->send(builder().build(message)); !bad.ok()) {
    throw std::runtime_error(name_ + ": " + error_name(bad.error()) + " " + bad.text());
  }
}

void LoadDevice::flush() {
  while (!unsent_.empty() || channel_->poll_message(unsent_)) {
    if (link_->send(unsent_) == Error::kBusy) return;
    unsent_.clear();
  }
}

}  // namespace runnel::bench
