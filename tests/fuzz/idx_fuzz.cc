// Any bytes parse to an IDX header within the limits or to an error with words, and a row of any bytes turns into
// elements.
//
// Input: the front of an IDX file.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "runtime/data/dataset.h"
#include "runtime/data/idx_header.h"
#include "runtime/plan/model_spec.h"

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "idx_fuzz: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using runnel::Error;
  const runnel::ByteView bytes(data, size);
  const auto header = runnel::data::parse_idx_header(bytes);
  if (!header.ok()) {
    require(header.failure().text()[0] != '\0', "an error without words");
    return 0;
  }
  const auto header_bytes = runnel::data::idx_header_bytes(bytes);
  require(header_bytes.ok() && *header_bytes <= size, "a header longer than its bytes");
  require(header->rows() > 0 && header->row_values > 0, "an empty dimension");
  require(header->row_values <= runnel::plan::kDimensionMax, "a row beyond the limit");
  require(uint64_t{header->rows()} * header->row_values <= runnel::data::kIdxValuesMax, "a file beyond the limit");

  const runnel::ByteView payload = bytes.subspan(*header_bytes);
  if (payload.size() < header->row_bytes()) return 0;
  std::vector<uint8_t> row(payload.begin(), payload.begin() + static_cast<ptrdiff_t>(header->row_bytes()));
  runnel::data::idx_to_native(header->type, row);
  runnel::data::Dataset dataset(header->type, header->row_values, 1, 1.0F);
  const runnel::Failure appended = dataset.append(row, 0);
  require(appended.ok() || appended.error() == Error::kNotFinite, "a row that is neither taken nor infinite");
  require(dataset.example_count() == (appended.ok() ? 1U : 0U), "a refused row that was kept");
  return 0;
}
