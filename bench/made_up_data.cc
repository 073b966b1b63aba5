#include "bench/made_up_data.h"

#include <cmath>

#include "runtime/base/rng.h"

namespace runnel::bench {
namespace {

constexpr uint64_t kSeed = 20240701;

double draw(size_t distribution, Rng& rng) {
  switch (distribution) {
    case 0:
      return rng.normal();
    case 1: {
      const double u = rng.uniform() - 0.5;
      return std::copysign(std::log1p(-2.0 * std::abs(u)), u);
    }
    case 2: {
      const double magnitude = std::exp(rng.normal());
      return (rng.next_u64() >> 63) != 0 ? -magnitude : magnitude;
    }
    default: {
      double squares = 0.0;
      for (int i = 0; i < 3; ++i) {
        const double x = rng.normal();
        squares += x * x;
      }
      return rng.normal() / std::sqrt(squares / 3.0);
    }
  }
}

}  // namespace

const std::vector<std::string>& made_up_names() {
  static const std::vector<std::string> names = {"gaussian", "laplace", "lognormal", "student_t3"};
  return names;
}

NamedValues make_up(const std::string& name, size_t count) {
  size_t distribution = 0;
  while (made_up_names().at(distribution) != name) ++distribution;
  Rng rng(derive_key(kSeed, distribution));
  NamedValues made{name, std::vector<float>(count)};
  for (float& value : made.values) value = static_cast<float>(draw(distribution, rng));
  return made;
}

}  // namespace runnel::bench
