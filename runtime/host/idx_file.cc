#include "runtime/host/idx_file.h"

#include <algorithm>
#include <array>
#include <utility>

namespace runnel::host {

using data::ElementType;
using data::IdxHeader;

Result<IdxFile> IdxFile::open(const std::string& path) {
  Result<GzipFile> file = GzipFile::open(path);
  if (!file.ok()) return file.failure();

  std::array<uint8_t, data::kIdxHeaderBytesMax> bytes{};
  const MutableByteView prefix(bytes.data(), data::kIdxPrefixBytes);
  const Result<size_t> prefix_read = file->read(prefix);
  if (!prefix_read.ok()) return prefix_read.failure();
  if (*prefix_read == 0) return fail(Error::kTruncated, "%s: the file is empty", path.c_str());
  const Result<size_t> header_bytes = data::idx_header_bytes(prefix.first(*prefix_read));
  if (!header_bytes.ok()) return Failure(header_bytes.failure()).prefix("%s", path.c_str());

  const MutableByteView rest(bytes.data() + data::kIdxPrefixBytes, *header_bytes - data::kIdxPrefixBytes);
  const Result<size_t> rest_read = file->read(rest);
  if (!rest_read.ok()) return rest_read.failure();
  const Result<IdxHeader> header = data::parse_idx_header(ByteView(bytes).first(data::kIdxPrefixBytes + *rest_read));
  if (!header.ok()) return Failure(header.failure()).prefix("%s", path.c_str());
  return IdxFile(std::move(file).value(), *header);
}

Failure IdxFile::read_rows(MutableByteView rows) {
  const Result<size_t> read = file_.read(rows);
  if (!read.ok()) return read.failure();
  if (*read < rows.size()) {
    const unsigned long long row = rows_read_ + *read / header_.row_bytes();
    return fail(Error::kTruncated, "%s: the file stops in row %llu of %u", path().c_str(), row, header_.rows());
  }
  rows_read_ += rows.size() / header_.row_bytes();
  data::idx_to_native(header_.type, rows);
  return Error::kOk;
}

Failure IdxFile::expect_end() {
  uint8_t byte = 0;
  const Result<size_t> read = file_.read({&byte, 1});
  if (!read.ok()) return read.failure();
  if (*read == 0) return Error::kOk;
  return fail(Error::kMalformed, "%s: more bytes follow after the last of its %u rows", path().c_str(), header_.rows());
}

Failure for_each_idx_integer(const std::string& path, const char* what,
                             const std::function<Failure(uint32_t rows)>& begin,
                             const std::function<Failure(int32_t value)>& take) {
  Result<IdxFile> file = IdxFile::open(path);
  if (!file.ok()) return file.failure();
  const IdxHeader& header = file->header();
  if (header.dimensions.size() != 1) {
    return fail(Error::kShape, "%s: %zu dimensions where %s have one", path.c_str(), header.dimensions.size(), what);
  }
  if (header.type != ElementType::kU8 && header.type != ElementType::kI32) {
    return fail(Error::kUnsupported, "%s: elements of type %s where %s are u8 or i32", path.c_str(),
                data::element_name(header.type), what);
  }
  Failure failure = begin(header.rows());
  if (!failure.ok()) return failure.prefix("%s", path.c_str());

  std::array<uint8_t, 4096> piece;
  const size_t bytes = header.row_bytes();
  for (uint32_t row = 0; row < header.rows();) {
    const size_t rows = std::min<size_t>(header.rows() - row, piece.size() / bytes);
    RUNNEL_TRY(file->read_rows({piece.data(), rows * bytes}));
    for (size_t i = 0; i < rows; ++i, ++row) {
      failure = take(header.type == ElementType::kU8 ? piece[i] : load_le<int32_t>(piece.data() + i * bytes));
      if (!failure.ok()) return failure.prefix("%s: row %u", path.c_str(), row);
    }
  }
  return file->expect_end();
}

}  // namespace runnel::host
