// Whole files: read with a limit, and replaced so that a power cut leaves the old bytes or the new ones and nothing
// between.
//
// Threads: any. Failures name the path and the system's reason.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/base/error.h"
#include "runtime/base/result.h"

namespace runnel::host {

// The file's bytes. kNotFound; kLimit when it has more than `bytes_max`; kIo, also for a folder.
Result<std::vector<uint8_t>> read_file(const std::string& path, uint64_t bytes_max);

// Creates or replaces `path`: a temporary file in the same folder, synced, renamed over it, and the folder synced.
// `mode` is the new file's, whatever the umask. kStorageFull, kNotFound (no such folder), kIo: the old file, if any, is
// as it was and the temporary one is gone; only if syncing the folder fails is the new file in place and its durability
// unknown.
Failure write_file_atomically(const std::string& path, ByteView bytes, mode_t mode = 0644);

// Makes the names in the folder of `path` durable: a file created in it, or renamed.
Failure sync_folder_of(const std::string& path);

// The Error for an errno. A full disk, a quota and a file size limit are all kStorageFull.
Error error_of_errno(int number);

// "<path>: <what>: <the system's reason>", with error_of_errno(number).
Failure fail_with_errno(int number, const std::string& path, const char* what);

}  // namespace runnel::host
