#include "fleet/run_reporter.h"

#include <algorithm>
#include <utility>

#include "fleet/live_view.h"
#include "fleet/text_format.h"

namespace runnel::fleet {
namespace {

std::string stamped(double at_s, const std::string& text) {
  return std::string("[").append(fit_right(fixed(at_s, 1), 7)).append(" s] ").append(text);
}

// A child's words may hold anything; control characters would reach the terminal as commands.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char each) { return static_cast<unsigned char>(each) < 0x20 || each == 0x7F; }, ' ');
  return text;
}

}  // namespace

void LiveReporter::on_notice(const RunRecord& record, const std::string& text) {
  if (recent_.size() == kRecentMax) recent_.erase(recent_.begin());
  recent_.push_back(stamped(record.elapsed_s, one_line(text)));
}

void LiveReporter::on_tick(const RunRecord& record) {
  const TerminalScreen::Size size = screen_.size();
  // The last line stays free: a newline there would scroll.
  screen_.draw(render_view(record, recent_, {size.columns, std::max<size_t>(size.rows, 2) - 1, true, title_}));
}

void PlainReporter::line(double at_s, const std::string& text) {
  out_ << stamped(at_s, text) << '\n' << std::flush;
}

void PlainReporter::on_round(const RunRecord& record) {
  const RoundRecord& round = record.rounds.back();
  std::string text = "round " + std::to_string(round.round) + "/" + std::to_string(record.rounds_planned);
  if (round.judged()) text += ": " + record.metric + " " + format_metric(record.metric, round.judged());
  if (round.loss) text += ", loss " + fixed(*round.loss, 3);
  text += ", " + std::to_string(round.participants) + " updates, " + format_bytes(round.uplink_bytes) + " up, " +
          format_bytes(round.downlink_bytes) + " down, " + fixed(round.bits_per_coordinate, 2) +
          " bits a coordinate, " + format_duration(round.duration_s);
  line(round.ended_at_s, text);
}

void PlainReporter::on_notice(const RunRecord& record, const std::string& text) {
  const double now_s = record.elapsed_s;
  allowance_ = std::min(kNoticesBurst, allowance_ + (now_s - allowance_at_s_) * kNoticesPerSecond);
  allowance_at_s_ = now_s;
  if (allowance_ < 1.0) {
    ++left_out_;
    return;
  }
  allowance_ -= 1.0;
  const std::string skipped = left_out_ > 0 ? " (" + std::to_string(left_out_) + " notices left out before)" : "";
  left_out_ = 0;
  line(now_s, one_line(text) + skipped);
}

void PlainReporter::on_tick(const RunRecord& record) {
  if (introduced_) return;
  introduced_ = true;
  out_ << title_ << ": " << record.devices.size() << " devices, model " << record.config.model << ", "
       << record.rounds_planned << " rounds\n"
       << std::flush;
}

std::unique_ptr<RunObserver> make_reporter(int fd, std::ostream& out, const std::string& title) {
  if (TerminalScreen::is_terminal(fd)) return std::make_unique<LiveReporter>(fd, title);
  return std::make_unique<PlainReporter>(out, title);
}

}  // namespace runnel::fleet
