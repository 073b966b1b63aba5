// Shows a run to whoever started it: a live picture on a terminal, plain lines in a log.
#pragma once

#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "fleet/fleet_run.h"
#include "fleet/terminal_screen.h"

namespace runnel::fleet {

// Redraws a picture in place, about ten times a second.
class LiveReporter : public RunObserver {
 public:
  LiveReporter(int fd, std::string title) : screen_(fd), title_(std::move(title)) {}
  void on_round(const RunRecord& record) override { on_tick(record); }
  void on_notice(const RunRecord& record, const std::string& text) override;
  void on_tick(const RunRecord& record) override;

 private:
  static constexpr size_t kRecentMax = 8;
  TerminalScreen screen_;
  std::string title_;
  std::vector<std::string> recent_;
};

// One line a round, and one a notice; a flood of notices is thinned and what was left out is counted.
class PlainReporter : public RunObserver {
 public:
  PlainReporter(std::ostream& out, std::string title) : out_(out), title_(std::move(title)) {}
  void on_round(const RunRecord& record) override;
  void on_notice(const RunRecord& record, const std::string& text) override;
  void on_tick(const RunRecord& record) override;

 private:
  static constexpr double kNoticesBurst = 12.0;
  static constexpr double kNoticesPerSecond = 0.5;

  void line(double at_s, const std::string& text);

  std::ostream& out_;
  std::string title_;
  bool introduced_ = false;
  double allowance_ = kNoticesBurst;
  double allowance_at_s_ = 0.0;
  size_t left_out_ = 0;
};

// The live picture when `fd` is a terminal, else plain lines to `out`.
std::unique_ptr<RunObserver> make_reporter(int fd, std::ostream& out, const std::string& title);

}  // namespace runnel::fleet
