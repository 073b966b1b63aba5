// Where the libraries end up when they cannot go on. The C++ library's own versions throw, which would bring the
// unwinder into a program without exceptions.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "device/port/bare/board.h"
#include "runtime/base/error.h"

namespace runnel {

void assertion_failed(const char* expression, const char* file, int line) {
  char text[160];
  std::snprintf(text, sizeof text, "broken invariant: %s (%s:%d)", expression, file, line);
  port::board_stop(text);
}

}  // namespace runnel

namespace std {

// What containers call, as <bits/functexcept.h> declares it.
void __throw_bad_alloc() {
  runnel::port::board_stop("out of memory");
}
void __throw_bad_array_new_length() {
  runnel::port::board_stop("out of memory");
}
void __throw_length_error(const char* what) {
  runnel::port::board_stop(what);
}
void __throw_logic_error(const char* what) {
  runnel::port::board_stop(what);
}
void __throw_out_of_range(const char* what) {
  runnel::port::board_stop(what);
}
void __throw_out_of_range_fmt(const char* what, ...) {
  runnel::port::board_stop(what);
}
void __throw_bad_function_call() {
  runnel::port::board_stop("an empty function was called");
}

}  // namespace std

extern "C" {

void abort() {
  runnel::port::board_stop("abort");
}
void __cxa_pure_virtual() {
  runnel::port::board_stop("a pure virtual function was called");
}
void __assert_func(const char* file, int line, const char*, const char* expression) {
  runnel::assertion_failed(expression, file, line);
}
// A board's program does not end, so nothing is destroyed at its end.
int atexit(void (*)()) {
  return 0;
}
}
