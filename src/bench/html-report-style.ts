/** The style of {@link htmlReport}: light or dark as the reader prefers, and black on white in print. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --back: #fff; --text: #1a1d21; --muted: #5a626b; --line: #d9dde2; --fill: #eef1f4;
  --f32: #1f5fbf; --f16: #0b7a5b; --bf16: #6d6a00; --q8: #a8480a; --q4: #8a2f9e; --fault: #a3161b;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --back: #14171a; --text: #e6e9ec; --muted: #a0a9b2; --line: #343b42; --fill: #22272c;
    --f32: #7db2ff; --f16: #4fd1a5; --bf16: #d3cd4a; --q8: #ff9e5c; --q4: #de9bf0; --fault: #ff8d8d;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 84rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { margin: 0; font-size: 1.5rem; }
h2 { margin: 2rem 0 0.5rem; font-size: 1.15rem; }
.adapter { margin: 0.25rem 0 0; font-size: 1.05rem; overflow-wrap: anywhere; }
.chip { display: inline-block; padding: 0 0.5rem; border: 1px solid var(--line); border-radius: 999px; color: var(--muted); font-size: 0.8rem; }
.fault { padding: 0.5rem 0.75rem; border-left: 3px solid var(--fault); color: var(--fault); overflow-wrap: anywhere; }
.small { color: var(--muted); font-size: 0.85rem; max-width: 52rem; }
ul.small { padding-left: 1.1rem; }
dl { margin: 0; display: grid; gap: 0.25rem; }
dl div { display: grid; grid-template-columns: 12rem 1fr; gap: 0.75rem; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; margin: 0.25rem 0; font-size: 0.85rem; }
.key { display: inline-block; width: 0.7rem; height: 0.7rem; margin-right: 0.35rem; border-radius: 50%; }
.wide { overflow-x: auto; }
.roofline { display: block; width: 100%; max-width: 60rem; min-width: 45rem; }
.roofline text { fill: var(--text); font: 11px system-ui, sans-serif; }
.roofline .tick, .roofline .axis { fill: var(--muted); }
.roofline .grid { stroke: var(--line); }
.roofline .roof { fill: none; stroke: var(--text); stroke-width: 1.5; }
.dot.f32, .key.f32 { fill: var(--f32); background: var(--f32); }
.dot.f16, .key.f16 { fill: var(--f16); background: var(--f16); }
.dot.bf16, .key.bf16 { fill: var(--bf16); background: var(--bf16); }
.dot.q8, .key.q8 { fill: var(--q8); background: var(--q8); }
.dot.q4, .key.q4 { fill: var(--q4); background: var(--q4); }
.arithmetic { --bar: var(--f32); }
.memory { --bar: var(--q8); }
.key.arithmetic, .key.memory { background: var(--bar); }
table { border-collapse: collapse; font-size: 0.82rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; }
thead th { color: var(--muted); }
tbody th, thead th:nth-child(2) { position: sticky; left: 0; background: var(--back); }
tbody th, thead th:nth-child(2), th:nth-child(3), td:nth-child(3), th:nth-child(4), td:nth-child(4), th:last-child, td:last-child { text-align: left; }
td:last-child { white-space: normal; }
.details td { color: var(--muted); text-align: left; white-space: normal; }
.share span { display: block; min-width: 4.5rem; padding: 0 0.25rem; background: linear-gradient(to right, color-mix(in srgb, var(--bar) 35%, transparent) var(--share), var(--fill) var(--share)); }
details { margin-top: 2rem; }
summary { cursor: pointer; }
pre { overflow-x: auto; padding: 0.75rem; background: var(--fill); font-size: 0.75rem; }
@media (max-width: 480px) {
  dl div { grid-template-columns: 1fr; gap: 0; }
  dl { gap: 0.6rem; }
}
@media print {
  @page { size: landscape; margin: 1cm; }
  :root { color-scheme: light; --text: #000; --muted: #333; --line: #bbb; }
  body { font-size: 9pt; }
  main { padding: 0; max-width: none; }
  .wide { overflow: visible; }
  .roofline { max-width: 18cm; min-width: 0; }
  table { font-size: 7pt; }
  th, td { padding: 0.1rem 0.3rem; }
  tr, section > h2 + * { break-inside: avoid; }
  .key, .share span { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details { display: none; }
}
`;
