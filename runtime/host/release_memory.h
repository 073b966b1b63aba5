// When memory goes back to the system: what was needed for starting up only, at once; what is needed again, later.
//
// A program's code becomes resident page by page as it runs; what ran once (command line, dynamic linking, parsing)
// stays until the system is short of memory. A device that shares a few megabytes does better to let go at once: pages
// that are needed again are mapped again from the page cache.
#pragma once

namespace runnel::host {

// Drops the resident pages of executable file mappings, and free heap pages. Costs microseconds now and a page fault
// for each page that is used again. Does nothing where the system does not say what is mapped.
void release_unused_memory();

// Blocks of some 100 KB that come and go by the thousand stay mapped from one to the next, instead of being faulted in
// each time; release_unused_memory() gives them back when it is quiet. To be called before threads are started.
void keep_freed_memory();

}  // namespace runnel::host
