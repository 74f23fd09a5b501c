const [WIDTH, HEIGHT, MARGIN] = [600, 160, 28];

/** The loss of each step so far, of a run with so many. */
export function LossCurve({ losses, steps }: { losses: readonly number[]; steps: number }) {
  if (losses.length === 0) return null;
  const most = Math.max(...losses);
  const x = (step: number): number => MARGIN + (step / Math.max(1, steps - 1)) * (WIDTH - MARGIN - 4);
  const y = (loss: number): number => 6 + (1 - loss / most) * (HEIGHT - MARGIN);
  const points = losses.map((loss, i) => `${x(i).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");
  const base = y(0);
  return (
    <svg
      class="loss-curve"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Loss: ${losses[0]!.toFixed(2)} at first, ${losses.at(-1)!.toFixed(2)} after ${losses.length} of ${steps} steps`}
    >
      <path d={`M${MARGIN} 6V${base}H${WIDTH - 4}`} class="axes" />
      <text x={MARGIN - 4} y={14} text-anchor="end">
        {most.toFixed(1)}
      </text>
      <text x={MARGIN - 4} y={base} text-anchor="end">
        0
      </text>
      <text x={WIDTH - 4} y={HEIGHT - 4} text-anchor="end">
        {steps} steps
      </text>
      <polyline points={points} class="losses" />
    </svg>
  );
}
