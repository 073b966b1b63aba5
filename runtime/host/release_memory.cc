#include "runtime/host/release_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdio>

namespace runnel::host {

void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
}

void release_unused_memory() {
  malloc_trim(0);
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return;
  char line[512];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    char permissions[5] = "";
    char path[256] = "";
    const int fields =
        std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %255s", &begin, &end, permissions, path);
    // Code from a file, never written to: its pages can be read again. Anything writable must stay.
    const bool code =
        fields == 4 && permissions[0] == 'r' && permissions[1] == '-' && permissions[2] == 'x' && path[0] == '/';
    if (code) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // NOLINT(performance-no-int-to-ptr)
  }
  std::fclose(maps);
}

}  // namespace runnel::host
