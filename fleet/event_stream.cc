#include "fleet/event_stream.h"

#include <array>
#include <cerrno>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace runnel::fleet {
namespace {

using nlohmann::json;

constexpr size_t kQuotedBytesMax = 120;

template <typename T>
T count_of(const json& object, const char* field) {
  const json& value = object.at(field);
  if (!value.is_number_unsigned() || value.get<uint64_t>() > std::numeric_limits<T>::max()) {
    throw std::invalid_argument(std::string(field) + " must be a whole number of at least 0");
  }
  return value.get<T>();
}

template <typename T>
T count_or_zero(const json& object, const char* field) {
  return object.contains(field) ? count_of<T>(object, field) : T{0};
}

double number_of(const json& object, const char* field) {
  const json& value = object.at(field);
  if (!value.is_number()) throw std::invalid_argument(std::string(field) + " must be a number");
  return value.get<double>();
}

std::optional<double> optional_number_of(const json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return number_of(object, field);
}

std::string text_of(const json& object, const char* field) {
  const json& value = object.at(field);
  if (!value.is_string()) throw std::invalid_argument(std::string(field) + " must be a text");
  return value.get<std::string>();
}

Event event_of(const json& object) {
  const std::string name = text_of(object, "event");
  if (name == "listening") return ListeningEvent{text_of(object, "endpoint")};
  if (name == "started") {
    return StartedEvent{count_of<uint32_t>(object, "rounds"), count_of<uint64_t>(object, "parameters"),
                        count_of<uint64_t>(object, "model_version")};
  }
  if (name == "device") {
    return DeviceEvent{text_of(object, "name"), text_of(object, "state"), count_or_zero<uint32_t>(object, "round")};
  }
  if (name == "round_closed") return RoundClosedEvent{count_of<uint32_t>(object, "round")};
  if (name == "round") {
    RoundEvent event;
    event.round = count_of<uint32_t>(object, "round");
    event.accuracy = optional_number_of(object, "accuracy");
    event.loss = optional_number_of(object, "loss");
    event.participants = count_of<uint32_t>(object, "participants");
    event.bits_per_coordinate = number_of(object, "bits_per_coordinate");
    event.uplink_bytes = count_of<uint64_t>(object, "uplink_bytes");
    event.downlink_bytes = count_of<uint64_t>(object, "downlink_bytes");
    event.seconds = number_of(object, "seconds");
    event.model_version = count_of<uint64_t>(object, "model_version");
    return event;
  }
  if (name == "finished") {
    return FinishedEvent{count_of<uint32_t>(object, "rounds"), optional_number_of(object, "accuracy"),
                         optional_number_of(object, "loss"), text_of(object, "model_sha256"),
                         count_of<uint64_t>(object, "parameters")};
  }
  if (name == "rate") {
    RateEvent event;
    event.round = count_of<uint32_t>(object, "round");
    event.outcome = text_of(object, "outcome");
    event.bound = text_of(object, "bound");
    event.bits = number_of(object, "bits");
    event.step = number_of(object, "step");
    event.predicted_bytes = number_of(object, "predicted_bytes");
    event.message_bytes = count_of<uint64_t>(object, "message_bytes");
    event.budget_bytes = optional_number_of(object, "budget_bytes");
    event.link_bytes = optional_number_of(object, "link_bytes");
    event.goodput = optional_number_of(object, "goodput");
    event.goodput_low = optional_number_of(object, "goodput_low");
    event.goodput_high = optional_number_of(object, "goodput_high");
    event.seconds_left = number_of(object, "seconds_left");
    return event;
  }
  if (name == "memory") return MemoryEvent{count_of<uint64_t>(object, "arena_bytes")};
  if (name == "state") return StateEvent{text_of(object, "state"), count_or_zero<uint32_t>(object, "round")};
  if (name == "done") return DoneEvent{count_of<uint64_t>(object, "updates_acknowledged")};
  if (name == "warning") return WarningEvent{text_of(object, "text")};
  return UnknownEvent{name};
}

}  // namespace

Event parse_event(std::string_view line) {
  const std::string quoted = ": " + std::string(line.substr(0, kQuotedBytesMax));
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return MalformedEvent{"an event is not a JSON object" + quoted};
  try {
    return event_of(object);
  } catch (const std::exception& error) {
    return MalformedEvent{std::string(error.what()) + quoted};
  }
}

std::vector<std::string> LineSplitter::feed(std::string_view bytes) {
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    const size_t newline = bytes.find('\n');
    const std::string_view part = bytes.substr(0, newline);
    if (!dropping_ && partial_.size() + part.size() > kLineBytesMax) {
      dropping_ = true;
      partial_.clear();
    }
    if (!dropping_) partial_ += part;
    if (newline == std::string_view::npos) break;
    if (!partial_.empty()) lines.push_back(std::exchange(partial_, {}));
    dropping_ = false;
    bytes.remove_prefix(newline + 1);
  }
  return lines;
}

std::vector<Event> EventStream::read_available() {
  std::vector<Event> events;
  std::array<char, 8192> block;  // NOLINT(cppcoreguidelines-pro-type-member-init): read fills it
  while (fd_.open()) {
    const ssize_t got = ::read(fd_.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) break;
    if (got <= 0) {
      fd_.reset();
      break;
    }
    for (const std::string& line : lines_.feed({block.data(), static_cast<size_t>(got)})) {
      events.push_back(parse_event(line));
    }
  }
  return events;
}

}  // namespace runnel::fleet
