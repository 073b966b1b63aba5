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

// Older programs only knew accuracy.
template <typename E>
void read_metric(const json& object, E& event) {
  event.value = event.accuracy;
  if (!object.contains("metric")) return;
  event.metric = text_of(object, "metric");
  event.value = optional_number_of(object, "value");
}

MeasuredRate measured_rate_of(const json& object) {
  return {number_of(object, "busy_s"), number_of(object, "bytes"), number_of(object, "profile_bytes")};
}

LinkEvent link_event_of(const json& object) {
  LinkEvent event;
  event.first = object.at("first").get<bool>();
  event.uplink_bytes = count_of<uint64_t>(object, "uplink_bytes");
  event.downlink_bytes = count_of<uint64_t>(object, "downlink_bytes");
  event.drops = count_of<uint64_t>(object, "drops");
  event.up_kbps = number_of(object, "up_kbps");
  event.down_kbps = number_of(object, "down_kbps");
  event.outage = object.at("outage").get<bool>();
  event.rss_bytes_max = count_of<uint64_t>(object, "rss_bytes_max");
  event.up = measured_rate_of(object.at("up"));
  event.down = measured_rate_of(object.at("down"));
  return event;
}

// Nothing where there is no square matrix of counts in it.
std::vector<std::vector<uint64_t>> confusion_of(const std::string& details) {
  const json parsed = json::parse(details, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("confusion")) return {};
  auto matrix = parsed.at("confusion").get<std::vector<std::vector<uint64_t>>>();
  for (const auto& row : matrix) {
    if (row.size() != matrix.size()) return {};
  }
  return matrix;
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
    read_metric(object, event);
    return event;
  }
  if (name == "finished") {
    FinishedEvent event;
    event.rounds = count_of<uint32_t>(object, "rounds");
    event.accuracy = optional_number_of(object, "accuracy");
    event.loss = optional_number_of(object, "loss");
    event.model_sha256 = text_of(object, "model_sha256");
    event.parameters = count_of<uint64_t>(object, "parameters");
    read_metric(object, event);
    if (object.contains("details")) event.confusion = confusion_of(text_of(object, "details"));
    return event;
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
  if (name == "evaluated") {
    EvaluatedEvent event;
    event.round = count_of<uint32_t>(object, "round");
    event.metric = text_of(object, "metric");
    event.larger_is_better = object.at("larger_is_better").get<bool>();
    event.examples = count_of<uint64_t>(object, "examples");
    event.loss_before = number_of(object, "loss_before");
    event.value_before = number_of(object, "value_before");
    event.loss_after = number_of(object, "loss_after");
    event.value_after = number_of(object, "value_after");
    event.tuned_steps = object.contains("tuned_steps") ? count_of<uint32_t>(object, "tuned_steps") : 0;
    event.loss_tuned = optional_number_of(object, "loss_tuned");
    event.value_tuned = optional_number_of(object, "value_tuned");
    return event;
  }
  if (name == "memory") return MemoryEvent{count_of<uint64_t>(object, "arena_bytes")};
  if (name == "state") return StateEvent{text_of(object, "state"), count_or_zero<uint32_t>(object, "round")};
  if (name == "done") return DoneEvent{count_of<uint64_t>(object, "updates_acknowledged")};
  if (name == "link") return link_event_of(object);
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
