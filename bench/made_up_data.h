// Vectors of independent draws: what the papers measure on, and two tails that they mostly leave out.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "bench/named_values.h"

namespace runnel::bench {

// "gaussian" (N(0,1)), "laplace" (scale 1), "lognormal" (exp of N(0,1) with a random sign), "student_t3".
const std::vector<std::string>& made_up_names();

// `count` draws, the same in every run. REQUIRES: `name` is one of made_up_names().
NamedValues make_up(const std::string& name, size_t count);

}  // namespace runnel::bench
