// Runs a fuzz target without a fuzzer: every file below the given folders, then a fixed set of mutations of each.
//
// Usage: <target> FOLDER_OR_FILE...   Exit status 1 when there was no input to run: a lost corpus must not look like
// success. The mutations depend on the file's place in the sorted list and on a fixed seed alone, so a failure repeats.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/base/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kSeed = 0x72756E6E656CULL;
constexpr unsigned kMutationsPerFile = 3000;
constexpr size_t kGrowthMax = 64;  // bytes that one mutation may add

std::vector<std::filesystem::path> list_files(int count, char** arguments) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < count; ++i) {
    const std::filesystem::path path = arguments[i];
    if (std::filesystem::is_regular_file(path)) files.push_back(path);
    if (!std::filesystem::is_directory(path)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

Bytes read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void run(const Bytes& input) {
  // An exact copy on the heap: a sanitizer then sees a read one byte past the end.
  const Bytes exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void flip_bits(Bytes& input, runnel::Rng& rng) {
  for (uint64_t flips = 1 + rng.below(4); flips > 0 && !input.empty(); --flips) {
    const uint64_t bit = rng.below(input.size() * 8);
    input[bit / 8] = static_cast<uint8_t>(input[bit / 8] ^ (1U << (bit % 8)));
  }
}

void overwrite(Bytes& input, runnel::Rng& rng) {
  static constexpr uint8_t kEdges[] = {0x00, 0x01, 0x7F, 0x80, 0xFF};
  for (uint64_t writes = 1 + rng.below(8); writes > 0 && !input.empty(); --writes) {
    const uint64_t at = rng.below(input.size());
    input[at] = rng.below(2) == 0 ? kEdges[rng.below(std::size(kEdges))] : static_cast<uint8_t>(rng.next_u64());
  }
}

void truncate(Bytes& input, runnel::Rng& rng) {
  if (!input.empty()) input.resize(rng.below(input.size()));
}

void append(Bytes& input, runnel::Rng& rng) {
  for (uint64_t count = 1 + rng.below(kGrowthMax); count > 0; --count) {
    input.push_back(static_cast<uint8_t>(rng.next_u64()));
  }
}

// The head of one input and the tail of another.
void splice(Bytes& input, const Bytes& other, runnel::Rng& rng) {
  truncate(input, rng);
  if (other.empty()) return;
  const auto from = static_cast<std::ptrdiff_t>(rng.below(other.size()));
  input.insert(input.end(), other.begin() + from, other.end());
}

void remove_range(Bytes& input, runnel::Rng& rng) {
  if (input.empty()) return;
  const uint64_t from = rng.below(input.size());
  const uint64_t count = 1 + rng.below(std::min<uint64_t>(input.size() - from, 16));
  input.erase(input.begin() + static_cast<std::ptrdiff_t>(from),
              input.begin() + static_cast<std::ptrdiff_t>(from + count));
}

Bytes mutate(Bytes input, const Bytes& other, runnel::Rng& rng) {
  for (uint64_t steps = 1 + rng.below(2); steps > 0; --steps) {
    switch (rng.below(6)) {
      case 0:
        truncate(input, rng);
        break;
      case 1:
        append(input, rng);
        break;
      case 2:
        splice(input, other, rng);
        break;
      case 3:
        overwrite(input, rng);
        break;
      case 4:
        remove_range(input, rng);
        break;
      default:
        flip_bits(input, rng);
        break;
    }
  }
  return input;
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<Bytes> corpus;
  for (const auto& path : list_files(count, arguments)) corpus.push_back(read(path));
  uint64_t inputs = 0;
  for (const Bytes& input : corpus) {
    run(input);
    ++inputs;
  }
  for (size_t i = 0; i < corpus.size(); ++i) {
    runnel::Rng rng(runnel::derive_key(kSeed, i));
    for (unsigned k = 0; k < kMutationsPerFile; ++k) {
      run(mutate(corpus[i], corpus[rng.below(corpus.size())], rng));
      ++inputs;
    }
  }
  std::printf("%zu corpus files, %llu inputs run\n", corpus.size(), static_cast<unsigned long long>(inputs));
  return corpus.empty() ? 1 : 0;
}
