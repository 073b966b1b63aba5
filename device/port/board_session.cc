#include "device/port/board_session.h"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace runnel::port {
namespace {

serial::SerialLinkOptions line_options(const BoardOptions& options) {
  serial::SerialLinkOptions line;
  line.role = serial::Role::kBoard;
  RUNNEL_ASSERT(line.name.assign(options.name.view()));
  line.piece_bytes_max = options.piece_bytes;
  line.message_bytes_max = wire::kOwnFrameBytesMax;
  line.queue_bytes = wire::kOwnFrameBytesMax + 64;  // and a connect or a disconnect beside it
  line.window = options.window;
  line.nonce = options.nonce;
  return line;
}

device::DeviceOptions engine_options(const BoardOptions& options, MutableByteView block) {
  device::DeviceOptions engine;
  engine.name = options.name;
  engine.software = options.software;
  engine.model_window_bytes = options.model_window_bytes;
  engine.model_bytes_max = options.model_bytes_max;
  engine.plain_updates_only = true;
  // Deltas come while nothing is trained.
  engine.delta_scratch = {reinterpret_cast<float*>(block.data()), block.size() / sizeof(float)};
  return engine;
}

std::array<uint8_t, 4> attempt_bytes(uint32_t attempt) {
  std::array<uint8_t, 4> bytes{};
  store_le<uint32_t>(bytes.data(), attempt);
  return bytes;
}

}  // namespace

size_t BoardSession::line_memory_bytes(const BoardOptions& options) {
  return serial::SerialLink::memory_bytes(line_options(options));
}

BoardSession::BoardSession(const BoardOptions& options, device::Outbox& outbox, const data::ExampleSource& examples,
                           MutableByteView block, MutableByteView line_memory, Instant now)
    : options_(options),
      line_(line_options(options), line_memory, now),
      engine_(engine_options(options, block), outbox, Rng(options.seed), now),
      training_(options_.name.view(), examples, block) {}

void BoardSession::handle_bytes(Instant now, ByteView bytes) {
  while (!bytes.empty()) {
    bytes = bytes.subspan(line_.handle_bytes(now, bytes));
    take_events(now);
    while (const std::optional<serial::SerialMessage> message = line_.poll_message()) take_message(now, *message);
  }
}

void BoardSession::take_events(Instant now) {
  while (const std::optional<serial::SerialEvent> event = line_.poll_event()) {
    switch (event->kind) {
      case serial::SerialEvent::Kind::kUp:
        say("line to the gateway");
        break;
      case serial::SerialEvent::Kind::kDown:
        say("no line to the gateway: %s", event->why.text());
        if (connected_) engine_.handle_link_down(now, event->why.text());
        connected_ = false;
        break;
      case serial::SerialEvent::Kind::kRefused:
        say("no line with this gateway: %s", event->why.text());
        break;
    }
  }
  if (line_.up() && !clock_told_ && line_.peer_unix_s() != 0) {
    clock_told_ = true;
    engine_.handle_wall_clock(now, line_.peer_unix_s());
  }
}

void BoardSession::take_message(Instant now, const serial::SerialMessage& message) {
  if (message.type == serial::MessageType::kFrame) {
    if (connected_) engine_.handle_frame(now, message.bytes);
    // What was trained for may be overtaken now, and the model is the engine's again.
    if (training_.active() && engine_.state() != device::DeviceState::kTraining) training_.stop();
    return;
  }
  // News of an attempt that was given up is old.
  if (message.bytes.size() < 4 || load_le<uint32_t>(message.bytes.data()) != attempt_ || !connected_) return;
  if (message.type == serial::MessageType::kSessionUp) {
    engine_.handle_session_up(now);
  } else if (message.type == serial::MessageType::kLinkDown) {
    char why[serial::kLineTextBytesMax + 1] = {};
    const ByteView text = message.bytes.subspan(4);
    std::copy_n(text.begin(), std::min(text.size(), sizeof why - 1), why);
    connected_ = false;
    engine_.handle_link_down(now, why);
  }
}

bool BoardSession::turn(Instant now) {
  line_.handle_timeout(now);
  take_events(now);
  engine_.handle_timeout(now);
  const bool training = training_.active() && engine_.may_train();
  if (training) train_one_step(now);
  connect(now);
  const bool more = poll_actions(now);
  while (const std::optional<device::Notice> notice = engine_.poll_notice()) say("%s", notice->text.c_str());
  while (engine_.poll_rate_report().has_value()) {
  }
  return training || more;
}

// An attempt begins when the line is there; until then the engine's own patience counts.
void BoardSession::connect(Instant) {
  if (!connecting_ || !line_.up()) return;
  const std::array<uint8_t, 4> bytes = attempt_bytes(attempt_);
  if (line_.send(serial::MessageType::kConnect, bytes) != Error::kOk) return;
  connecting_ = false;
  connected_ = true;
}

// As long as the line can take whatever comes: a frame that is polled must be sent.
bool BoardSession::poll_actions(Instant now) {
  while (!line_.up() || line_.has_room(wire::kOwnFrameBytesMax)) {
    const std::optional<device::Action> action = engine_.poll_action(now);
    if (!action.has_value()) return false;
    if (carry_out(now, *action)) return true;
  }
  return false;
}

// True when a training has begun.
bool BoardSession::carry_out(Instant now, const device::Action& action) {
  if (std::holds_alternative<device::Connect>(action)) {
    ++attempt_;
    connecting_ = true;
    connected_ = false;
    connect(now);
  } else if (std::holds_alternative<device::Disconnect>(action)) {
    if (connected_) static_cast<void>(line_.send(serial::MessageType::kDisconnect, attempt_bytes(attempt_)));
    connecting_ = connected_ = false;
  } else if (const auto* frame = std::get_if<device::SendFrame>(&action)) {
    // One that is lost with the line is missed by its answer; nothing durable depends on it.
    if (connected_) static_cast<void>(line_.send(serial::MessageType::kFrame, frame->bytes));
  } else if (const auto* request = std::get_if<device::StartTraining>(&action)) {
    if (const Failure bad = training_.start(*request); !bad.ok()) {
      engine_.handle_training_failed(now, bad);
      return false;
    }
    const train::MemoryPlan& memory = training_.memory();
    say("training round %u: %u bytes (parameters %u, activations %u); %s", static_cast<unsigned>(engine_.round()),
        static_cast<unsigned>(memory.total_bytes), static_cast<unsigned>(memory.parameter_bytes),
        static_cast<unsigned>(memory.activation_bytes), train::describe(memory).c_str());
    return true;
  } else {
    training_.stop();
  }
  return false;
}

void BoardSession::train_one_step(Instant now) {
  const Result<bool> done = training_.step();
  if (!done) {
    engine_.handle_training_failed(now, done.failure());
    return;
  }
  if (!*done) return;
  Result<device::TrainedUpdate> update = training_.finish(engine_.link_limits(now));
  if (!update) {
    engine_.handle_training_failed(now, update.failure());
    return;
  }
  say("trained: loss %.4f, update of %u bytes", static_cast<double>(training_.mean_loss()),
      static_cast<unsigned>(update->message.size()));
  engine_.handle_training_done(now, training_.sequence(), std::move(*update));
}

void BoardSession::say(const char* format, ...) {
  if (options_.log == nullptr) return;
  char text[200];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  options_.log(text);
}

}  // namespace runnel::port
