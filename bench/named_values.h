// A vector to compress, and what to call it in a table.
#pragma once

#include <string>
#include <vector>

namespace runnel::bench {

struct NamedValues {
  std::string name;
  std::vector<float> values;
};

}  // namespace runnel::bench
