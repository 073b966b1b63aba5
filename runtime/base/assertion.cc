// Where a program with an operating system ends when an invariant is broken; a board brings its own (device/port).
#include <cstdio>
#include <cstdlib>

#include "runtime/base/error.h"

namespace runnel {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "runnel: broken invariant: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace runnel
