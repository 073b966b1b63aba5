#include "gateway/board_relay.h"

#include <algorithm>
#include <array>

#include "runtime/host/entropy.h"
#include "runtime/host/file_bytes.h"
#include "runtime/host/log.h"
#include "runtime/host/monotonic_clock.h"
#include "runtime/wire/frame.h"

namespace runnel::gateway {
namespace {

using host::log_line;
using host::LogLevel;
using serial::MessageType;

constexpr Duration kOpenFirst = milliseconds(200);
constexpr Duration kOpenLast = seconds(5);
constexpr size_t kReadBytes = 4096;
constexpr int kReadsMax = 16;           // in one turn: there are other boards
constexpr uint32_t kSpareBytes = 1024;  // for what is not a frame of the coordinator's
// What the coordinator says besides parts of a model: a round's plan is the longest.
constexpr uint32_t kBoardMessageBytesMin = 1024;

serial::SerialLinkOptions line_options(const RelayOptions& options, uint32_t nonce) {
  serial::SerialLinkOptions line;
  line.role = serial::Role::kGateway;
  RUNNEL_ASSERT(line.name.assign(options.name));
  line.piece_bytes_max = 1024;
  line.message_bytes_max = wire::kFrameBytesMax;
  line.queue_bytes = 2 * wire::kFrameBytesMax + kSpareBytes;
  line.peer_message_bytes_min = kBoardMessageBytesMin;
  line.window = serial::kWindowMax;
  line.datagrams = options.address.kind == BoardAddress::Kind::kUdp;
  line.nonce = nonce;
  return line;
}

MutableByteView bytes_of(std::vector<uint64_t>& memory) {
  return {reinterpret_cast<uint8_t*>(memory.data()), memory.size() * 8};
}

}  // namespace

Result<std::unique_ptr<BoardRelay>> BoardRelay::create(const RelayOptions& options,
                                                       const host::Credentials& credentials, host::ZmqContext& context,
                                                       host::Entropy& entropy, Instant now) {
  host::DeviceChannel::Options channel_options;
  channel_options.unix_time_s = host::unix_seconds;
  channel_options.hint_interval = seconds(1);  // a coordinator may restart twice in a row
  if (Result<std::vector<uint8_t>> saved = host::read_file(options.session_path, 64 * 1024); saved.ok())
    channel_options.saved_session = std::move(saved).value();
  Result<std::unique_ptr<host::DeviceChannel>> channel =
      host::DeviceChannel::create(credentials, std::move(channel_options), entropy);
  if (!channel) return channel.failure();
  host::DeviceLink::Options link_options;
  link_options.keepalive_idle_s = 0;  // the board gives its own signs of life
  Result<std::unique_ptr<host::DeviceLink>> link = host::DeviceLink::create(context, link_options);
  if (!link) return link.failure();
  return std::unique_ptr<BoardRelay>(new BoardRelay(options,
                                                    line_options(options, static_cast<uint32_t>(entropy.next_u64())),
                                                    std::move(channel).value(), std::move(link).value(), now));
}

BoardRelay::BoardRelay(const RelayOptions& options, const serial::SerialLinkOptions& line_options,
                       std::unique_ptr<host::DeviceChannel> channel, std::unique_ptr<host::DeviceLink> device_link,
                       Instant now)
    : options_(options),
      line_(options.address),
      memory_(serial::SerialLink::memory_bytes(line_options) / 8),
      link_(line_options, bytes_of(memory_), now),
      channel_(std::move(channel)),
      device_link_(std::move(device_link)),
      uplink_({options.coordinator, options.session_path, options.name + ": "}, *device_link_, *channel_),
      open_at_(now),
      open_pause_(kOpenFirst),
      received_(kReadBytes) {}

void BoardRelay::turn(Instant now, uint64_t unix_s) {
  link_.handle_wall_clock(unix_s);
  if (!line_.is_open()) open_line(now);
  read_line(now);
  link_.handle_timeout(now);
  drain(now);
  uplink_.turn(now, *this);
  write_line(now);
}

Instant BoardRelay::next_timeout() const {
  return std::min(line_.is_open() ? link_.next_timeout() : open_at_, uplink_.next_timeout());
}

bool BoardRelay::add_waits(std::vector<void*>& sockets, std::vector<host::WaitFd>& descriptors) const {
  if (line_.is_open()) {
    host::WaitFd wait;
    wait.fd = line_.fd();
    wait.want_read = !uplink_.congested();
    wait.want_write = !unsent_.empty();
    if (wait.want_read || wait.want_write) descriptors.push_back(wait);
  }
  return device_link_->add_sockets(sockets, takes_frames()) && !more_;
}

// --- the line ---

void BoardRelay::open_line(Instant now) {
  if (now < open_at_) return;
  if (const Failure bad = line_.open(); !bad.ok()) {
    if (open_words_ != bad.text()) log_line(LogLevel::kWarning, "%s: no line: %s", name().c_str(), bad.text());
    open_words_ = bad.text();
    open_at_ = now + open_pause_;
    open_pause_ = std::min(open_pause_ * 2, kOpenLast);
    return;
  }
  open_words_.clear();
  link_.handle_line_reset(now, "the line was opened");
}

void BoardRelay::lose_line(Instant now, const Failure& why) {
  if (open_words_ != why.text()) log_line(LogLevel::kWarning, "%s: line lost: %s", name().c_str(), why.text());
  open_words_ = why.text();
  line_.close();
  unsent_.clear();
  more_ = false;
  open_at_ = now + open_pause_;
  open_pause_ = std::min(open_pause_ * 2, kOpenLast);
  link_.handle_line_reset(now, "the line is gone");
  drain(now);
}

void BoardRelay::read_line(Instant now) {
  more_ = false;
  for (int reads = 0; line_.is_open(); ++reads) {
    if (uplink_.congested()) return;  // the line waits
    if (reads == kReadsMax) {
      more_ = true;
      return;
    }
    const Result<size_t> count = line_.read(received_);
    if (!count) return lose_line(now, count.failure());
    if (*count == 0) return;
    take_output(now, ByteView(received_).first(*count));
  }
}

// The board's output.
void BoardRelay::take_output(Instant now, ByteView input) {
  if (line_.datagrams()) {
    link_.handle_datagram(now, input);
    return drain(now);
  }
  while (!input.empty()) {
    input = input.subspan(link_.handle_bytes(now, input));
    drain(now);
  }
}

void BoardRelay::write_line(Instant now) {
  while (line_.is_open()) {
    if (unsent_.empty()) {
      const ByteView frame = link_.poll_output(now);
      if (frame.empty()) return;
      unsent_.assign(frame.begin(), frame.end());
    }
    const Result<size_t> count = line_.write(unsent_);
    if (!count) return lose_line(now, count.failure());
    if (*count == 0) return;
    unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(*count));
  }
}

// --- the board ---

void BoardRelay::drain(Instant now) {
  while (const std::optional<serial::SerialEvent> event = link_.poll_event()) {
    switch (event->kind) {
      case serial::SerialEvent::Kind::kUp:
        open_pause_ = kOpenFirst;
        log_line(LogLevel::kInfo, "%s: the board is there, on %s", name().c_str(), options_.address.text.c_str());
        break;
      case serial::SerialEvent::Kind::kDown:
        log_line(LogLevel::kInfo, "%s: the board is gone: %s", name().c_str(), event->why.text());
        drop_uplink();
        log_counters();
        break;
      case serial::SerialEvent::Kind::kRefused:
        log_line(LogLevel::kWarning, "%s: no link with the board: %s", name().c_str(), event->why.text());
        break;
    }
  }
  while (const std::optional<serial::SerialMessage> message = link_.poll_message()) take_message(now, *message);
}

void BoardRelay::take_message(Instant now, const serial::SerialMessage& message) {
  switch (message.type) {
    case MessageType::kFrame:
      if (!uplink_.up() || message.bytes.empty()) return;
      if (const Failure bad = uplink_.send(message.bytes); !bad.ok()) {
        // The board's engine notices by the missing answer.
        log_line(LogLevel::kWarning, "%s: a frame was not sent: %s %s", name().c_str(), error_name(bad.error()),
                 bad.text());
        return;
      }
      ++frames_up_;
      return;
    case MessageType::kConnect:
      if (message.bytes.size() >= sizeof(uint32_t)) connect(now, load_le<uint32_t>(message.bytes.data()));
      return;
    case MessageType::kDisconnect:
      return drop_uplink();
    case MessageType::kSessionUp:
    case MessageType::kLinkDown:
      return;  // a gateway's words
  }
}

void BoardRelay::connect(Instant now, uint32_t attempt) {
  drop_uplink();
  wanted_ = true;
  attempt_ = attempt;
  if (const Failure bad = uplink_.connect(); !bad.ok()) on_uplink_down(now, host::UplinkLoss::kConnect, bad.text());
}

void BoardRelay::drop_uplink() {
  wanted_ = false;
  uplink_.close();
}

void BoardRelay::tell(MessageType type, const char* text) {
  std::array<uint8_t, sizeof(uint32_t) + serial::kLineTextBytesMax> bytes{};
  store_le<uint32_t>(bytes.data(), attempt_);
  const size_t text_bytes = std::min(std::strlen(text), serial::kLineTextBytesMax);
  std::memcpy(&bytes[sizeof(uint32_t)], text, text_bytes);
  const Error error = link_.send(type, ByteView(bytes).first(sizeof(uint32_t) + text_bytes));
  // Frames leave room for it, so the board is gone; or it says nothing and asks again and again.
  if (error != Error::kOk) log_line(LogLevel::kDebug, "%s: not told: %s", name().c_str(), error_name(error));
}

// --- the coordinator ---

void BoardRelay::on_session_up(Instant) {
  if (wanted_) tell(MessageType::kSessionUp, "");
}

void BoardRelay::on_uplink_down(Instant, host::UplinkLoss, const char* why) {
  if (wanted_) tell(MessageType::kLinkDown, why);
  wanted_ = false;
}

bool BoardRelay::takes_frames() const {
  return !link_.up() || link_.has_room(wire::kFrameBytesMax + kSpareBytes / 2);
}

void BoardRelay::on_frame(Instant, ByteView frame) {
  if (!wanted_) return;
  const Error error = link_.send(MessageType::kFrame, frame);
  if (error == Error::kOk) {
    ++frames_down_;
    return;
  }
  log_line(LogLevel::kWarning, "%s: a frame of %zu bytes from the coordinator cannot go to the board, which takes %u",
           name().c_str(), frame.size(), link_.peer_message_bytes_max());
}

void BoardRelay::log_counters() {
  const serial::SerialCounters& line = link_.counters();
  const host::ChannelCounters& channel = uplink_.counters();
  const uint64_t all = line.bytes_received + line.bytes_sent + channel.bytes_sent + channel.bytes_received;
  if (all == counted_) return;
  counted_ = all;
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  log_line(LogLevel::kInfo,
           "%s: line %llu bytes in, %llu out; %llu frames damaged, %llu of %llu pieces sent again; coordinator %llu "
           "bytes out (%llu frames), %llu in (%llu)",
           name().c_str(), number(line.bytes_received), number(line.bytes_sent), number(link_.frames_dropped()),
           number(line.pieces_sent_again), number(line.pieces_sent), number(channel.bytes_sent), number(frames_up_),
           number(channel.bytes_received), number(frames_down_));
}

}  // namespace runnel::gateway
