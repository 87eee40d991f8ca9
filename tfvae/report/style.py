"""The style of a page: light and dark by what the reader's system says, and ink on white in print."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2024; --muted: #626a73; --rule: #dfe3e8; --panel: #f6f8fa;
  --one: #0b62b0; --two: #c2570c; --quiet: #b9c6d4; --warn: #8a4b00; --warn-panel: #fff4e0; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e4e7ea; --muted: #9aa4ae; --rule: #30363d;
  --panel: #1c2126; --one: #6cb2f5; --two: #f0934e; --quiet: #46525e; --warn: #ffc978; --warn-panel: #33270f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 70rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0; font-weight: 650; }
h2 { font-size: 1.3rem; margin: 3rem 0 1rem; padding-bottom: .35rem; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 0 0 .6rem; }
h4 { font-size: .95rem; margin: 0 0 .4rem; color: var(--muted); font-weight: 600; }
p { margin: .5rem 0; }
a { color: var(--one); }
.lead, .muted, figcaption, .method { color: var(--muted); }
.method, figcaption, .note { font-size: .875rem; }
nav { margin-top: .75rem; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .9rem; }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.25rem; margin: 0; }
dl.facts dt, dl.made dt { color: var(--muted); }
dl.facts dd, dl.made dd { margin: 0; }
dl.made dt { margin-top: .9rem; font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .75rem; margin: 0; }
.card { background: var(--panel); border: 1px solid var(--rule); border-radius: .5rem; padding: .8rem 1rem; }
.card dt { font-weight: 600; font-size: .9rem; }
.card dd { margin: 0; }
.card .value { font-size: 1.45rem; line-height: 1.5; font-variant-numeric: tabular-nums; white-space: nowrap; }
.card .error, .card .unit { font-size: .9rem; color: var(--muted); }
.card .meaning { font-size: .85rem; color: var(--muted); line-height: 1.4; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem 1.1rem .3rem 0; border-bottom: 1px solid var(--rule); font-weight: 400;
  vertical-align: top; overflow-wrap: normal; }
thead th { color: var(--muted); font-size: .875rem; }
table.values { max-width: 38rem; }
table.values td { padding-right: 0; }
table.values th { min-width: 9rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
.wide tr.above > * { border-bottom: 0; padding-bottom: 0; }
.wide { width: 100%; }
.scroll { overflow-x: auto; }
table.matrix { font-size: .75rem; }
table.matrix th, table.matrix td { padding: .15rem .4rem; border: 1px solid var(--paper); text-align: right; }
table.matrix td { background: color-mix(in srgb, var(--one) calc(var(--share) * .55), var(--panel)); }
.charts, .nested, .pictures { display: grid; gap: 1.25rem 2rem; align-items: start; }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); }
.nested { grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); margin-top: 1rem; }
.pictures { grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
figure { margin: .5rem 0; }
figcaption { margin-top: .5rem; }
figure img { display: block; width: 100%; image-rendering: pixelated; border-radius: .25rem; }
.measure { margin: 0 0 2rem; padding: 1.1rem 1.25rem; border: 1px solid var(--rule); border-radius: .5rem; }
.warnings { background: var(--warn-panel); color: var(--warn); border-left: 4px solid currentColor; list-style: none;
  border-radius: .25rem; margin: .75rem 0; padding: .6rem 1rem; }
.badge { font-size: .75rem; border: 1px solid currentColor; border-radius: 1rem; padding: 0 .5rem; color: var(--two);
  white-space: nowrap; }
.chart { display: block; width: 100%; max-width: 30rem; height: auto; font-size: 10px; fill: var(--muted); }
.chart .grid { stroke: var(--rule); }
.chart .mark { stroke: var(--muted); stroke-dasharray: 2 3; }
.chart .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.chart .line-0 { stroke: var(--one); }
.chart .line-1 { stroke: var(--two); stroke-dasharray: 5 2; }
.chart .dot-0, .chart .bar { fill: var(--one); }
.chart .dot-1 { fill: var(--two); }
.chart .bar.quiet { fill: var(--quiet); }
.key { font-weight: 600; }
.key-0 { color: var(--one); }
.key-1 { color: var(--two); }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--muted); }
pre { font-size: .8rem; background: var(--panel); padding: 1rem; border-radius: .5rem; white-space: pre-wrap; }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --muted: #444; --rule: #ccc; --panel: #fff;
    --one: #0b62b0; --two: #c2570c; --quiet: #b9c6d4; --warn: #8a4b00; --warn-panel: #fff; }
  body { padding: 0; max-width: none; font-size: 11px; } nav, details { display: none; }
  h2, h3, h4 { break-after: avoid; } figure, .card, tr { break-inside: avoid; } .scroll { overflow: visible; }
  .bar, td { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
