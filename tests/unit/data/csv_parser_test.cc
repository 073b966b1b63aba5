#include "runtime/data/csv_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runnel::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

using Row = std::pair<std::vector<float>, uint32_t>;

class Rows final : public CsvRowSink {
 public:
  Failure handle_row(const CsvRow& row) override {
    rows.emplace_back(std::vector<float>(row.values.begin(), row.values.end()), row.label);
    lines.push_back(row.line);
    return Error::kOk;
  }
  std::vector<Row> rows;
  std::vector<uint64_t> lines;
};

Failure parse(std::string_view text, Rows& rows, size_t piece_bytes = SIZE_MAX) {
  CsvParser parser;
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, piece_bytes);
    RUNNEL_TRY(parser.feed({reinterpret_cast<const uint8_t*>(piece.data()), piece.size()}, rows));
    text.remove_prefix(piece.size());
  }
  return parser.finish(rows);
}

Failure parse_failure(std::string_view text) {
  Rows rows;
  return parse(text, rows);
}

TEST(CsvParser, ReadsNumbersAndLabels) {
  Rows rows;
  const Failure failure = parse("1, -2.5,\t3e2 ,0\n+.5,1e-50,7,65535\n", rows);
  ASSERT_TRUE(failure.ok()) << failure.text();
  EXPECT_THAT(rows.rows,
              ElementsAre(Pair(ElementsAre(1.0F, -2.5F, 300.0F), 0), Pair(ElementsAre(0.5F, 0.0F, 7.0F), 65535)));
}

TEST(CsvParser, ReadsTargetsInsteadOfALabel) {
  class Targets final : public CsvRowSink {
   public:
    Failure handle_row(const CsvRow& row) override {
      values.assign(row.values.begin(), row.values.end());
      targets.assign(row.targets.begin(), row.targets.end());
      return Error::kOk;
    }
    std::vector<float> values;
    std::vector<float> targets;
  } sink;
  constexpr std::string_view kText = "a,b,c\n1,-2.5,1e3\n";
  CsvParser parser(2);
  ASSERT_TRUE(parser.feed({reinterpret_cast<const uint8_t*>(kText.data()), kText.size()}, sink).ok());
  ASSERT_TRUE(parser.finish(sink).ok());
  EXPECT_THAT(sink.values, ElementsAre(1.0F));
  EXPECT_THAT(sink.targets, ElementsAre(-2.5F, 1000.0F));
  constexpr std::string_view kThin = "1,2\n";
  CsvParser thin(2);
  EXPECT_EQ(thin.feed({reinterpret_cast<const uint8_t*>(kThin.data()), kThin.size()}, sink).error(), Error::kShape);
}

TEST(CsvParser, AcceptsWhatSpreadsheetsWrite) {
  Rows rows;
  const Failure failure = parse("\xEF\xBB\xBFheight,weight,class\r\n1,2,3.0\r\n\r\n4,5,6", rows);
  ASSERT_TRUE(failure.ok()) << failure.text();
  EXPECT_THAT(rows.rows, ElementsAre(Pair(ElementsAre(1.0F, 2.0F), 3), Pair(ElementsAre(4.0F, 5.0F), 6)));
  EXPECT_THAT(rows.lines, ElementsAre(2, 4));
}

TEST(CsvParser, TakesAHeaderOfNumberedColumns) {
  Rows rows;
  ASSERT_TRUE(parse("0,1,label\n5,6,1\n", rows).ok());
  EXPECT_THAT(rows.rows, ElementsAre(Pair(ElementsAre(5.0F, 6.0F), 1)));
}

TEST(CsvParser, DoesNotDependOnHowTheBytesArriveInPieces) {
  const std::string text = "a,b,c\r\n1,2,3\n\n44,55,66\r\n7,8,9";
  Rows whole;
  ASSERT_TRUE(parse(text, whole).ok());
  ASSERT_EQ(whole.rows.size(), 3U);
  for (size_t piece_bytes = 1; piece_bytes < text.size(); ++piece_bytes) {
    Rows pieces;
    ASSERT_TRUE(parse(text, pieces, piece_bytes).ok());
    EXPECT_EQ(pieces.rows, whole.rows) << piece_bytes;
    EXPECT_EQ(pieces.lines, whole.lines) << piece_bytes;
  }
}

TEST(CsvParser, NamesTheFieldThatIsNoNumber) {
  const Failure word = parse_failure("1,2,3\n4,x\x1b[31m,6\n");
  EXPECT_EQ(word.error(), Error::kMalformed);
  EXPECT_STREQ(word.text(), "line 2: column 2: \"x?[31m\" is not a number");
  EXPECT_THAT(parse_failure("1,,3\n").text(), HasSubstr("line 1: column 2: \"\" is not a number"));
  EXPECT_EQ(parse_failure("1,2 3,3\n").error(), Error::kMalformed);
  EXPECT_EQ(parse_failure("1,+-2,3\n").error(), Error::kMalformed);
}

TEST(CsvParser, NamesValuesThatAreNotFinite) {
  for (const char* text : {"0,0,1\n1,nan,0\n", "0,0,1\n1,-inf,0\n", "0,0,1\n1,1e39,0\n", "0,0,1\n1,1e999,0\n"}) {
    const Failure failure = parse_failure(text);
    EXPECT_EQ(failure.error(), Error::kNotFinite) << text;
    EXPECT_THAT(failure.text(), HasSubstr("line 2: column 2"));
  }
}

TEST(CsvParser, NamesRaggedLines) {
  const Failure failure = parse_failure("1,2,3\n4,5,6\n7,8\n");
  EXPECT_EQ(failure.error(), Error::kShape);
  EXPECT_STREQ(failure.text(), "line 3: 2 columns where the rows before have 3");
  EXPECT_EQ(parse_failure("1,2,3\n4,5,6,7\n").error(), Error::kShape);
  EXPECT_EQ(parse_failure("1\n2\n").error(), Error::kShape) << "a label alone is no example";
}

TEST(CsvParser, RefusesLabelsThatAreNotClasses) {
  for (const char* text : {"1,2,0\n1,2,0.5\n", "1,2,0\n1,2,-1\n", "1,2,0\n1,2,65536\n", "1,2,0\n1,2,1e30\n"}) {
    const Failure failure = parse_failure(text);
    EXPECT_EQ(failure.error(), Error::kOutOfRange) << text;
    EXPECT_THAT(failure.text(), HasSubstr("line 2: column 3: the label"));
  }
}

TEST(CsvParser, RefusesFilesWithoutARow) {
  EXPECT_STREQ(parse_failure("").text(), "the file is empty");
  EXPECT_EQ(parse_failure("").error(), Error::kNotFound);
  EXPECT_EQ(parse_failure("\n \n").error(), Error::kNotFound);
  EXPECT_EQ(parse_failure("a,b\n").error(), Error::kNotFound);
}

TEST(CsvParser, RefusesEndlessLinesAndColumns) {
  EXPECT_EQ(parse_failure(std::string(kCsvLineBytesMax + 1, ' ')).error(), Error::kLimit);
  std::string wide = "1";
  for (size_t i = 0; i < (1U << 20) + 1; ++i) wide += ",1";
  EXPECT_EQ(parse_failure(wide).error(), Error::kLimit);
}

TEST(CsvParser, StopsWithTheSinksFailure) {
  class Refusing final : public CsvRowSink {
   public:
    Failure handle_row(const CsvRow&) override { return fail(Error::kNoMemory, "no room"); }
  } sink;
  CsvParser parser;
  const std::string_view text = "1,2\n3,4\n";
  const Failure failure = parser.feed({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, sink);
  EXPECT_EQ(failure.error(), Error::kNoMemory);
  EXPECT_STREQ(failure.text(), "line 1: no room");
}

}  // namespace
}  // namespace runnel::data
