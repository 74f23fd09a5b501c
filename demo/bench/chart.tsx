import type { BenchMeasurement } from "ocellus/bench";
import { peak, results } from "./run.js";

const ROW = 34;
const LABELS = 190;
const WIDTH = 640;
const BAR = 11;

interface Bar {
  readonly value: number;
  readonly share: number;
  readonly unit: string;
  readonly kind: "arithmetic" | "memory";
}

/** Two bars per workload: arithmetic and memory, each as a share of the adapter's peak in this run. */
export function Chart() {
  const all = results.value;
  const top = peak.value;
  if (all.length === 0 || !top) return null;
  const height = all.length * ROW + 26;
  const arithmetic = ({ gflops }: BenchMeasurement): Bar => {
    return { value: gflops, share: gflops / top.gflops, unit: "GFLOP/s", kind: "arithmetic" };
  };
  const barsOf = (m: BenchMeasurement): Bar[] => [
    // Copies and look-ups have no arithmetic.
    ...(m.flops > 0 ? [arithmetic(m)] : []),
    {
      value: m.gigabytesPerSecond,
      share: m.gigabytesPerSecond / top.gigabytesPerSecond,
      unit: "GB/s",
      kind: "memory",
    },
  ];
  return (
    <section class="card stack" aria-labelledby="chart">
      <h2 id="chart">Share of the measured peak</h2>
      <p class="row small">
        <span class="key arithmetic" /> GFLOP/s of {top.gflops.toFixed(1)}
        <span class="key memory" /> GB/s of {top.gigabytesPerSecond.toFixed(1)}
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached with the keyboard */}
      <section class="wide" aria-label="Chart" tabIndex={0}>
        <svg
          class="chart"
          viewBox={`0 0 ${WIDTH} ${height}`}
          role="img"
          aria-label={`GFLOP/s and GB/s of ${all.length} workloads beside the adapter's peak; the table below has the numbers`}
        >
          {[0, 0.25, 0.5, 0.75, 1].map((share) => (
            <g key={share}>
              <line class="grid" x1={at(share)} x2={at(share)} y1={0} y2={height - 22} />
              <text class="tick" x={at(share)} y={height - 6} text-anchor="middle">
                {`${100 * share} %`}
              </text>
            </g>
          ))}
          {all.map((m, i) => (
            <g key={`${m.name} ${m.dtype}`} data-name={m.name}>
              <text class="name" x={LABELS - 8} y={i * ROW + 20} text-anchor="end">
                {m.name} {m.dtype}
              </text>
              {barsOf(m).map(({ value, share, unit, kind }, j) => {
                const width = Math.max(1, at(Math.min(1, share)) - LABELS);
                const y = i * ROW + 4 + j * (BAR + 2);
                return (
                  <g key={unit}>
                    <rect class={`bar ${kind}`} x={LABELS} y={y} width={width} height={BAR} />
                    <text class="value" x={LABELS + width + 4} y={y + BAR - 2}>
                      {value < 10 ? value.toFixed(2) : value.toFixed(0)} {unit}
                    </text>
                  </g>
                );
              })}
            </g>
          ))}
        </svg>
      </section>
    </section>
  );
}

/** Returns the x coordinate of a share, with space for the number beside a full bar. */
function at(share: number): number {
  return LABELS + share * (WIDTH - LABELS - 90);
}
