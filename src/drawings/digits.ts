/**
 * Ten digits as strokes, so that they look the same on every machine, whatever fonts it has. Coordinates are in a box of height 1 and
 * width `DIGIT_WIDTH`, with y downwards.
 */
export const DIGIT_WIDTH = 0.62;

type Point = readonly [x: number, y: number];

/** Part of an ellipse, in degrees clockwise from the right, as a polyline. */
function arc(cx: number, cy: number, rx: number, ry: number, from: number, to: number): Point[] {
  const steps = Math.ceil(Math.abs(to - from) / 18);
  return Array.from({ length: steps + 1 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / steps) * Math.PI) / 180;
    return [cx + rx * Math.cos(angle), cy + ry * Math.sin(angle)] as const;
  });
}

const [W, M] = [DIGIT_WIDTH, DIGIT_WIDTH / 2];

/** Polylines of each digit. */
export const DIGITS: readonly (readonly (readonly Point[])[])[] = [
  [arc(M, 0.5, M, 0.5, 0, 360)],
  [
    [
      [0.1, 0.2],
      [0.36, 0],
      [0.36, 1],
    ],
    [
      [0.08, 1],
      [W, 1],
    ],
  ],
  [[...arc(M, 0.3, M, 0.3, 190, 380), [0, 1], [W, 1]]],
  [[...arc(M, 0.25, M - 0.03, 0.25, 200, 450)], [...arc(M, 0.73, M, 0.27, 270, 520)]],
  [
    [
      [W, 0.72],
      [0, 0.72],
      [0.42, 0],
      [0.42, 1],
    ],
  ],
  [[[W - 0.04, 0], [0.08, 0], [0.04, 0.46], ...arc(M - 0.02, 0.68, M + 0.02, 0.32, 225, 510)]],
  [[...arc(M + 0.1, 0.6, M + 0.1, 0.6, 285, 180)], arc(M, 0.68, M, 0.32, 0, 360)],
  [
    [
      [0, 0],
      [W, 0],
      [0.2, 1],
    ],
  ],
  [arc(M, 0.25, M - 0.05, 0.25, 0, 360), arc(M, 0.74, M, 0.26, 0, 360)],
  [[...arc(M - 0.1, 0.4, M + 0.1, 0.6, 105, 0)], arc(M, 0.32, M, 0.32, 0, 360)],
];
