// An IDX file read row by row: the header is checked when it is opened, rows arrive in the processor's byte order.
//
// Memory: GzipFile's. The caller brings the row.
// Trust: the bytes are anybody's. Every Failure names the file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "runtime/base/bytes.h"
#include "runtime/base/result.h"
#include "runtime/data/idx_header.h"
#include "runtime/host/gzip_file.h"

namespace runnel::host {

class IdxFile {
 public:
  static Result<IdxFile> open(const std::string& path);

  const data::IdxHeader& header() const { return header_; }
  const std::string& path() const { return file_.path(); }

  // Reads the next `row.size() / header().row_bytes()` rows. kTruncated names the row at which the file stops.
  // REQUIRES: whole rows, and no more than are left.
  Failure read_rows(MutableByteView rows);

  // kMalformed when anything follows the last row. Also makes zlib check the stream's checksum. REQUIRES: all rows
  // read.
  Failure expect_end();

 private:
  IdxFile(GzipFile file, const data::IdxHeader& header) : file_(std::move(file)), header_(header) {}

  GzipFile file_;
  data::IdxHeader header_;
  uint64_t rows_read_ = 0;
};

// Calls `take` with every value of an IDX file of one dimension and u8 or i32 elements (labels, keys, a split), in
// order, until it fails; its failure then gets the file and the row in front. `begin` learns the number of rows first.
// `what` stands in messages: "labels".
Failure for_each_idx_integer(const std::string& path, const char* what,
                             const std::function<Failure(uint32_t rows)>& begin,
                             const std::function<Failure(int32_t value)>& take);

}  // namespace runnel::host
