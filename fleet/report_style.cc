#include "fleet/report_style.h"

#include <algorithm>
#include <array>

namespace runnel::fleet {

const char* report_style() {
  return R"css(
:root { --page: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #5b6675; --line: #d9dee6; --a: #2463d6; --b: #d9822b;
  --train: #2f9e62; --up: #2463d6; --down: #8a5bd1; --wait: #dfe4eb; --connect: #e9c342; --dark: #d64545; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1b212a; --ink: #e6eaf0; --soft: #9aa6b5;
  --line: #303947; --a: #6ea1ff; --b: #f0a04b; --train: #4cbb80; --up: #6ea1ff; --down: #b08cf0; --wait: #2d3643;
  --connect: #d9b53c; --dark: #ff6b6b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1140px; margin: 0 auto; padding: 28px 20px 60px; }
header p { margin: 0; color: var(--soft); }
header .brand { color: var(--a); font-weight: 700; letter-spacing: .04em; }
h1 { margin: 2px 0 6px; font-size: 27px; line-height: 1.2; }
h2 { margin: 30px 0 10px; font-size: 18px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 12px; margin: 22px 0; }
.card, figure, table, dl { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 14px 16px; }
.card .value { font-size: 25px; font-weight: 650; line-height: 1.2; }
.card .detail { color: var(--soft); font-size: 13px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 14px; }
figure { margin: 0; padding: 14px 16px 10px; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figcaption { color: var(--soft); font-size: 13px; margin-bottom: 6px; }
figcaption b { color: var(--ink); font-size: 15px; margin-right: 6px; }
svg { display: block; width: 100%; height: auto; }
.label { fill: var(--soft); font-size: 12px; }
.strong { fill: var(--ink); }
.small { font-size: 10.5px; }
.axis { stroke: var(--soft); stroke-width: 1; }
.grid { stroke: var(--line); stroke-width: 1; }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
.run-a { fill: var(--a); } .line.run-a { fill: none; stroke: var(--a); }
.run-b { fill: var(--b); } .line.run-b { fill: none; stroke: var(--b); }
.pale { opacity: .38; }
.training { fill: var(--train); background: var(--train); } .uploading { fill: var(--up); background: var(--up); }
.downloading { fill: var(--down); background: var(--down); } .waiting { fill: var(--wait); background: var(--wait); }
.connecting { fill: var(--connect); background: var(--connect); } .outage { fill: var(--dark); background: var(--dark); }
.gone { fill: none; }
.keys { margin: 0 0 6px; font-size: 12px; color: var(--soft); }
.key { background: none; margin-right: 12px; white-space: nowrap; }
.key::before { content: ""; display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px;
  vertical-align: -1px; background: var(--swatch); }
.key.run-a { --swatch: var(--a); } .key.run-b { --swatch: var(--b); }
.key.training { --swatch: var(--train); } .key.uploading { --swatch: var(--up); }
.key.downloading { --swatch: var(--down); } .key.waiting { --swatch: var(--wait); }
.key.connecting { --swatch: var(--connect); } .key.outage { --swatch: var(--dark); }
table { border-collapse: separate; border-spacing: 0; min-width: min(100%, 560px); padding: 6px 4px; }
th, td { padding: 6px 14px; text-align: right; font-variant-numeric: tabular-nums; }
th:first-child { text-align: left; font-weight: 500; color: var(--soft); }
tbody tr + tr > * { border-top: 1px solid var(--line); }
dl { margin: 0; padding: 12px 16px; display: grid; grid-template-columns: max-content 1fr; gap: 6px 18px; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
code { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
details { margin-top: 12px; } details ul { overflow-wrap: anywhere; }
.note { color: var(--soft); font-size: 13px; }
)css";
}

std::string state_style(const std::string& state) {
  static constexpr std::array<const char*, 4> kDrawn = {"training", "uploading", "downloading", "connecting"};
  if (state == "offline") return "connecting";  // without a session, and trying
  if (std::find(kDrawn.begin(), kDrawn.end(), state) != kDrawn.end()) return state;
  return state == "stopped" || state == "starting" ? "gone" : "waiting";
}

}  // namespace runnel::fleet
