// What both kinds of ZeroMQ link share: the context with its one I/O thread, and waiting on sockets and descriptors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/base/result.h"
#include "runtime/base/time.h"

namespace runnel::host {

// Owns ZeroMQ's I/O thread. Links must be destroyed before it. Threads: links of one context may live in several
// threads, each link in one.
class ZmqContext {
 public:
  // sockets_max: two for each DeviceLink and one for a CoordinatorLink, however many peers that one has.
  static Result<std::unique_ptr<ZmqContext>> create(int sockets_max = 1023);
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  ~ZmqContext();

  void* handle() const { return context_; }  // for the links

 private:
  explicit ZmqContext(void* context) : context_(context) {}
  void* context_;
};

// A further descriptor to wait on, for example a signalfd or an eventfd.
struct WaitFd {
  int fd = -1;
  bool readable = false;    // out: it can be read
  bool want_write = false;  // in: also until it can be written
  bool writable = false;    // out, if that was wanted
  bool want_read = true;    // in
};

// For the links: sleeps until one of the sockets has something to receive, an `extra` descriptor is readable, a signal
// came or `timeout` has passed (Duration::max(): no limit), and fills each `readable`.
Failure wait_on_sockets(std::span<void* const> sockets, Duration timeout, std::span<WaitFd> extra);

// For the links: sends or receives nothing, drops the rest of a message of several parts.
void drop_rest_of_message(void* socket);

// What links of both kinds set on their sockets.
struct SocketLimits {
  int queue_messages = 0;
  int64_t message_bytes_max = 0;
  Duration handshake_timeout{};
  int keepalive_idle_s = 0;
  int keepalive_interval_s = 0;
  int keepalive_count = 0;
  bool ipv6 = false;
};
Failure set_limits(void* socket, const SocketLimits& limits);
Failure set_option(void* socket, int option, int value);

// Raises the soft limit on open files to `files` or to the hard limit, whichever is lower, and returns the limit that
// now holds. Every peer of a coordinator is one file.
size_t raise_file_limit(size_t files);

}  // namespace runnel::host
