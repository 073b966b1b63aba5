#include "gateway/board_line.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace runnel::gateway {
namespace {

struct Speed {
  uint32_t baud;
  speed_t code;
};
constexpr Speed kSpeeds[] = {{9600, B9600},       {19200, B19200},     {38400, B38400},     {57600, B57600},
                             {115200, B115200},   {230400, B230400},   {460800, B460800},   {500000, B500000},
                             {921600, B921600},   {1000000, B1000000}, {1500000, B1500000}, {2000000, B2000000},
                             {3000000, B3000000}, {4000000, B4000000}};

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// Numeric, so that nobody's name server can hold up the other boards.
AddressList resolve(const std::string& host, uint16_t port, int type) {
  addrinfo hints{};
  hints.ai_socktype = type;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) found = nullptr;
  return {found, &freeaddrinfo};
}

bool is_later(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

}  // namespace

void BoardLine::close() {
  fd_ = host::FileDescriptor();
}

Failure BoardLine::gone(const char* why) {
  close();
  return fail(Error::kUnreachable, "%s: %s", address_.text.c_str(), why);
}

Failure BoardLine::open() {
  close();
  switch (address_.kind) {
    case BoardAddress::Kind::kSerial:
      return open_serial();
    case BoardAddress::Kind::kUnix:
      return open_unix();
    case BoardAddress::Kind::kTcp:
      return open_ip(false);
    case BoardAddress::Kind::kUdp:
      return open_ip(true);
  }
  return Error::kInvalidArgument;
}

Failure BoardLine::open_serial() {
  speed_t speed = B0;
  for (const Speed& known : kSpeeds) {
    if (known.baud == address_.baud) speed = known.code;
  }
  if (speed == B0) return fail(Error::kInvalidArgument, "%s: no such baud rate", address_.text.c_str());
  fd_ = host::FileDescriptor(::open(address_.path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!fd_.is_open()) return gone(std::strerror(errno));
  termios settings{};
  if (tcgetattr(fd_.get(), &settings) != 0) return gone("not a serial line");
  cfmakeraw(&settings);
  settings.c_cflag |= CLOCAL | CREAD;
  settings.c_cflag &= ~static_cast<tcflag_t>(CSTOPB | CRTSCTS);
  settings.c_cc[VMIN] = 1;
  settings.c_cc[VTIME] = 0;
  if (cfsetspeed(&settings, speed) != 0 || tcsetattr(fd_.get(), TCSANOW, &settings) != 0)
    return gone(std::strerror(errno));
  tcflush(fd_.get(), TCIOFLUSH);  // of before we were here
  return Error::kOk;
}

Failure BoardLine::open_unix() {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  address_.path.copy(name.sun_path, sizeof name.sun_path - 1);
  fd_ = host::FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.is_open() || ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    return gone(std::strerror(errno));
  return Error::kOk;
}

Failure BoardLine::open_ip(bool datagram) {
  const int type = datagram ? SOCK_DGRAM : SOCK_STREAM;
  const AddressList here = resolve(address_.host, address_.port, type);
  if (here == nullptr) return fail(Error::kInvalidArgument, "%s: not a numeric address", address_.text.c_str());
  fd_ = host::FileDescriptor(::socket(here->ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.is_open()) return gone(std::strerror(errno));
  if (!datagram) {
    if (::connect(fd_.get(), here->ai_addr, here->ai_addrlen) != 0 && errno != EINPROGRESS)
      return gone(std::strerror(errno));
    const int on = 1;
    static_cast<void>(::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    return Error::kOk;
  }
  const AddressList board = resolve(address_.board_host, address_.board_port, type);
  if (board == nullptr) return fail(Error::kInvalidArgument, "%s: not a numeric address", address_.text.c_str());
  // Connected: the kernel drops what comes from anywhere else.
  if (::bind(fd_.get(), here->ai_addr, here->ai_addrlen) != 0 ||
      ::connect(fd_.get(), board->ai_addr, board->ai_addrlen) != 0)
    return gone(std::strerror(errno));
  return Error::kOk;
}

Result<size_t> BoardLine::read(MutableByteView to) {
  const ssize_t count =
      datagrams() ? ::recv(fd_.get(), to.data(), to.size(), 0) : ::read(fd_.get(), to.data(), to.size());
  if (count > 0) return static_cast<size_t>(count);
  if (count < 0 && is_later(errno)) return size_t{0};
  if (datagrams()) return size_t{0};  // an empty one, or nobody there at the moment
  return gone(count == 0 ? "the other side has closed it" : std::strerror(errno));
}

Result<size_t> BoardLine::write(ByteView from) {
  if (datagrams()) {
    static_cast<void>(::send(fd_.get(), from.data(), from.size(), MSG_NOSIGNAL));
    return from.size();
  }
  const ssize_t count = ::write(fd_.get(), from.data(), from.size());
  if (count >= 0) return static_cast<size_t>(count);
  if (is_later(errno)) return size_t{0};
  return gone(std::strerror(errno));
}

}  // namespace runnel::gateway
