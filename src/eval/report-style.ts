/** The report's style sheet: light and dark, narrow and wide, no font or file from elsewhere. */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1d2433; --faint: #667085; --line: #e4e2dd; --track: #eeece7;
  --vm: #2f6f9f; --va: #d08a2e; --good: #2a7a4b; --bad: #b3402f; --good-paper: #e2f2e8; --bad-paper: #f9e5e1;
  --curve-0: #2f6f9f; --curve-1: #c2562d; --curve-2: #5b8c3a; --curve-3: #7b5aa6; --curve-4: #8a6d3b;
  --curve-5: #2a8f8a; --curve-6: #b0437a; --curve-7: #5f6b7a; --kept: #2a9d5c; --scene: #c2571a; --motion: #2767b0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171d; --card: #1c2129; --ink: #e7e9ee; --faint: #98a1b3; --line: #2e3540; --track: #272d37;
    --vm: #62a6d8; --va: #e0a458; --good: #7fd3a0; --bad: #f0998a; --good-paper: #1d3a2a; --bad-paper: #43241f;
    --curve-0: #62a6d8; --curve-1: #e58a64; --curve-2: #94c973; --curve-3: #b79be0; --curve-4: #cdb079;
    --curve-5: #63c7c1; --curve-6: #e085b4; --curve-7: #a3aebb; --kept: #5fc78d; --scene: #e58a50; --motion: #6ca6e5;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
header, main { max-width: 1160px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 48px; }
.brand { margin: 0; color: var(--vm); font-weight: 700; letter-spacing: .08em; text-transform: uppercase; font-size: 13px; }
h1 { margin: 4px 0 8px; font-size: 34px; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 0 0 14px; font-size: 21px; }
h3 { margin: 18px 0 8px; font-size: 15px; color: var(--faint); font-weight: 600; }
.lead { margin: 0; max-width: 68ch; color: var(--faint); font-size: 18px; }
.figures { display: flex; flex-wrap: wrap; gap: 16px; margin: 28px 0 8px; }
.figure { flex: 1 1 220px; background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 20px; }
.figure b { display: block; font-size: 38px; line-height: 1.15; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.figure span { color: var(--faint); font-size: 14px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 24px 28px; margin: 20px 0; }
main { padding-bottom: 60px; }
.note { color: var(--faint); font-size: 14px; max-width: 90ch; margin: 12px 0 0; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font-size: 13px; dominant-baseline: central; }
svg .group { font-weight: 600; fill: var(--faint); }
svg .task { text-anchor: end; font-weight: 600; }
svg .tick { fill: var(--faint); text-anchor: middle; font-size: 12px; }
svg .tick.end { text-anchor: end; }
svg .words { font-variant-numeric: tabular-nums; white-space: pre; }
svg .grid { stroke: var(--line); }
svg .reference { stroke: var(--faint); stroke-dasharray: 5 4; }
svg .middle { text-anchor: middle; }
svg .small { font-size: 11.5px; fill: var(--faint); }
svg .radar { fill-opacity: .1; stroke-width: 2.2; }
svg .spoke { fill: none; stroke: var(--line); }
svg .dot { fill: var(--ink); opacity: .55; }
.half { max-width: 540px; margin-bottom: 18px; }
.scroll { overflow-x: auto; }
th { text-align: left; font-weight: 600; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); }
table.numbers { font-variant-numeric: tabular-nums; font-size: 14px; }
table.numbers td:first-child, table.verdicts td:first-child { width: auto; color: var(--ink); font-weight: 600; white-space: nowrap; }
table.numbers td { white-space: nowrap; overflow-wrap: normal; }
table.numbers th { vertical-align: bottom; }
table.numbers td:not(:first-child), table.numbers th:not(:first-child) { text-align: right; padding-left: 10px; }
table.verdicts td:first-child { padding-right: 16px; }
.badge.none { color: var(--faint); background: var(--track); }
.badge { white-space: nowrap; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px; margin: 0 0 26px; }
.pair h4 { grid-column: 1 / -1; margin: 0; font-size: 15px; }
.thought { min-height: 9.5em; margin: 6px 0 0; padding: 8px 10px; background: var(--track); border-radius: 8px; font: 12.5px/1.4 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; white-space: pre-line; }
.thought.silent { color: var(--faint); }
.thoughts { margin: 0; padding: 0; list-style: none; font-size: 14px; }
.thoughts li { padding: 7px 0 7px 12px; border-left: 3px solid var(--line); margin: 0 0 6px; }
.thoughts li.kept { border-color: var(--kept); }
.thoughts li.dropped { color: var(--faint); }
.thoughts li.dropped span { text-decoration: line-through; }
.strip { display: flex; gap: 4px; }
.strip img { flex: 1 1 0; min-width: 0; border-radius: 4px; border: 2px solid var(--line); image-rendering: pixelated; }
.strip img.kept { border-color: var(--kept); }
svg .track { fill: var(--track); }
svg .vm { fill: var(--vm); }
svg .va { fill: var(--va); }
svg .whisker { stroke: var(--ink); stroke-width: 1.6; fill: none; }
svg .raw { fill: none; stroke-width: 1; opacity: .25; }
svg .curve { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
figure { margin: 0; }
figcaption .key { margin-right: 18px; color: var(--faint); font-size: 14px; }
.key i { display: inline-block; width: 18px; height: 3px; border-radius: 2px; margin-right: 7px; vertical-align: middle; }
.videos { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 18px; }
.rollout video, .rollout img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: 10px; background: var(--track); }
.rollout figcaption { margin-top: 8px; font-size: 14px; line-height: 1.4; }
.rollout q { display: block; margin: 5px 0 1px; }
.rollout small { color: var(--faint); }
.badge { display: inline-block; border-radius: 99px; padding: 1px 10px; font-size: 12.5px; font-weight: 600; }
.badge.good { color: var(--good); background: var(--good-paper); }
.badge.bad { color: var(--bad); background: var(--bad-paper); }
.stages { margin: 0; padding-left: 22px; }
.stages li { margin: 0 0 12px; }
.stages .time { color: var(--faint); font-size: 14px; margin-left: 6px; }
table { border-collapse: collapse; width: 100%; font-size: 15px; }
td { padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td:first-child { color: var(--faint); width: 34%; }
tr:last-child td { border-bottom: 0; }
code, pre { font: 13.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { background: var(--track); border-radius: 8px; padding: 10px 14px; white-space: pre-wrap; overflow-wrap: anywhere; margin: 6px 0 16px; }
#next p { margin: 0; }
@media (max-width: 640px) { header, main { padding-left: 14px; padding-right: 14px; } section { padding: 18px 16px; } h1 { font-size: 27px; } svg.bars { min-width: 720px; } #success, .wide { overflow-x: auto; } .pair { grid-template-columns: 1fr; } }
`;
