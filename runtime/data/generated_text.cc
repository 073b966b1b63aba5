#include "runtime/data/generated_text.h"

#include <array>
#include <string>

#include "runtime/base/rng.h"
#include "runtime/data/text_windows.h"

namespace runnel::data {
namespace {

enum class Draw : uint64_t { kStyle = 0x746578740001, kWords };
constexpr uint64_t kTestSeed = 0x74657874;
constexpr uint32_t kTestWriters = 8;

using Words = std::array<std::string_view, 8>;
constexpr Words kMachines = {"the pump",   "the north valve", "a small motor", "the gearbox",
                             "our boiler", "the old fan",     "line seven",    "the reserve tank"};
constexpr Words kVerbs = {"runs", "stops", "reports", "warms up", "waits", "vibrates", "is checked", "needs oil"};
constexpr Words kTimes = {"at dawn",    "every hour", "since noon", "again",
                          "for a week", "today",      "at night",   "in winter"};
constexpr Words kJoins = {", and ", ", but ", "; then ", " while ", " because ", " before ", " until ", " after "};
constexpr std::array<std::string_view, 10> kDigits = {"zero", "one", "two",   "three", "four",
                                                      "five", "six", "seven", "eight", "nine"};

class Writer {
 public:
  explicit Writer(Rng style) : spells_numbers_(style.below(2) == 0), joins_in_ten_(1 + style.below(6)) {
    for (size_t& favourite : favourites_) favourite = static_cast<size_t>(style.below(8));
  }

  std::string write(size_t bytes, Rng& rng) const {
    std::string text;
    while (text.size() < bytes) {
      clause(text, rng);
      while (rng.below(10) < joins_in_ten_) {
        text += pick(kJoins, 3, rng);
        clause(text, rng);
      }
      text += ".\n";
    }
    return text;
  }

 private:
  // A favourite in every second place.
  std::string_view pick(const Words& words, size_t kind, Rng& rng) const {
    const bool favourite = rng.below(2) == 0;
    return words[favourite ? favourites_[kind] : static_cast<size_t>(rng.below(8))];
  }

  void clause(std::string& text, Rng& rng) const {
    text += pick(kMachines, 0, rng);
    text += ' ';
    text += pick(kVerbs, 1, rng);
    if (rng.below(3) == 0) {
      const auto digit = static_cast<size_t>(rng.below(10));
      text += spells_numbers_ ? " " + std::string(kDigits[digit]) : " " + std::to_string(digit) + "0";
      text += " degrees";
    }
    text += ' ';
    text += pick(kTimes, 2, rng);
  }

  bool spells_numbers_;
  uint64_t joins_in_ten_;
  std::array<size_t, 4> favourites_{};
};

std::string_view exactly(const std::string& text, uint32_t examples) {
  return std::string_view(text).substr(0, size_t{examples} * kGeneratedTextWindow + 1);
}

}  // namespace

Dataset generate_text_part(uint32_t examples, uint32_t device, uint64_t seed) {
  const Writer writer(Rng(derive_key(seed, static_cast<uint64_t>(Draw::kStyle), device)));
  Rng rng(derive_key(seed, static_cast<uint64_t>(Draw::kWords), device));
  const auto count = static_cast<uint32_t>(examples / 2 + rng.below(uint64_t{examples} + 1));
  const std::string text = writer.write(size_t{count} * kGeneratedTextWindow + 1, rng);
  const std::array<std::string_view, 1> texts = {exactly(text, count)};
  return text_windows(texts, kGeneratedTextWindow);
}

Dataset generate_text_test_set(uint32_t examples) {
  std::string text;
  for (uint32_t i = 0; i < kTestWriters; ++i) {
    const Writer writer(Rng(derive_key(kTestSeed, static_cast<uint64_t>(Draw::kStyle), i)));
    Rng rng(derive_key(kTestSeed, static_cast<uint64_t>(Draw::kWords), i));
    text += writer.write(size_t{examples} * kGeneratedTextWindow / kTestWriters + kGeneratedTextWindow, rng);
  }
  const std::array<std::string_view, 1> texts = {exactly(text, examples)};
  return text_windows(texts, kGeneratedTextWindow);
}

}  // namespace runnel::data
