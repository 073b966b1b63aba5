#include "runtime/data/text_windows.h"

#include <algorithm>
#include <map>

namespace runnel::data {
namespace {

constexpr char kFirstPrintable = ' ';
constexpr char kLastPrintable = '~';

size_t training_bytes(size_t bytes) {
  return bytes - bytes / 10;
}

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

uint8_t symbol_of(char character) {
  if (character < kFirstPrintable || character > kLastPrintable) return kTextSymbols - 1;
  return static_cast<uint8_t>(character - kFirstPrintable);
}

char character_of(uint32_t symbol) {
  return symbol >= kTextSymbols - 1 ? '\n' : static_cast<char>(kFirstPrintable + static_cast<char>(symbol));
}

std::vector<Speaker> split_speakers(std::string_view text) {
  std::map<std::string, std::string, std::less<>> said;
  std::string* current = nullptr;
  bool block_begins = true;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.empty()) {
      block_begins = true;
      current = nullptr;
    } else if (block_begins) {
      block_begins = false;
      if (line.size() > 1 && line.ends_with(':')) current = &said[std::string(line.substr(0, line.size() - 1))];
    } else if (current != nullptr) {
      current->append(line).push_back('\n');
    }
  }
  std::vector<Speaker> speakers;
  for (auto& [name, words] : said) speakers.push_back({name, std::move(words)});
  std::stable_sort(speakers.begin(), speakers.end(),
                   [](const Speaker& a, const Speaker& b) { return a.text.size() > b.text.size(); });
  return speakers;
}

std::string_view training_text(std::string_view text) {
  return text.substr(0, training_bytes(text.size()));
}

std::string_view test_text(std::string_view text) {
  return text.substr(training_bytes(text.size()));
}

uint32_t count_text_windows(std::span<const std::string_view> texts, uint32_t window) {
  size_t count = 0;
  for (const std::string_view text : texts) count += text.empty() ? 0 : (text.size() - 1) / window;
  return static_cast<uint32_t>(count);
}

Dataset text_windows(std::span<const std::string_view> texts, uint32_t window, std::span<const uint32_t> rows) {
  RUNNEL_ASSERT(window > 0);
  Dataset dataset(ElementType::kU8, window, kTextSymbols, 1.0F, window);
  dataset.reserve(rows.empty() ? count_text_windows(texts, window) : static_cast<uint32_t>(rows.size()));
  std::vector<uint8_t> input(window);
  std::vector<float> target(window);
  size_t row = 0;
  size_t next = 0;
  for (const std::string_view text : texts) {
    for (size_t begin = 0; begin + window < text.size(); begin += window, ++row) {
      if (!rows.empty() && (next == rows.size() || rows[next] != row)) continue;
      ++next;
      for (size_t i = 0; i < window; ++i) {
        input[i] = symbol_of(text[begin + i]);
        target[i] = symbol_of(text[begin + i + 1]);
      }
      RUNNEL_ASSERT(dataset.append(input, target).ok());
    }
  }
  return dataset;
}

}  // namespace runnel::data
