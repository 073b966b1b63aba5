#include "runtime/host/zmq_link.h"

#include <sys/resource.h>
#include <zmq.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

#include "runtime/host/stop_signal.h"

namespace runnel::host {
namespace {

// The context option ZMQ_ZERO_COPY_RECV, which zmq.h names only for programs that use draft interfaces.
constexpr int kZeroCopyReceive = 10;

// zmq_poll counts in milliseconds; rounded up, so that a timer is never looked at too early again and again.
long poll_ms(Duration timeout) {
  if (timeout == Duration::max()) return -1;
  const int64_t ms = std::max<int64_t>(0, (timeout.count() + 999) / 1000);
  return static_cast<long>(std::min<int64_t>(ms, std::numeric_limits<int>::max()));
}

int clamped_ms(Duration duration) {
  return static_cast<int>(std::clamp<int64_t>(to_ms(duration), 0, std::numeric_limits<int>::max()));
}

}  // namespace

Result<std::unique_ptr<ZmqContext>> ZmqContext::create(int sockets_max) {
  void* context = zmq_ctx_new();
  if (context == nullptr) return fail(Error::kIo, "ZeroMQ: no context: %s", zmq_strerror(zmq_errno()));
  std::unique_ptr<ZmqContext> owned(new ZmqContext(context));
  if (zmq_ctx_set(context, ZMQ_IO_THREADS, 1) != 0 || zmq_ctx_set(context, ZMQ_MAX_SOCKETS, sockets_max) != 0 ||
      zmq_ctx_set(context, ZMQ_BLOCKY, 0) != 0) {
    return fail(Error::kInvalidArgument, "ZeroMQ: %d sockets: %s", sockets_max, zmq_strerror(zmq_errno()));
  }
  // Without copying, each message keeps the whole buffer that it was read into: 18 KB for a chunk of 4 KB, and a few
  // hundred megabytes where thousands of devices upload. A library that does not know the option works all the same.
  static_cast<void>(zmq_ctx_set(context, kZeroCopyReceive, 0));
  return owned;
}

ZmqContext::~ZmqContext() {
  while (zmq_ctx_term(context_) != 0 && zmq_errno() == EINTR) {
  }
}

Failure wait_on_sockets(std::span<void* const> sockets, Duration timeout, std::span<WaitFd> extra) {
  std::vector<zmq_pollitem_t> items;
  items.reserve(sockets.size() + extra.size() + 1);
  for (void* socket : sockets) items.push_back({socket, 0, ZMQ_POLLIN, 0});
  for (WaitFd& wait : extra) {
    wait.readable = wait.writable = false;
    const int wanted = (wait.want_read ? ZMQ_POLLIN : 0) | (wait.want_write ? ZMQ_POLLOUT : 0);
    items.push_back({nullptr, wait.fd, static_cast<short>(wanted), 0});
  }
  if (const int fd = stop_signal_fd(); fd >= 0) items.push_back({nullptr, fd, ZMQ_POLLIN, 0});
  const int count = zmq_poll(items.data(), static_cast<int>(items.size()), poll_ms(timeout));
  if (count < 0) {
    if (zmq_errno() == EINTR) return Error::kOk;
    return fail(Error::kIo, "ZeroMQ: waiting: %s", zmq_strerror(zmq_errno()));
  }
  for (size_t i = 0; i < extra.size(); ++i) {
    const short found = items[sockets.size() + i].revents;
    extra[i].readable = extra[i].want_read && (found & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0;
    extra[i].writable = extra[i].want_write && (found & (ZMQ_POLLOUT | ZMQ_POLLERR)) != 0;
  }
  if (items.size() > sockets.size() + extra.size() && items.back().revents != 0) drain_stop_signal();
  return Error::kOk;
}

void drop_rest_of_message(void* socket) {
  int more = 0;
  size_t size = sizeof more;
  while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more != 0) {
    if (zmq_recv(socket, nullptr, 0, ZMQ_DONTWAIT) < 0 && zmq_errno() != EINTR) return;
  }
}

Failure set_option(void* socket, int option, int value) {
  if (zmq_setsockopt(socket, option, &value, sizeof value) == 0) return Error::kOk;
  return fail(Error::kInvalidArgument, "ZeroMQ: socket option %d = %d: %s", option, value, zmq_strerror(zmq_errno()));
}

Failure set_limits(void* socket, const SocketLimits& limits) {
  RUNNEL_TRY(set_option(socket, ZMQ_LINGER, 0));
  RUNNEL_TRY(set_option(socket, ZMQ_SNDHWM, limits.queue_messages));
  RUNNEL_TRY(set_option(socket, ZMQ_RCVHWM, limits.queue_messages));
  RUNNEL_TRY(set_option(socket, ZMQ_HANDSHAKE_IVL, clamped_ms(limits.handshake_timeout)));
  RUNNEL_TRY(set_option(socket, ZMQ_IPV6, limits.ipv6 ? 1 : 0));
  if (limits.keepalive_idle_s > 0) {
    RUNNEL_TRY(set_option(socket, ZMQ_TCP_KEEPALIVE, 1));
    RUNNEL_TRY(set_option(socket, ZMQ_TCP_KEEPALIVE_IDLE, limits.keepalive_idle_s));
    RUNNEL_TRY(set_option(socket, ZMQ_TCP_KEEPALIVE_INTVL, limits.keepalive_interval_s));
    RUNNEL_TRY(set_option(socket, ZMQ_TCP_KEEPALIVE_CNT, limits.keepalive_count));
  }
  if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &limits.message_bytes_max, sizeof limits.message_bytes_max) != 0) {
    return fail(Error::kInvalidArgument, "ZeroMQ: longest message: %s", zmq_strerror(zmq_errno()));
  }
  return Error::kOk;
}

size_t raise_file_limit(size_t files) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur >= files) return static_cast<size_t>(limit.rlim_cur);
  rlimit raised = limit;
  raised.rlim_cur = std::min<rlim_t>(files, limit.rlim_max);
  return static_cast<size_t>(setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur);
}

}  // namespace runnel::host
