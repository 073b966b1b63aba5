#include "fleet/terminal_screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace runnel::fleet {

std::string redraw(const std::vector<std::string>& lines, size_t drawn) {
  std::string text = "\r";
  if (drawn > 0) text += "\x1b[" + std::to_string(drawn) + "A";
  for (const std::string& line : lines) text += line + "\x1b[K\n";  // each line clears only what is left of the old one
  return text + "\x1b[J";
}

TerminalScreen::~TerminalScreen() {
  if (hidden_) write_all("\x1b[0m\x1b[?25h");
}

void TerminalScreen::draw(const std::vector<std::string>& lines) {
  write_all((hidden_ ? "" : "\x1b[?25l") + redraw(lines, drawn_));
  hidden_ = true;
  drawn_ = lines.size();
}

bool TerminalScreen::is_terminal(int fd) {
  const char* name = std::getenv("TERM");
  return ::isatty(fd) == 1 && name != nullptr && std::strcmp(name, "dumb") != 0;
}

TerminalScreen::Size TerminalScreen::size() const {
  winsize window{};
  if (::ioctl(fd_, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) return {};
  return {window.ws_col, window.ws_row};
}

void TerminalScreen::write_all(const std::string& text) const {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = ::write(fd_, text.data() + done, text.size() - done);
    if (written < 0 && errno != EINTR) return;  // a terminal that has gone shows nothing
    if (written > 0) done += static_cast<size_t>(written);
  }
}

}  // namespace runnel::fleet
