// A board's part in a fleet, without the board: line, engine, outbox and training put together as device_session does
// on Linux. Bytes from the line and the time go in; bytes for the line and the next wake-up come out. PORTING.md has
// the loop around it.
//
// The secure channel is the gateway's: this speaks the training protocol in the frames of runtime/serial.
// Threads: one at a time, and not from interrupts. Memory: line_memory_bytes(), the training block, and what operator
// new gives (a model that is held, an update in the making). Time: passed in. Trust: the line's bytes may be anything.
#pragma once

#include "device/engine/device_engine.h"
#include "device/port/board_training.h"
#include "runtime/serial/serial_link.h"

namespace runnel::port {

struct BoardOptions {
  FixedString<wire::kNameBytesMax> name;  // as in the certificate that the gateway has for this board
  FixedString<63> software;
  uint64_t model_bytes_max = 48 * 1024;     // largest Model message that is accepted
  uint32_t model_window_bytes = 4 * 1024;   // model bytes asked for at a time; the gateway keeps as much for the line
  uint32_t piece_bytes = 240;               // payload of a line's frame
  uint8_t window = 4;                       // line's frames under way to the board
  uint32_t nonce = 0;                       // another one at each start, if there is a counter or noise
  uint64_t seed = 1;                        // of the pauses before connecting again
  void (*log)(const char* line) = nullptr;  // one line worth reading, without a line's end; null: nowhere
};

class BoardSession {
 public:
  static size_t line_memory_bytes(const BoardOptions& options);

  // `outbox`, `examples`, `block` (aligned to Arena::kAlignment) and `line_memory` (8-byte aligned) must outlive it.
  BoardSession(const BoardOptions& options, device::Outbox& outbox, const data::ExampleSource& examples,
               MutableByteView block, MutableByteView line_memory, Instant now);

  // What came over the line.
  void handle_bytes(Instant now, ByteView bytes);
  // Timers, what the engine asks for, and one minibatch. True: there is more to do at once.
  bool turn(Instant now);
  // Bytes for the line, until the next call; empty when there is nothing to send now.
  ByteView poll_output(Instant now) { return line_.poll_output(now); }
  Instant next_timeout() const { return std::min(engine_.next_timeout(), line_.next_timeout()); }

  // The run is over, or the coordinator refuses the board for good.
  bool over() const {
    return engine_.state() == device::DeviceState::kFinished || engine_.state() == device::DeviceState::kRefused;
  }
  const device::DeviceEngine& engine() const { return engine_; }
  const BoardTraining& training() const { return training_; }
  const serial::SerialLink& line() const { return line_; }

 private:
  void take_events(Instant now);
  void take_message(Instant now, const serial::SerialMessage& message);
  bool poll_actions(Instant now);
  bool carry_out(Instant now, const device::Action& action);
  void connect(Instant now);
  void train_one_step(Instant now);
  void say(const char* format, ...) __attribute__((format(printf, 2, 3)));

  const BoardOptions options_;
  serial::SerialLink line_;
  device::DeviceEngine engine_;
  BoardTraining training_;
  uint32_t attempt_ = 0;
  bool connecting_ = false;  // the engine wants the coordinator, and the gateway has to be told
  bool connected_ = false;   // it has been told
  bool clock_told_ = false;
};

}  // namespace runnel::port
