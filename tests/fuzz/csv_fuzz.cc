// Any bytes parse to finite rows of one width or to an error with words, and the same ones in whatever pieces they
// arrive.
//
// Input: u8 piece length less one, then the CSV text.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime/data/csv_parser.h"
#include "runtime/data/dataset.h"

namespace {

using runnel::ByteView;
using runnel::Error;
using runnel::Failure;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "csv_fuzz: %s\n", what);
  std::abort();
}

class Checker final : public runnel::data::CsvRowSink {
 public:
  Failure handle_row(const runnel::data::CsvRow& row) override {
    require(!row.values.empty(), "a row without values");
    require(rows == 0 || row.values.size() == width, "a ragged row");
    require(row.label <= runnel::data::kLabelMax, "a label beyond the limit");
    for (const float value : row.values) {
      require(std::isfinite(value), "a value that is not finite");
      flat.push_back(value);
    }
    flat.push_back(static_cast<float>(row.label));
    width = row.values.size();
    ++rows;
    return Error::kOk;
  }
  std::vector<float> flat;
  size_t width = 0;
  size_t rows = 0;
};

Failure parse(ByteView text, size_t piece_bytes, Checker& checker) {
  runnel::data::CsvParser parser;
  while (!text.empty()) {
    const ByteView piece = text.first(std::min(piece_bytes, text.size()));
    RUNNEL_TRY(parser.feed(piece, checker));
    text = text.subspan(piece.size());
  }
  return parser.finish(checker);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteView text(data + 1, size - 1);
  Checker whole;
  Checker pieces;
  const Failure whole_failure = parse(text, SIZE_MAX, whole);
  const Failure pieces_failure = parse(text, size_t{data[0]} + 1, pieces);
  require(whole_failure.ok() || whole_failure.text()[0] != '\0', "an error without words");
  require(whole_failure.error() == pieces_failure.error(), "a result that depends on the pieces");
  require(std::strcmp(whole_failure.text(), pieces_failure.text()) == 0, "a message that depends on the pieces");
  require(whole.flat == pieces.flat, "rows that depend on the pieces");
  require(!whole_failure.ok() || whole.rows > 0, "success without a row");
  return 0;
}
