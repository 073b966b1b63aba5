// Gives memory back to the system that was needed for starting up only.
//
// A program's code becomes resident page by page as it runs; what ran once (command line, dynamic linking, parsing)
// stays until the system is short of memory. A device that shares a few megabytes does better to let go at once: pages
// that are needed again are mapped again from the page cache.
#pragma once

namespace runnel::host {

// Drops the resident pages of executable file mappings, and free heap pages. Costs microseconds now and a page fault
// for each page that is used again. Does nothing where the system does not say what is mapped.
void release_unused_memory();

}  // namespace runnel::host
