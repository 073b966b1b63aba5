// A board without a secure channel, as a program of its own: device/port's session over a socket, a pseudo-terminal or
// datagrams, with data and an outbox of its own. What the tests of the gateway start instead of hardware.
//
// Usage: serial_board NAME STATE_FOLDER PART PARTS ADDRESS [SEED]
//   ADDRESS  unix:PATH (listens) | pty:PATH (makes a link to it there) | udp:OWN_PORT:GATEWAY_PORT
//   SEED     of a line that flips bits, swallows bytes and adds some, both ways
// Ends with status 0 when the run is over, 1 when the coordinator or the line wants nothing to do with it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "device/port/board_session.h"
#include "runtime/base/arena.h"
#include "runtime/host/dataset_file.h"
#include "runtime/host/file_storage.h"
#include "runtime/host/monotonic_clock.h"
#include "runtime/journal/journal.h"
#include "runtime/serial/cobs.h"

namespace {

using namespace runnel;  // NOLINT(google-build-using-namespace): a program of one file
using Bytes = std::vector<uint8_t>;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "serial_board: %s\n", what.c_str());
  std::exit(2);
}

void say(const char* line) {
  std::printf("%s\n", line);
  std::fflush(stdout);
}

// One byte in a thousand suffers.
class Noise {
 public:
  explicit Noise(uint64_t seed) : on_(seed != 0), rng_(seed) {}
  Bytes operator()(ByteView bytes) {
    Bytes out;
    for (const uint8_t byte : bytes) {
      const uint64_t draw = on_ ? rng_.below(3000) : 3000;
      if (draw == 0) continue;
      out.push_back(draw == 1 ? static_cast<uint8_t>(byte ^ (1U << rng_.below(8))) : byte);
      if (draw == 2) out.push_back(static_cast<uint8_t>(rng_.next_u64()));
    }
    return out;
  }

 private:
  bool on_;
  Rng rng_;
};

class Line {
 public:
  explicit Line(const std::string& address) {
    if (address.starts_with("unix:")) {
      open_unix(address.substr(5));
    } else if (address.starts_with("pty:")) {
      open_pty(address.substr(4));
    } else if (address.starts_with("udp:")) {
      open_udp(address.substr(4));
    } else {
      die("no address: " + address);
    }
  }

  int fd() const { return fd_ >= 0 ? fd_ : listener_; }
  bool datagrams() const { return datagrams_; }

  // What came; a stream whose other side went is opened again.
  Bytes read() {
    if (fd_ < 0) {
      fd_ = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
      if (fd_ < 0) return {};
    }
    Bytes bytes(4096);
    const ssize_t count = ::read(fd_, bytes.data(), bytes.size());
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != ECONNREFUSED && errno != EIO)) lose();
    bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return bytes;
  }
  void write(ByteView bytes) {
    while (!bytes.empty() && fd_ >= 0) {
      const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
      if (count > 0 && !datagrams_) {
        bytes = bytes.subspan(static_cast<size_t>(count));
      } else if (count < 0 && errno == EAGAIN) {
        pollfd wait{fd_, POLLOUT, 0};
        if (::poll(&wait, 1, 1000) == 0) return;  // nobody reads
      } else {
        return;
      }
    }
  }

 private:
  void lose() {
    if (listener_ < 0) return;
    ::close(fd_);
    fd_ = -1;
  }
  void open_unix(const std::string& path) {
    ::unlink(path.c_str());
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0 || ::listen(listener_, 4) != 0)
      die("cannot listen on " + path);
  }
  void open_pty(const std::string& path) {
    fd_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (fd_ < 0 || ::grantpt(fd_) != 0 || ::unlockpt(fd_) != 0) die("no pseudo-terminal");
    const char* name = ::ptsname(fd_);
    ::unlink(path.c_str());
    // Held open, or the master says EIO before the gateway comes and after it has gone.
    if (::open(name, O_RDWR | O_NOCTTY) < 0 || ::symlink(name, path.c_str()) != 0) die("cannot link " + path);
  }
  void open_udp(const std::string& ports) {
    const auto at = [](int port) {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      name.sin_port = htons(static_cast<uint16_t>(port));
      return name;
    };
    const sockaddr_in own = at(std::stoi(ports));
    const sockaddr_in gateway = at(std::stoi(ports.substr(ports.find(':') + 1)));
    fd_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    datagrams_ = true;
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0 ||
        ::connect(fd_, reinterpret_cast<const sockaddr*>(&gateway), sizeof gateway) != 0)
      die("cannot use UDP ports " + ports);
  }

  int listener_ = -1;
  int fd_ = -1;
  bool datagrams_ = false;
};

// The session speaks a stream; in datagrams each of its frames travels by itself, not stuffed.
class Converter {
 public:
  template <typename Take>
  void out(ByteView stream, Take take) {
    for (const uint8_t byte : stream) {
      if (decoder_.take(byte)) take(decoder_.frame());
    }
  }
  Bytes in(ByteView frame) {
    Bytes stream(serial::cobs_bytes_max(frame.size()));
    stream.resize(serial::cobs_encode(frame, stream));
    return stream;
  }

 private:
  Bytes memory_ = Bytes(8192);
  serial::CobsDecoder decoder_{memory_};
};

template <typename T>
T must(Result<T> made) {
  if (!made) die(made.failure().text());
  return std::move(made).value();
}

}  // namespace

int main(int count, char** words) {
  if (count < 6) die("NAME STATE_FOLDER PART PARTS ADDRESS [SEED]");
  std::signal(SIGPIPE, SIG_IGN);
  const std::string folder = words[2];
  std::filesystem::create_directories(folder);
  const std::unique_ptr<host::FileStorage> storage =
      must(host::FileStorage::open(folder + "/outbox", {4U << 20, false}));
  journal::Journal journal = must(journal::Journal::open(*storage, journal::JournalOptions{}));
  device::Outbox outbox = must(device::Outbox::open(journal));
  const data::DataSpec spec = must(data::parse_data_spec("generated", "", "", ""));
  const data::Dataset examples = must(host::load_training_part(spec, static_cast<uint32_t>(std::stoul(words[3])),
                                                               static_cast<uint32_t>(std::stoul(words[4])), 1));
  port::BoardOptions options;
  if (!options.name.assign(words[1]) || !options.software.assign("serial_board")) die("too long a name");
  options.nonce = static_cast<uint32_t>(::getpid());
  options.seed = options.nonce;
  options.model_bytes_max = 1U << 20;
  options.log = say;
  Bytes block((8U << 20) + Arena::kAlignment);
  const size_t off = Arena::kAlignment - reinterpret_cast<uintptr_t>(block.data()) % Arena::kAlignment;
  std::vector<uint64_t> line_memory(port::BoardSession::line_memory_bytes(options) / 8 + 1);
  const host::MonotonicClock clock;
  port::BoardSession session(options, outbox, examples, MutableByteView(block).subspan(off, 8U << 20),
                             {reinterpret_cast<uint8_t*>(line_memory.data()), line_memory.size() * 8}, clock.now());

  Line line(words[5]);
  Converter convert;
  Noise noise(count > 6 ? std::stoull(words[6]) : 0);
  bool more = false;
  while (!session.over()) {
    const Duration pause = more ? Duration::zero() : std::max(Duration::zero(), session.next_timeout() - clock.now());
    pollfd wait{line.fd(), POLLIN, 0};
    ::poll(&wait, 1, static_cast<int>(std::min<int64_t>(to_ms(pause) + (more ? 0 : 1), 60'000)));
    for (Bytes bytes = line.read(); !bytes.empty(); bytes = line.read()) {
      if (line.datagrams()) {
        session.handle_bytes(clock.now(), convert.in(noise(bytes)));
      } else {
        session.handle_bytes(clock.now(), noise(bytes));
      }
    }
    more = session.turn(clock.now());
    for (ByteView out = session.poll_output(clock.now()); !out.empty(); out = session.poll_output(clock.now())) {
      if (line.datagrams()) {
        convert.out(out, [&](ByteView frame) { line.write(noise(frame)); });
      } else {
        line.write(noise(out));
      }
    }
  }
  const serial::SerialCounters& counters = session.line().counters();
  std::printf("over: %llu updates acknowledged; line: %llu frames damaged, %llu pieces sent again\n",
              static_cast<unsigned long long>(session.engine().updates_acknowledged()),
              static_cast<unsigned long long>(session.line().frames_dropped()),
              static_cast<unsigned long long>(counters.pieces_sent_again));
  return session.engine().state() == device::DeviceState::kFinished ? 0 : 1;
}
