#include "runtime/host/coordinator_link.h"

#include <zmq.h>

#include <cerrno>
#include <utility>

namespace runnel::host {
namespace {

// Files a process needs besides its peers' connections: databases, logs, the program's own.
constexpr size_t kOtherFiles = 256;

}  // namespace

struct CoordinatorLink::State {
  State() = default;
  ~State() {
    if (socket != nullptr) zmq_close(socket);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void* socket = nullptr;
  Options options;
  std::string endpoint;
  CoordinatorLinkCounters counters;
};

CoordinatorLink::CoordinatorLink(std::unique_ptr<State> state) : state_(std::move(state)) {}
CoordinatorLink::~CoordinatorLink() = default;

Result<std::unique_ptr<CoordinatorLink>> CoordinatorLink::create(ZmqContext& context, const Options& options) {
  if (options.queue_messages < 1 || options.message_bytes_max < 1 || options.backlog < 1) {
    return fail(Error::kInvalidArgument, "coordinator link: queue, longest message and backlog must be at least 1");
  }
  raise_file_limit(options.peers_max + kOtherFiles);
  auto state = std::make_unique<State>();
  state->options = options;
  state->socket = zmq_socket(context.handle(), ZMQ_ROUTER);
  if (state->socket == nullptr) return fail(Error::kIo, "ZeroMQ: no socket: %s", zmq_strerror(zmq_errno()));
  RUNNEL_TRY(set_limits(
      state->socket, {options.queue_messages, options.message_bytes_max, options.handshake_timeout,
                      options.keepalive_idle_s, options.keepalive_interval_s, options.keepalive_count, options.ipv6}));
  RUNNEL_TRY(set_option(state->socket, ZMQ_BACKLOG, options.backlog));
  RUNNEL_TRY(set_option(state->socket, ZMQ_ROUTER_MANDATORY, 1));
  return std::unique_ptr<CoordinatorLink>(new CoordinatorLink(std::move(state)));
}

Failure CoordinatorLink::bind(const std::string& endpoint) {
  if (!endpoint.starts_with("tcp://") && !endpoint.starts_with("ipc://")) {
    return fail(Error::kInvalidArgument, "%s: an endpoint is tcp://address:port", endpoint.c_str());
  }
  if (zmq_bind(state_->socket, endpoint.c_str()) != 0) {
    const int code = zmq_errno();
    if (code == EADDRINUSE) return fail(Error::kBusy, "%s is in use", endpoint.c_str());
    if (code == EMFILE || code == ENFILE || code == EACCES) {
      return fail(Error::kIo, "%s: %s", endpoint.c_str(), zmq_strerror(code));
    }
    return fail(Error::kInvalidArgument, "%s: %s", endpoint.c_str(), zmq_strerror(code));
  }
  char bound[256] = {};
  size_t size = sizeof bound;
  if (zmq_getsockopt(state_->socket, ZMQ_LAST_ENDPOINT, bound, &size) != 0) {
    return fail(Error::kIo, "%s: %s", endpoint.c_str(), zmq_strerror(zmq_errno()));
  }
  state_->endpoint = bound;
  return Error::kOk;
}

const std::string& CoordinatorLink::endpoint() const {
  return state_->endpoint;
}

Error CoordinatorLink::send(const RoutingId& to, ByteView message) {
  State& state = *state_;
  if (message.size() > static_cast<uint64_t>(state.options.message_bytes_max)) return Error::kLimit;
  const ByteView id = to.view();
  // Only the first part can be refused; a signal may come between the two, so the second is tried until it is in.
  while (zmq_send(state.socket, id.data(), id.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
    if (zmq_errno() == EINTR) continue;
    if (zmq_errno() == EAGAIN) {
      ++state.counters.sends_busy;
      return Error::kBusy;
    }
    ++state.counters.sends_unreachable;
    return Error::kUnreachable;
  }
  while (zmq_send(state.socket, message.data(), message.size(), ZMQ_DONTWAIT) < 0) {
    if (zmq_errno() == EINTR) continue;
    ++state.counters.sends_unreachable;
    return Error::kUnreachable;
  }
  ++state.counters.messages_sent;
  return Error::kOk;
}

bool CoordinatorLink::receive(RoutingId& from, std::vector<uint8_t>& out) {
  State& state = *state_;
  zmq_msg_t part;
  for (;;) {
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, state.socket, ZMQ_DONTWAIT) < 0) {
      zmq_msg_close(&part);
      if (zmq_errno() == EINTR) continue;
      return false;
    }
    const bool named = from.assign({static_cast<const uint8_t*>(zmq_msg_data(&part)), zmq_msg_size(&part)});
    bool whole = false;
    if (named && zmq_msg_more(&part) != 0) {
      int size = -1;
      do {
        size = zmq_msg_recv(&part, state.socket, ZMQ_DONTWAIT);
      } while (size < 0 && zmq_errno() == EINTR);
      whole = size >= 0 && zmq_msg_more(&part) == 0;
      const auto* bytes = static_cast<const uint8_t*>(zmq_msg_data(&part));
      if (whole) out.assign(bytes, bytes + size);
    }
    zmq_msg_close(&part);
    if (whole) {
      ++state.counters.messages_received;
      return true;
    }
    drop_rest_of_message(state.socket);
    ++state.counters.messages_dropped;
  }
}

Failure CoordinatorLink::wait(Duration timeout, std::span<WaitFd> extra) {
  void* const sockets[] = {state_->socket};
  return wait_on_sockets(sockets, timeout, extra);
}

const CoordinatorLinkCounters& CoordinatorLink::counters() const {
  return state_->counters;
}

}  // namespace runnel::host
