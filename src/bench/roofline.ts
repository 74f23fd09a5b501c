import { escaped } from "./html-text.js";
import type { Peak } from "./peak.js";
import type { BenchMeasurement } from "./run.js";

const WIDTH = 720;
const HEIGHT = 420;
const LEFT = 56;
const RIGHT = 16;
const TOP = 16;
const BOTTOM = 46;
const DOT = 4;
/** Size of a label, for placing labels beside each other. */
const LABEL = { width: 15, height: 11 };
/** Places of a label around its dot, the nearest first. */
const PLACES = [1, 1.8, 2.7].flatMap((distance) =>
  [0, 45, -45, 180, 90, -90, 135, -135].map((degrees) => {
    const angle = (degrees * Math.PI) / 180;
    return { x: Math.cos(angle) * 14 * distance, y: -Math.sin(angle) * 11 * distance };
  }),
);

/** A number's decade below or above. */
const below = (value: number): number => Math.floor(Math.log10(value));
const above = (value: number): number => Math.ceil(Math.log10(value));

/** FLOP per byte. */
function intensityOf({ gflops, gigabytesPerSecond }: BenchMeasurement): number {
  return gflops / gigabytesPerSecond;
}

/**
 * Draws the roofline (Williams et al., Communications of the ACM 52/4, 2009) as SVG: speed over arithmetic intensity, both logarithmic,
 * below the measured peaks of memory and arithmetic. Workloads without arithmetic are left out; labels are their numbers from 1 in `run`.
 * Returns an empty text if nothing is left.
 */
export function roofline(run: readonly BenchMeasurement[], peak: Peak): string {
  const points = run.flatMap((m, i) => (m.flops > 0 && m.gigabytesPerSecond > 0 ? [{ m, number: i + 1 }] : []));
  if (points.length === 0) return "";
  const ridge = peak.gflops / peak.gigabytesPerSecond;
  const intensities = [...points.map(({ m }) => intensityOf(m)), ridge];
  const speeds = [...points.map(({ m }) => m.gflops), peak.gflops];
  const x = scale([below(Math.min(...intensities)), above(Math.max(...intensities))], [LEFT, WIDTH - RIGHT]);
  const y = scale([below(Math.min(...speeds)), above(Math.max(...speeds))], [HEIGHT - BOTTOM, TOP]);
  const grid = [
    ...x.decades.map((power) => {
      const at = x.of(10 ** power);
      return `<line class="grid" x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text class="tick" x="${at}" y="${HEIGHT - BOTTOM + 15}" text-anchor="middle">${tick(power)}</text>`;
    }),
    ...y.decades.map((power) => {
      const at = y.of(10 ** power);
      return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"/><text class="tick" x="${LEFT - 6}" y="${at + 4}" text-anchor="end">${tick(power)}</text>`;
    }),
  ];
  const [least, most] = [10 ** x.decades[0]!, 10 ** x.decades.at(-1)!];
  // The memory roof begins where it enters the chart, on the left or at the bottom.
  const first = Math.max(least, 10 ** y.decades[0]! / peak.gigabytesPerSecond);
  const corners = [first, Math.max(first, ridge), most].map(
    (at) => `${x.of(at)},${y.of(Math.min(peak.gflops, at * peak.gigabytesPerSecond))}`,
  );
  const places = points.map(({ m }) => ({ x: x.of(intensityOf(m)), y: y.of(m.gflops) }));
  const taken = [...places];
  const dots = points.map(({ m, number }, i) => {
    const at = places[i]!;
    const figures = `${m.gflops.toFixed(1)} GFLOP/s, ${m.gigabytesPerSecond.toFixed(1)} GB/s`;
    const title = `<title>${escaped(`${number}: ${m.name} ${m.dtype}, ${figures}`)}</title>`;
    const dot = `<circle class="dot ${m.dtype}" cx="${at.x}" cy="${at.y}" r="${DOT}">${title}</circle>`;
    const free = PLACES.map((place) => rounded({ x: at.x + place.x, y: at.y + place.y })).find(
      (place) => isInside(place) && taken.every((other) => other === at || isApart(place, other)),
    );
    if (!free) return dot;
    taken.push(free);
    return `${dot}<text class="label" x="${free.x}" y="${free.y + 4}" text-anchor="middle">${number}</text>`;
  });
  return `<svg class="roofline" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Roofline: GFLOP/s over FLOP per byte of ${points.length} measurements, below the measured peak; the table has the numbers">
${grid.join("\n")}
<polyline class="roof" points="${corners.join(" ")}"/>
<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">FLOP per byte</text>
<text class="axis" x="14" y="${(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(TOP + HEIGHT - BOTTOM) / 2})">GFLOP/s</text>
${dots.join("\n")}
</svg>`;
}

/** A logarithmic scale from decades to pixels, to a tenth. */
function scale(powers: readonly [number, number], pixels: readonly [number, number]) {
  const [low, high] = [powers[0], Math.max(powers[1], powers[0] + 1)];
  const of = (value: number): number =>
    Number((pixels[0] + ((Math.log10(value) - low) / (high - low)) * (pixels[1] - pixels[0])).toFixed(1));
  return { of, decades: Array.from({ length: high - low + 1 }, (_, i) => low + i) };
}

interface Point {
  readonly x: number;
  readonly y: number;
}

function rounded({ x, y }: Point): Point {
  return { x: Number(x.toFixed(1)), y: Number(y.toFixed(1)) };
}

function isInside({ x, y }: Point): boolean {
  return x > LEFT && x < WIDTH - RIGHT && y > TOP && y < HEIGHT - BOTTOM;
}

/** Whether a label and another, or a dot, do not cover each other. */
function isApart(a: Point, b: Point): boolean {
  return Math.abs(a.x - b.x) > LABEL.width || Math.abs(a.y - b.y) > LABEL.height;
}

function tick(power: number): string {
  return power >= 0 ? (10 ** power).toLocaleString("en") : String(10 ** power);
}
