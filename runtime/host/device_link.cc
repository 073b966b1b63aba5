#include "runtime/host/device_link.h"

#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <limits>
#include <utility>

namespace runnel::host {
namespace {

// Distinct for each socket monitor of the process.
std::string next_monitor_name() {
  static std::atomic<uint64_t> count{0};
  return "inproc://runnel-monitor-" + std::to_string(count.fetch_add(1));
}

}  // namespace

struct DeviceLink::State {
  State(void* zmq_context, const Options& link_options) : context(zmq_context), options(link_options) {}
  ~State() { close(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Failure open(const std::string& endpoint);
  void close();
  void read_monitor();
  void finish(LinkEvent event) {
    over = true;
    connected = false;
    events.push_back(event);
  }

  void* context;
  Options options;
  void* socket = nullptr;
  void* monitor = nullptr;
  bool connected = false;
  bool over = true;  // this attempt has come to its end
  std::deque<LinkEvent> events;
  DeviceLinkCounters counters;
};

Failure DeviceLink::State::open(const std::string& endpoint) {
  close();
  socket = zmq_socket(context, ZMQ_DEALER);
  if (socket == nullptr) return fail(Error::kIo, "ZeroMQ: no socket: %s", zmq_strerror(zmq_errno()));
  RUNNEL_TRY(set_limits(
      socket, {options.queue_messages, options.message_bytes_max, options.handshake_timeout, options.keepalive_idle_s,
               options.keepalive_interval_s, options.keepalive_count, options.ipv6}));
  RUNNEL_TRY(set_option(socket, ZMQ_RECONNECT_IVL, -1));
  const int64_t connect_ms = std::clamp<int64_t>(to_ms(options.connect_timeout), 0, std::numeric_limits<int>::max());
  RUNNEL_TRY(set_option(socket, ZMQ_CONNECT_TIMEOUT, static_cast<int>(connect_ms)));

  const std::string name = next_monitor_name();
  constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                          ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                          ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_CONNECT_RETRIED;
  monitor = zmq_socket(context, ZMQ_PAIR);
  if (monitor == nullptr || zmq_socket_monitor(socket, name.c_str(), kEvents) != 0 ||
      zmq_connect(monitor, name.c_str()) != 0) {
    return fail(Error::kIo, "ZeroMQ: no monitor: %s", zmq_strerror(zmq_errno()));
  }
  RUNNEL_TRY(set_option(monitor, ZMQ_LINGER, 0));
  if (zmq_connect(socket, endpoint.c_str()) != 0) {
    return fail(Error::kInvalidArgument, "%s: %s", endpoint.c_str(), zmq_strerror(zmq_errno()));
  }
  over = false;
  return Error::kOk;
}

void DeviceLink::State::close() {
  if (socket != nullptr) {
    zmq_socket_monitor(socket, nullptr, 0);
    zmq_close(socket);
  }
  if (monitor != nullptr) zmq_close(monitor);
  socket = monitor = nullptr;
  connected = false;
  over = true;
  events.clear();
}

// A monitor message has two parts: the event's number (16 bits) with a value (32 bits), and the address.
void DeviceLink::State::read_monitor() {
  while (monitor != nullptr) {
    uint8_t bytes[6] = {};
    const int size = zmq_recv(monitor, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0) {
      if (zmq_errno() == EINTR) continue;
      return;
    }
    drop_rest_of_message(monitor);
    if (over || size != sizeof bytes) continue;
    if (load_le<uint16_t>(bytes) == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      connected = true;
      events.push_back(LinkEvent::kConnected);
    } else {
      finish(connected ? LinkEvent::kDisconnected : LinkEvent::kConnectFailed);
    }
  }
}

DeviceLink::DeviceLink(std::unique_ptr<State> state) : state_(std::move(state)) {}
DeviceLink::~DeviceLink() = default;

Result<std::unique_ptr<DeviceLink>> DeviceLink::create(ZmqContext& context, const Options& options) {
  if (options.queue_messages < 1 || options.message_bytes_max < 1) {
    return fail(Error::kInvalidArgument, "device link: the queue and the longest message must be at least 1");
  }
  return std::unique_ptr<DeviceLink>(new DeviceLink(std::make_unique<State>(context.handle(), options)));
}

Failure DeviceLink::connect(const std::string& endpoint) {
  if (!endpoint.starts_with("tcp://") && !endpoint.starts_with("ipc://")) {
    return fail(Error::kInvalidArgument, "%s: an endpoint is tcp://host:port", endpoint.c_str());
  }
  ++state_->counters.connects;
  const Failure failure = state_->open(endpoint);
  if (!failure.ok()) state_->close();
  return failure;
}

void DeviceLink::close() {
  state_->close();
}

Error DeviceLink::send(ByteView message) {
  State& state = *state_;
  if (message.size() > static_cast<uint64_t>(state.options.message_bytes_max)) return Error::kLimit;
  state.read_monitor();
  if (!state.connected) return Error::kUnreachable;
  // Asking for the events makes the socket take note of what its I/O thread has done, which sending alone does not
  // always.
  int ready = 0;
  size_t size = sizeof ready;
  if (zmq_getsockopt(state.socket, ZMQ_EVENTS, &ready, &size) != 0 || (ready & ZMQ_POLLOUT) == 0) return Error::kBusy;
  for (;;) {
    if (zmq_send(state.socket, message.data(), message.size(), ZMQ_DONTWAIT) >= 0) break;
    if (zmq_errno() == EINTR) continue;
    return zmq_errno() == EAGAIN ? Error::kBusy : Error::kUnreachable;
  }
  ++state.counters.messages_sent;
  return Error::kOk;
}

bool DeviceLink::receive(std::vector<uint8_t>& out) {
  State& state = *state_;
  while (state.socket != nullptr) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    const int size = zmq_msg_recv(&message, state.socket, ZMQ_DONTWAIT);
    if (size < 0) {
      zmq_msg_close(&message);
      if (zmq_errno() == EINTR) continue;
      return false;
    }
    const bool single = zmq_msg_more(&message) == 0;
    const auto* bytes = static_cast<const uint8_t*>(zmq_msg_data(&message));
    if (single) out.assign(bytes, bytes + size);
    zmq_msg_close(&message);
    if (single) {
      ++state.counters.messages_received;
      return true;
    }
    drop_rest_of_message(state.socket);
    ++state.counters.messages_dropped;
  }
  return false;
}

bool DeviceLink::poll_event(LinkEvent& out) {
  state_->read_monitor();
  if (state_->events.empty()) return false;
  out = state_->events.front();
  state_->events.pop_front();
  return true;
}

Failure DeviceLink::wait(Duration timeout, std::span<WaitFd> extra) {
  if (state_->socket == nullptr) return wait_on_sockets({}, timeout, extra);
  void* const sockets[] = {state_->socket, state_->monitor};
  return wait_on_sockets(sockets, state_->events.empty() ? timeout : Duration::zero(), extra);
}

bool DeviceLink::add_sockets(std::vector<void*>& sockets, bool messages) const {
  if (state_->socket == nullptr) return true;
  if (messages) sockets.push_back(state_->socket);
  sockets.push_back(state_->monitor);
  return state_->events.empty();
}

bool DeviceLink::connected() const {
  return state_->connected;
}
const DeviceLinkCounters& DeviceLink::counters() const {
  return state_->counters;
}

}  // namespace runnel::host
