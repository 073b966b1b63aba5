// gradient_dump: writes real gradients and updates as raw float32 files, for codec_bench --input and for other tools.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "bench/raw_file.h"
#include "bench/real_updates.h"

int main(int argc, char** argv) {
  CLI::App app("Trains a small federation and writes one device's gradient and updates as raw float32 files.");
  std::string data;
  std::string out = ".";
  app.add_option("--data", data, "folder of the IDX files, or its parent; without it the generated task is trained");
  app.add_option("--out", out, "folder to write to")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    std::filesystem::create_directories(out);
    for (const auto& [name, values] : runnel::bench::real_updates(data)) {
      const std::filesystem::path path = std::filesystem::path(out) / (name + ".f32");
      runnel::bench::write_raw_file(path, values);
      std::printf("%s: %zu values\n", path.c_str(), values.size());
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gradient_dump: %s\n", error.what());
    return 1;
  }
  return 0;
}
