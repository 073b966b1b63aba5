// Draws lines over the ones drawn before, without flicker, and leaves the terminal as it found it.
//
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace runnel::fleet {

class TerminalScreen {
 public:
  // `fd` is a terminal and outlives the screen. The cursor is hidden from the first draw() to the end.
  explicit TerminalScreen(int fd) : fd_(fd) {}
  ~TerminalScreen();
  TerminalScreen(const TerminalScreen&) = delete;
  TerminalScreen& operator=(const TerminalScreen&) = delete;

  void draw(const std::vector<std::string>& lines);

  static bool is_terminal(int fd);

  struct Size {
    size_t columns = 80;
    size_t rows = 24;
  };
  Size size() const;

 private:
  void write_all(const std::string& text) const;

  int fd_;
  size_t drawn_ = 0;
  bool hidden_ = false;
};

// The bytes that draw `lines` over `drawn` lines that end above the cursor.
std::string redraw(const std::vector<std::string>& lines, size_t drawn);

}  // namespace runnel::fleet
