// A value, or the Failure that stands in its place.
#pragma once

#include <new>
#include <utility>

#include "runtime/base/error.h"

namespace runnel {

template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit, so that a function can return its value, a failure or a bare error.
  // NOLINTBEGIN(google-explicit-constructor)
  Result(T value) : failure_(Error::kOk) { ::new (&value_) T(std::move(value)); }
  Result(Failure failure) : failure_(failure) { RUNNEL_ASSERT(!failure.ok()); }
  Result(Error error) : Result(Failure(error)) {}
  // NOLINTEND(google-explicit-constructor)
  Result(Result&& other) noexcept : failure_(other.failure_) {
    if (ok()) ::new (&value_) T(std::move(other.value_));
  }
  Result& operator=(Result&&) = delete;
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  ~Result() {
    if (ok()) value_.~T();
  }

  bool ok() const { return failure_.ok(); }
  explicit operator bool() const { return ok(); }
  const Failure& failure() const { return failure_; }
  Error error() const { return failure_.error(); }

  // REQUIRES: ok().
  T& value() & { return RUNNEL_ASSERT(ok()), value_; }
  const T& value() const& { return RUNNEL_ASSERT(ok()), value_; }
  T&& value() && { return RUNNEL_ASSERT(ok()), std::move(value_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  Failure failure_;
  union {
    T value_;
  };
};

}  // namespace runnel

// Leaves the function with the failure of an expression that yields a Failure.
#define RUNNEL_TRY(expression)                                                                        \
  do {                                                                                                \
    if (::runnel::Failure runnel_failure = (expression); !runnel_failure.ok()) return runnel_failure; \
  } while (false)
