#include "fleet/live_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/terminal_screen.h"
#include "fleet/text_format.h"
#include "tests/unit/fleet/sample_record.h"

namespace runnel::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RunRecord half_way() {
  RunRecord record = sample_record();
  record.rounds_planned = 6;
  record.devices[1].link_state.outage = true;
  return record;
}

TEST(LiveView, ShowsTheWholePicture) {
  EXPECT_THAT(
      render_view(half_way(), {"[    3.0 s] d01: the link is down"}, {80, 24, false, "1/2  qsgd, 4 bits"}),
      ElementsAre("runnel  1/2  qsgd, 4 bits · 2 devices · 'thin' links                       7.0 s",
                  "Round 3/6  ████████████████████░░░░░░░░░░░░░░░░░░░░   50 %  about 4.0 s left",
                  "Test accuracy  90.0 %  ▁▅█  loss 0.667", "Fleet  2 online, 0 training, 2 uploading, 1 in an outage",
                  "Traffic  ↑ 6.00 kB  ↓ 300 kB  4.12 bits a coordinate",
                  "device state        round   ↑ sent    ↓ got cuts  link                          ",
                  "d00    uploading        3  3.00 kB   150 kB    1  ↑ 420 kbit/s  ↓ 1.5 Mbit/s    ",
                  "d01    uploading        3  3.00 kB   150 kB    1  OUTAGE                        ",
                  "[    3.0 s] d01: the link is down"));
}

TEST(LiveView, ADeviceWithoutASessionIsNotOnline) {
  RunRecord record = half_way();
  record.devices[0].state = "offline";
  EXPECT_THAT(render_view(record, {}, {80, 24, false, "x"})[3], HasSubstr("1 online"));
}

TEST(LiveView, NeverExceedsItsSize) {
  RunRecord record = half_way();
  record.devices.resize(100, record.devices[0]);
  record.devices[5].name = "a-very-long-device-name";
  const std::vector<std::string> recent(8, std::string(300, 'n'));
  for (const size_t width : {40U, 57U, 80U, 200U}) {
    for (const size_t height : {6U, 10U, 24U, 200U}) {
      const auto lines = render_view(record, recent, {width, height, false, std::string(100, 't')});
      EXPECT_LE(lines.size(), height);
      for (const std::string& line : lines) EXPECT_LE(columns_of(line), width) << line;
    }
  }
  EXPECT_THAT(render_view(record, {}, {80, 24, false, "x"}).back(), HasSubstr("more devices"));
}

TEST(LiveView, ColourTakesNoColumns) {
  const auto plain = render_view(half_way(), {}, {80, 24, false, "x"});
  const auto coloured = render_view(half_way(), {}, {80, 24, true, "x"});
  ASSERT_EQ(plain.size(), coloured.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    std::string stripped;
    for (size_t at = 0; at < coloured[i].size(); ++at) {
      if (coloured[i][at] == '\x1b') {
        at = coloured[i].find('m', at);
      } else {
        stripped += coloured[i][at];
      }
    }
    EXPECT_EQ(stripped, plain[i]);
  }
}

TEST(LiveView, BeforeTheFirstRoundThereIsNoForecast) {
  RunConfig config;
  config.devices = 2;
  const RunRecord record = RunRecorder(config, "x").record();
  EXPECT_LT(remaining_s(record), 0.0);
  EXPECT_THAT(render_view(record, {}, {80, 24, false, "x"})[2], HasSubstr("Test accuracy  -"));
}

TEST(TerminalScreen, RedrawsOverWhatWasThere) {
  EXPECT_EQ(redraw({"a", "b"}, 0), "\ra\x1b[K\nb\x1b[K\n\x1b[J");
  EXPECT_EQ(redraw({"c"}, 2), "\r\x1b[2Ac\x1b[K\n\x1b[J");
}

}  // namespace
}  // namespace runnel::fleet
