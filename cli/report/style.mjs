// The looks of the report. Colours are those of the system's scheme, light or dark; texts have a contrast of 4.5:1 or more, and
// what colours mean is written or drawn, too.

export const style = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #d9dee5; --text: #1b2430; --soft: #566273;
  --done: #2f6fd6; --failed: #c4314b; --stopped: #7a8494; --running: #0f7b6c; --merge: #7a4fc9; --good: #1a7f4b; --warn: #8a5a00;
  --track: #eceff3; --on: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2029; --line: #313a47; --text: #e4e9f0; --soft: #a0acbc;
    --done: #5b94f0; --failed: #f0718a; --stopped: #8d98a8; --running: #45bfae; --merge: #b08cf0; --good: #58c48d; --warn: #e0b050;
    --track: #252d38; --on: #0e1217;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .75rem; }
p { margin: .25rem 0; }
code, pre, .id { font: .86em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }
.soft { color: var(--soft); }
.right { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin-bottom: 1.25rem; }
header p { flex-basis: 100%; overflow-wrap: anywhere; }
.state { padding: .15rem .7rem; border-radius: 1rem; border: 1.5px solid currentColor; font-weight: 600; font-size: .9rem; }
.completed { color: var(--good); } .failed { color: var(--failed); } .running, .pending { color: var(--running); }
.paused, .cancelled { color: var(--warn); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem 1.25rem; margin-bottom: 1rem; }
section.error { border-left: .3rem solid var(--failed); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 0 0 1rem; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .9rem; }
.tiles dt { color: var(--soft); font-size: .82rem; }
.tiles dd { margin: 0; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tiles dd small { display: block; font-size: .78rem; font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem 1.4rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-size: .82rem; font-weight: 600; color: var(--soft); white-space: nowrap; }
tbody th { font-size: inherit; color: inherit; font-weight: 500; }
tr:last-child > * { border-bottom: 0; }
th.right, td.right { text-align: right; }
table.compact { width: auto; min-width: min(34rem, 100%); } .frames { white-space: nowrap; } .compared { width: 45%; }
.wrap { overflow-wrap: anywhere; }
.yes { color: var(--good); font-weight: 600; white-space: nowrap; } .no { color: var(--failed); font-weight: 600; white-space: nowrap; }
pre { background: var(--track); border-radius: .4rem; padding: .6rem .8rem; margin: .4rem 0; overflow-x: auto; max-height: 22rem; white-space: pre-wrap; overflow-wrap: anywhere; }
details { border-top: 1px solid var(--line); padding: .45rem 0; }
details:first-of-type { border-top: 0; }
summary { cursor: pointer; }
summary:focus-visible, pre:focus-visible, .scroll:focus-visible { outline: 2px solid var(--done); outline-offset: 2px; }
.lanes { display: grid; grid-template-columns: auto minmax(14rem, 1fr) auto; gap: .3rem .8rem; align-items: center; min-width: 26rem; }
.lane { position: relative; height: 1.9rem; background: var(--track); border-radius: .3rem; overflow: hidden; }
.lane i, .cut { position: absolute; top: 0; bottom: 0; }
.lane i { font: 600 .74rem/1.9rem system-ui, sans-serif; text-align: center; color: var(--on); overflow: hidden; white-space: nowrap; border-radius: .2rem; min-width: 2px; box-shadow: inset 0 0 0 .5px var(--card); }
.done-bar { background: var(--done); } .merge-bar { background: var(--merge); } .running-bar { background: var(--running); }
.failed-bar { background: repeating-linear-gradient(-45deg, var(--failed) 0 6px, color-mix(in srgb, var(--failed) 84%, var(--card)) 6px 12px); }
.stopped-bar { background: repeating-linear-gradient(90deg, var(--stopped) 0 4px, color-mix(in srgb, var(--stopped) 82%, var(--card)) 4px 8px); }
.estimated { outline: 1.5px dashed var(--card); outline-offset: -3px; }
.cut { width: 0; border-left: 3px dotted var(--soft); z-index: 1; }
.axis { position: relative; height: 1.4rem; font-size: .78rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.axis span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.axis span:first-child { transform: none; } .axis span.last { transform: translateX(-100%); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; list-style: none; padding: 0; margin: .9rem 0 0; font-size: .85rem; color: var(--soft); }
.legend i { display: inline-block; width: 1.5rem; height: .8rem; border-radius: .2rem; vertical-align: -.05rem; margin-right: .4rem; }
.meter { height: .75rem; min-width: 6rem; background: var(--track); border-radius: .3rem; overflow: hidden; margin-top: .35rem; }
.meter i { display: block; height: 100%; background: var(--done); }
footer { color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) { .axis span:nth-child(even) { display: none; } th, td { padding-right: .8rem; } .compared { width: auto; } .meter { min-width: 3rem; } }
@media print { body { background: none; } section, .tiles div { break-inside: avoid; } details > * { display: block; } }
`
