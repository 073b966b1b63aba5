// What runnel-coordinator and runnel-device report through their event pipes: one JSON object a line, named by "event".
//
// Trust: the lines come from our own programs, but a crash can tear one, so every line is checked; a line that cannot
// be read becomes a MalformedEvent and an event of a newer program an UnknownEvent. Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fleet/unique_fd.h"

namespace runnel::fleet {

// From the coordinator.
struct ListeningEvent {
  std::string endpoint;  // "tcp://127.0.0.1:40001"
};
struct StartedEvent {
  uint32_t rounds = 0;
  uint64_t parameters = 0;
  uint64_t model_version = 0;
};
struct DeviceEvent {  // how the coordinator sees a device
  std::string name;
  std::string state;  // online, training, uploading, waiting, offline
  uint32_t round = 0;
};
struct RoundClosedEvent {  // at once; the figures follow in a RoundEvent when the new model is evaluated
  uint32_t round = 0;
};
struct RoundEvent {
  uint32_t round = 0;
  std::optional<double> accuracy;  // absent without a test set
  std::optional<double> loss;
  uint32_t participants = 0;
  double bits_per_coordinate = 0.0;
  uint64_t uplink_bytes = 0;  // as the coordinator counts them
  uint64_t downlink_bytes = 0;
  double seconds = 0.0;
  uint64_t model_version = 0;
  std::string metric = "accuracy";  // by which the model is judged
  std::optional<double> value;      // of that metric; absent without a test set
};
struct FinishedEvent {
  uint32_t rounds = 0;
  std::optional<double> accuracy;
  std::optional<double> loss;
  std::string model_sha256;
  uint64_t parameters = 0;
  std::string metric = "accuracy";
  std::optional<double> value;
  std::vector<std::vector<uint64_t>> confusion;  // [true class][found class]; empty where there is none
};

// From a device.
struct MemoryEvent {
  uint64_t arena_bytes = 0;
};
struct StateEvent {
  std::string state;  // connecting, online, downloading, training, uploading, waiting, offline, done
  uint32_t round = 0;
};
struct RateEvent {  // how an update was compressed, and how it fared
  uint32_t round = 0;
  std::string outcome;  // in_time, late, refused, kept
  std::string bound;    // rule, deadline, coarsest
  double bits = 0.0;    // a coordinate
  double step = 0.0;
  double predicted_bytes = 0.0;
  uint64_t message_bytes = 0;  // 0: it was kept
  std::optional<double> budget_bytes;
  std::optional<double> link_bytes;                          // absent while nothing is known of the link
  std::optional<double> goodput, goodput_low, goodput_high;  // bytes a second
  double seconds_left = 0.0;                                 // to the deadline, when it was decided
};
struct EvaluatedEvent {  // on examples that the device keeps out of training
  uint32_t round = 0;
  std::string metric;
  bool larger_is_better = true;
  uint64_t examples = 0;
  double loss_before = 0.0;  // of the model that it was given
  double value_before = 0.0;
  double loss_after = 0.0;  // of its own, after training
  double value_after = 0.0;
  uint32_t tuned_steps = 0;  // of fine-tuning for itself; 0: none
  std::optional<double> loss_tuned, value_tuned;
};
struct DoneEvent {
  uint64_t updates_acknowledged = 0;
};

// From the program that shapes a device's link in a namespace (`runnel-fleet shape`).
struct MeasuredRate {          // in moments when more waited to be sent
  double busy_s = 0.0;         // those moments together
  double bytes = 0.0;          // that crossed then, as Ethernet frames
  double profile_bytes = 0.0;  // that the profile says should have
};
struct LinkEvent {
  bool first = false;  // of a program just started: counters begin at 0
  uint64_t uplink_bytes = 0;
  uint64_t downlink_bytes = 0;
  uint64_t drops = 0;
  double up_kbps = 0.0;  // what the profile says now
  double down_kbps = 0.0;
  bool outage = false;
  uint64_t rss_bytes_max = 0;  // of the device's program
  MeasuredRate up;
  MeasuredRate down;
};

// From either, or made here.
struct WarningEvent {
  std::string text;
};
struct UnknownEvent {
  std::string name;
};
struct MalformedEvent {
  std::string text;  // what is wrong, and the beginning of the line
};

using Event = std::variant<ListeningEvent, StartedEvent, DeviceEvent, RoundClosedEvent, RoundEvent, FinishedEvent,
                           MemoryEvent, StateEvent, RateEvent, EvaluatedEvent, DoneEvent, LinkEvent, WarningEvent,
                           UnknownEvent, MalformedEvent>;

// One line without its newline.
Event parse_event(std::string_view line);

// Cuts a stream into lines. A line beyond kLineBytesMax is dropped whole.
class LineSplitter {
 public:
  static constexpr size_t kLineBytesMax = size_t{64} << 10;

  // The lines that `bytes` completes, without their newlines and without empty ones.
  std::vector<std::string> feed(std::string_view bytes);

 private:
  std::string partial_;
  bool dropping_ = false;
};

// The reading end of one program's event pipe.
class EventStream {
 public:
  EventStream() = default;
  explicit EventStream(UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }
  bool open() const { return fd_.open(); }

  // All events that are there now; never blocks. Closes itself at the end of the stream.
  std::vector<Event> read_available();

 private:
  UniqueFd fd_;
  LineSplitter lines_;
};

}  // namespace runnel::fleet
