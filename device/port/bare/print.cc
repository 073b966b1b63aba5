// snprintf and vsnprintf in 2 KB instead of newlib's 12 to 30, and without its heap: what the core's messages use, that
// is %d %i %u %x %c %s %p %%, %f %e %g with a precision, the lengths hh h l ll z j t, *, widths and the flags - and 0.
#include <cmath>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace {

// Counts what would be written, writes what fits.
class Text {
 public:
  Text(char* to, size_t bytes) : to_(to), bytes_(bytes) {}
  void put(char c) {
    if (used_ + 1 < bytes_) to_[used_] = c;
    ++used_;
  }
  void put(const char* from, size_t length, int width, bool left, char fill = ' ') {
    const int pad = width - static_cast<int>(length);
    if (!left) repeat(fill, pad);
    for (size_t i = 0; i < length; ++i) put(from[i]);
    if (left) repeat(' ', pad);
  }
  int finish() {
    if (bytes_ > 0) to_[used_ < bytes_ ? used_ : bytes_ - 1] = '\0';
    return static_cast<int>(used_);
  }

 private:
  void repeat(char c, int times) {
    for (int i = 0; i < times; ++i) put(c);
  }
  char* to_;
  size_t bytes_;
  size_t used_ = 0;
};

struct Field {
  int width = 0;
  int precision = -1;
  bool left = false;
  bool zero = false;
};

// The digits of `value` before `end`; returns where they begin.
char* digits(uint64_t value, unsigned base, char* end) {
  do {
    *--end = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  return end;
}

void put_integer(Text& text, const Field& field, uint64_t magnitude, bool negative, unsigned base) {
  char buffer[24];
  char* const end = buffer + sizeof buffer;
  char* begin = digits(magnitude, base, end);
  if (field.zero && !field.left) {
    while (end - begin < field.width - (negative ? 1 : 0) && begin > buffer + 1) *--begin = '0';
  }
  if (negative) *--begin = '-';
  text.put(begin, static_cast<size_t>(end - begin), field.width, field.left);
}

// Fixed notation of what is below 1e15; rounds halves away from zero.
size_t fixed(double value, int precision, char* to) {
  double scale = 1.0;
  for (int i = 0; i < precision; ++i) scale *= 10.0;
  const double rounded = value * scale + 0.5;
  char buffer[24];
  char* const end = buffer + sizeof buffer;
  char* begin = digits(static_cast<uint64_t>(rounded), 10, end);
  while (end - begin <= precision) *--begin = '0';
  size_t used = 0;
  for (const char* at = begin; at < end; ++at) {
    if (end - at == precision) to[used++] = '.';
    to[used++] = *at;
  }
  return used;
}

void put_real(Text& text, const Field& field, double value, char kind) {
  char buffer[48];
  size_t used = 0;
  if (std::signbit(value)) {
    buffer[used++] = '-';
    value = -value;
  }
  if (!std::isfinite(value)) {
    std::memcpy(buffer + used, std::isnan(value) ? "nan" : "inf", 3);
    return text.put(buffer, used + 3, field.width, field.left);
  }
  int precision = field.precision < 0 ? 6 : field.precision > 9 ? 9 : field.precision;
  if (kind == 'g' && precision == 0) precision = 1;
  int exponent = 0;
  double mantissa = value;
  while (mantissa >= 10.0) {
    mantissa /= 10.0;
    ++exponent;
  }
  while (mantissa != 0.0 && mantissa < 1.0) {
    mantissa *= 10.0;
    --exponent;
  }
  if (kind != 'f') {
    // What rounds up to ten has one digit more.
    double half = 0.5;
    for (int i = kind == 'g' ? 1 : 0; i < precision; ++i) half /= 10.0;
    if (mantissa + half >= 10.0) {
      mantissa /= 10.0;
      ++exponent;
    }
  }
  const bool scientific = kind == 'e' || (kind == 'g' && (exponent < -4 || exponent >= precision)) ||
                          exponent >= 15 - (kind == 'f' ? precision : 0);
  int places = precision;
  if (kind == 'g') places = scientific ? precision - 1 : precision - 1 - exponent;
  if (places > 15) places = 15;
  const size_t begin = used;
  used += fixed(scientific ? mantissa : value, places, buffer + used);
  if (kind == 'g' && std::memchr(buffer + begin, '.', used - begin) != nullptr) {
    while (buffer[used - 1] == '0') --used;
    if (buffer[used - 1] == '.') --used;
  }
  if (scientific) {
    buffer[used++] = 'e';
    buffer[used++] = exponent < 0 ? '-' : '+';
    const unsigned size = static_cast<unsigned>(exponent < 0 ? -exponent : exponent);
    if (size < 10) buffer[used++] = '0';
    char number[8];
    char* const end = number + sizeof number;
    for (const char* at = digits(size, 10, end); at < end; ++at) buffer[used++] = *at;
  }
  text.put(buffer, used, field.width, field.left);
}

}  // namespace

extern "C" int vsnprintf(char* to, size_t bytes, const char* format, va_list arguments) {
  Text text(to, bytes);
  for (const char* at = format; *at != '\0'; ++at) {
    if (*at != '%') {
      text.put(*at);
      continue;
    }
    Field field;
    for (++at; *at == '-' || *at == '0'; ++at) (*at == '-' ? field.left : field.zero) = true;
    const auto number = [&] {
      if (*at == '*') {
        ++at;
        return va_arg(arguments, int);
      }
      int value = 0;
      for (; *at >= '0' && *at <= '9'; ++at) value = value * 10 + (*at - '0');
      return value;
    };
    field.width = number();
    if (*at == '.') {
      ++at;
      field.precision = number();
    }
    bool longer = false;
    for (; *at == 'l' || *at == 'h' || *at == 'z' || *at == 'j' || *at == 't'; ++at)
      longer = longer || *at == 'j' || (*at == 'l' && at[-1] == 'l');
    switch (*at) {
      case 'd':
      case 'i': {
        const int64_t value = longer ? va_arg(arguments, int64_t) : int64_t{va_arg(arguments, int)};
        put_integer(text, field, value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value), value < 0,
                    10);
        break;
      }
      case 'u':
      case 'x':
        put_integer(text, field, longer ? va_arg(arguments, uint64_t) : uint64_t{va_arg(arguments, unsigned)}, false,
                    *at == 'u' ? 10 : 16);
        break;
      case 'p':
        put_integer(text, field, reinterpret_cast<uintptr_t>(va_arg(arguments, void*)), false, 16);
        break;
      case 'c': {
        const char c = static_cast<char>(va_arg(arguments, int));
        text.put(&c, 1, field.width, field.left);
        break;
      }
      case 's': {
        const char* from = va_arg(arguments, const char*);
        if (from == nullptr) from = "(null)";
        size_t length = 0;
        while ((field.precision < 0 || length < static_cast<size_t>(field.precision)) && from[length] != '\0') ++length;
        text.put(from, length, field.width, field.left);
        break;
      }
      case 'f':
      case 'e':
      case 'g':
        put_real(text, field, va_arg(arguments, double), *at);
        break;
      default:
        text.put(*at);
        break;
    }
    if (*at == '\0') break;
  }
  return text.finish();
}

extern "C" int snprintf(char* to, size_t bytes, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int written = vsnprintf(to, bytes, format, arguments);
  va_end(arguments);
  return written;
}
