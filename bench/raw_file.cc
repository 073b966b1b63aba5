#include "bench/raw_file.h"

#include <cmath>
#include <fstream>
#include <stdexcept>

namespace runnel::bench {

NamedValues read_raw_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) throw std::runtime_error(path.string() + ": cannot be read");
  const auto bytes = static_cast<size_t>(in.tellg());
  if (bytes == 0 || bytes % sizeof(float) != 0) {
    throw std::runtime_error(path.string() + ": " + std::to_string(bytes) + " bytes are no vector of float32");
  }
  NamedValues read{path.stem().string(), std::vector<float>(bytes / sizeof(float))};
  in.seekg(0);
  in.read(reinterpret_cast<char*>(read.values.data()), static_cast<std::streamsize>(bytes));
  if (!in) throw std::runtime_error(path.string() + ": cannot be read");
  for (size_t i = 0; i < read.values.size(); ++i) {
    if (!std::isfinite(read.values[i])) {
      throw std::runtime_error(path.string() + ": value " + std::to_string(i) + " is not finite");
    }
  }
  return read;
}

void write_raw_file(const std::filesystem::path& path, std::span<const float> values) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
  out.close();
  if (!out) throw std::runtime_error(path.string() + ": cannot be written");
}

}  // namespace runnel::bench
