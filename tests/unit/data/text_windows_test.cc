#include "runtime/data/text_windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "runtime/data/generated_text.h"

namespace runnel::data {
namespace {

using ::testing::ElementsAre;

std::string input_text(const Dataset& dataset, uint32_t row) {
  std::vector<float> input(dataset.input_count());
  dataset.read(row, input, {});
  std::string text;
  for (const float symbol : input) text += character_of(static_cast<uint32_t>(symbol));
  return text;
}

std::string target_text(const Dataset& dataset, uint32_t row) {
  std::vector<float> input(dataset.input_count());
  std::vector<float> target(dataset.target_count());
  dataset.read(row, input, target);
  std::string text;
  for (const float symbol : target) text += character_of(static_cast<uint32_t>(symbol));
  return text;
}

TEST(TextWindows, EveryPrintableCharacterHasItsSymbol) {
  for (char character = ' '; character <= '~'; ++character) {
    EXPECT_LT(symbol_of(character), kTextSymbols - 1);
    EXPECT_EQ(character_of(symbol_of(character)), character);
  }
  EXPECT_EQ(symbol_of('\n'), kTextSymbols - 1);
  EXPECT_EQ(symbol_of('\xE4'), kTextSymbols - 1);
  EXPECT_EQ(character_of(symbol_of('\n')), '\n');
}

TEST(TextWindows, TheTargetIsTheNextCharacter) {
  const std::array<std::string_view, 3> texts = {"abcdefghi", "xyz", "12345"};
  const Dataset windows = text_windows(texts, 4);
  EXPECT_EQ(windows.class_count(), kTextSymbols);
  EXPECT_EQ(windows.target_count(), 4U);
  ASSERT_EQ(windows.example_count(), 3U);
  EXPECT_EQ(count_text_windows(texts, 4), 3U);
  EXPECT_EQ(input_text(windows, 0), "abcd");
  EXPECT_EQ(target_text(windows, 0), "bcde");
  EXPECT_EQ(input_text(windows, 1), "efgh");
  EXPECT_EQ(target_text(windows, 1), "fghi");
  EXPECT_EQ(target_text(windows, 2), "2345");
  const std::array<uint32_t, 2> rows = {0, 2};
  const Dataset some = text_windows(texts, 4, rows);
  ASSERT_EQ(some.example_count(), 2U);
  EXPECT_EQ(input_text(some, 1), "1234");
}

TEST(TextWindows, SpeakersOfAPlay) {
  const std::vector<Speaker> speakers = split_speakers(
      "ANNA:\r\nYes.\n\nBEN:\nNo, no, no.\nNever.\n\n\nAn empty stage.\nNobody:\n\nCATO:\nYes!\n\nANNA:\nOh.");
  ASSERT_EQ(speakers.size(), 3U);
  EXPECT_EQ(speakers[0].name, "BEN");
  EXPECT_EQ(speakers[0].text, "No, no, no.\nNever.\n");
  EXPECT_EQ(speakers[1].name, "ANNA");
  EXPECT_EQ(speakers[1].text, "Yes.\nOh.\n");
  EXPECT_EQ(speakers[2].name, "CATO");
  EXPECT_TRUE(split_speakers("").empty());
  EXPECT_TRUE(split_speakers("nobody says this\n").empty());
}

TEST(TextWindows, TheLastTenthIsForTesting) {
  const std::string text(105, 'a');
  EXPECT_EQ(training_text(text).size(), 95U);
  EXPECT_EQ(test_text(text).size(), 10U);
  EXPECT_EQ(test_text("abc").size(), 0U);
}

TEST(GeneratedText, IsADevicesOwnAndReproducible) {
  const Dataset first = generate_text_part(40, 3, 7);
  EXPECT_EQ(first.input_count(), kGeneratedTextWindow);
  EXPECT_GE(first.example_count(), 20U);
  EXPECT_LE(first.example_count(), 60U);
  EXPECT_EQ(input_text(first, 5), input_text(generate_text_part(40, 3, 7), 5));
  EXPECT_NE(input_text(first, 5), input_text(generate_text_part(40, 4, 7), 5));
  EXPECT_NE(input_text(first, 5), input_text(generate_text_part(40, 3, 8), 5));
  EXPECT_EQ(generate_text_test_set(30).example_count(), 30U);
  EXPECT_EQ(target_text(first, 0).substr(0, 63), input_text(first, 0).substr(1));
}

}  // namespace
}  // namespace runnel::data
