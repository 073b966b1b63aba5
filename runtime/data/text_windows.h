// Text as examples: windows of T characters, and at each position the character that follows.
//
// The alphabet is fixed, so that every device numbers alike without having seen the others' text: the 95 printable
// characters of ASCII, and one symbol for everything else (a new line, mostly). A play's text is split by speaker:
// blocks end at empty lines, and the first line of a block names who speaks ("MENENIUS:").
//
// Memory: a Dataset keeps 3 bytes a character (1 of the input, 2 of the label). Trust: the text is anybody's bytes; any
// is accepted.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/dataset.h"

namespace runnel::data {

inline constexpr uint32_t kTextSymbols = 96;

uint8_t symbol_of(char character);
char character_of(uint32_t symbol);  // a new line for the last one

struct Speaker {
  std::string name;
  std::string text;  // all that they say, in order; blocks end with a new line
};

// Who says most comes first; of equals, the first by name. A block without a name belongs to nobody and is left out.
std::vector<Speaker> split_speakers(std::string_view text);

// The first nine tenths are for training, the rest for testing.
std::string_view training_text(std::string_view text);
std::string_view test_text(std::string_view text);

// The windows of each text, one after another without overlap; what is left at its end is dropped. `rows`: only these
// windows, counted over all texts, ascending; empty: all. REQUIRES: window > 0.
Dataset text_windows(std::span<const std::string_view> texts, uint32_t window, std::span<const uint32_t> rows = {});

// How many windows that are.
uint32_t count_text_windows(std::span<const std::string_view> texts, uint32_t window);

}  // namespace runnel::data
