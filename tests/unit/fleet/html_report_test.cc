#include "fleet/html_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "fleet/report_style.h"
#include "tests/unit/fleet/sample_record.h"

namespace runnel::fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const RunContext kContext{"runnel-fleet run --data 'a & b'", "a machine <with> brackets"};

// Empty when every tag is closed in order and every attribute's quotes are closed, else what is wrong.
std::string markup_fault(const std::string& html) {
  static const std::set<std::string> kVoid = {"meta", "!DOCTYPE"};
  std::vector<std::string> open;
  size_t at = 0;
  while ((at = html.find('<', at)) != std::string::npos) {
    size_t end = at + 1;
    for (bool quoted = false; end < html.size() && (quoted || html[end] != '>'); ++end) {
      if (html[end] == '"') quoted = !quoted;
    }
    if (end >= html.size()) return "an open tag at the end";
    const std::string tag = html.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" \n/", 1));
    if (tag.front() == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "</" + tag.substr(1) + "> closes nothing";
      open.pop_back();
    } else if (tag.back() != '/' && !kVoid.contains(name)) {
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty() ? "" : "<" + open.back() + "> stays open";
}

TEST(HtmlReport, IsWellFormedAndStandsAlone) {
  const RunRecord record = sample_record();
  const RunRecord other = sample_record("fp32", 8000);
  for (const std::string& html :
       {html_report(record, nullptr, kContext, "today"), html_report(record, &other, kContext, "today")}) {
    EXPECT_EQ(markup_fault(html), "");
    EXPECT_THAT(html, Not(HasSubstr("<script")));
    EXPECT_THAT(html, Not(HasSubstr("http://")));
    EXPECT_THAT(html, Not(HasSubstr("https://")));
    EXPECT_THAT(html, Not(HasSubstr("nan")));
  }
}

TEST(HtmlReport, TellsTheResult) {
  const RunRecord record = sample_record();
  const RunRecord other = sample_record("fp32", 8000);
  const std::string html = html_report(record, &other, kContext, "2025-01-02");
  EXPECT_THAT(html, HasSubstr("2 devices, qsgd, 4 bits against fp32"));
  EXPECT_THAT(html, HasSubstr("8.0 ×"));  // 24 kB against 3 kB a device
  EXPECT_THAT(html, HasSubstr("8.0x less"));
  EXPECT_THAT(html, HasSubstr("90.0 %"));
  EXPECT_THAT(html, HasSubstr("outage, 3.0 s to 4.5 s"));
  EXPECT_THAT(html, HasSubstr("abc123"));
  EXPECT_THAT(html, HasSubstr("2025-01-02"));
  EXPECT_THAT(html, HasSubstr("runnel-fleet run --data &#39;a &amp; b&#39;"));
  EXPECT_THAT(html, HasSubstr("a machine &lt;with&gt; brackets"));
}

TEST(HtmlReport, ShowsHowFineTheUpdatesWere) {
  const std::string html = html_report(sample_record(), nullptr, kContext, "today");
  EXPECT_THAT(html, HasSubstr("Rate control: qsgd, 4 bits"));
  EXPECT_THAT(html, HasSubstr("<td>617 B</td>"));
  EXPECT_THAT(html, HasSubstr("<td>coarsest</td><td>kept</td>"));
  EXPECT_THAT(html, HasSubstr("<td>40.0 kbit/s"));
}

TEST(HtmlReport, EscapesWhatComesFromOutside) {
  RunRecord record = sample_record();
  record.devices[0].name = "<script>alert(1)</script>";
  record.devices[1].states.push_back({6.0, "\"><script>"});
  record.config.data = "<img src=x onerror=y>";
  record.model_sha256 = "\"'&<>";
  record.warnings.push_back("<script>2</script>");
  const std::string html = html_report(record, nullptr, kContext, "now");
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_THAT(html, HasSubstr("1 warning,"));
}

TEST(HtmlReport, CopesWithAnEmptyRun) {
  RunConfig config;
  config.devices = 1;
  const RunRecord record = RunRecorder(config, "empty").record();
  const std::string html = html_report(record, &record, kContext, "now");
  EXPECT_EQ(markup_fault(html), "");
  EXPECT_THAT(html, Not(HasSubstr("inf")));
}

TEST(ReportStyle, KnowsEveryState) {
  EXPECT_EQ(state_style("training"), "training");
  EXPECT_EQ(state_style("offline"), "connecting");
  EXPECT_EQ(state_style("stopped"), "gone");
  EXPECT_EQ(state_style("\" onload=x"), "waiting");
}

}  // namespace
}  // namespace runnel::fleet
