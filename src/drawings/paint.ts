import { DIGIT_WIDTH, DIGITS } from "./digits.js";

/** RGB, 0 to 255. */
export type Color = readonly [red: number, green: number, blue: number];

/** What a drawing is made of; lengths in pixels. */
export type Figure =
  | {
      readonly kind: "circle" | "square" | "triangle" | "star";
      readonly x: number;
      readonly y: number;
      readonly radius: number;
      readonly color: Color;
    }
  | {
      readonly kind: "box";
      readonly left: number;
      readonly top: number;
      readonly right: number;
      readonly bottom: number;
      readonly color: Color;
    }
  | Digit;

/** A rectangle between these sides. */
export function box(left: number, top: number, right: number, bottom: number, color: Color): Figure {
  return { kind: "box", left, top, right, bottom, color };
}

/** A digit of `height` whose box begins at `left` and `top`; `weight` is the thickness of its strokes as a share of the height. */
export interface Digit {
  readonly kind: "digit";
  readonly digit: number;
  readonly left: number;
  readonly top: number;
  readonly height: number;
  readonly weight: number;
  readonly color: Color;
}

export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly background: Color;
  /** Later figures cover earlier ones. */
  readonly figures: readonly Figure[];
}

/** Samples in each direction of a pixel. */
const SAMPLES = 4;

interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
  /** Whether it is all of its box. */
  readonly isBox?: boolean;
  inside(x: number, y: number): boolean;
}

/** RGBA8 pixels `[height, width, 4]`, as `image` of a message and the constructor of ImageData take them. */
export interface Painted {
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
}

/** Draws a background and its figures. */
export function paint({ width, height, background, figures }: Drawing): Painted {
  const data = new Uint8ClampedArray(4 * width * height);
  const [red, green, blue] = background;
  new Uint32Array(data.buffer).fill(new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer)[0]!);
  const painted = { data, width, height };
  paintOver(painted, figures);
  return painted;
}

/** Draws figures over a picture, smoothed at their edges. */
export function paintOver({ data, width, height }: Painted, figures: readonly Figure[]): void {
  for (const figure of figures) {
    const color = [...figure.color, 255];
    cover(areaOf(figure), width, height, (pixel, share) => {
      for (let c = 0; c < 4; c++) data[4 * pixel + c] = data[4 * pixel + c]! * (1 - share) + color[c]! * share;
    });
  }
}

/** Calls `put` with every pixel that a figure covers, and the covered share of the pixel. */
export function coverage(
  figure: Figure,
  width: number,
  height: number,
  put: (pixel: number, share: number) => void,
): void {
  cover(areaOf(figure), width, height, put);
}

function cover(area: Area, width: number, height: number, put: (pixel: number, share: number) => void): void {
  const [x0, x1] = [Math.max(0, Math.floor(area.left)), Math.min(width, Math.ceil(area.right))];
  const [y0, y1] = [Math.max(0, Math.floor(area.top)), Math.min(height, Math.ceil(area.bottom))];
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      if (area.isBox) {
        const wide = Math.min(x + 1, area.right) - Math.max(x, area.left);
        put(y * width + x, wide * (Math.min(y + 1, area.bottom) - Math.max(y, area.top)));
        continue;
      }
      let hits = 0;
      for (let j = 0; j < SAMPLES; j++) {
        for (let i = 0; i < SAMPLES; i++) {
          if (area.inside(x + (i + 0.5) / SAMPLES, y + (j + 0.5) / SAMPLES)) hits++;
        }
      }
      if (hits > 0) put(y * width + x, hits / SAMPLES ** 2);
    }
  }
}

function areaOf(figure: Figure): Area {
  switch (figure.kind) {
    case "box":
      return { ...figure, isBox: true, inside: () => true };
    case "digit":
      return digitArea(figure);
    default: {
      const { x: cx, y: cy, radius: r } = figure;
      const box = { left: cx - r, top: cy - r, right: cx + r, bottom: cy + r };
      if (figure.kind === "circle") return { ...box, inside: (x, y) => (x - cx) ** 2 + (y - cy) ** 2 <= r * r };
      const s = 0.9 * r;
      if (figure.kind === "square")
        return { left: cx - s, top: cy - s, right: cx + s, bottom: cy + s, isBox: true, inside: () => true };
      const corners: (readonly [number, number])[] =
        figure.kind === "triangle"
          ? [
              [cx, cy - r],
              [cx + r, cy + 0.85 * r],
              [cx - r, cy + 0.85 * r],
            ]
          : Array.from({ length: 10 }, (_, k) => {
              const angle = -Math.PI / 2 + (k * Math.PI) / 5;
              const length = k % 2 === 0 ? r : 0.42 * r;
              return [cx + length * Math.cos(angle), cy + length * Math.sin(angle)];
            });
      return { ...box, inside: (x, y) => isInside(corners, x, y) };
    }
  }
}

/** The even-odd rule. */
function isInside(corners: readonly (readonly [number, number])[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [xi, yi] = corners[i]!;
    const [xj, yj] = corners[j]!;
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

function digitArea({ digit, left, top, height, weight }: Digit): Area {
  const half = (weight * height) / 2;
  // The strokes' middles lie half a stroke inside the box.
  const scale = height - 2 * half;
  // x0, y0, x1, y1 of every segment.
  const segments = new Float64Array(
    DIGITS[digit]!.flatMap((line) =>
      line.slice(1).flatMap((to, i) => {
        const from = line[i]!;
        return [from[0], from[1], to[0], to[1]].map((at, k) => (k % 2 === 0 ? left : top) + half + at * scale);
      }),
    ),
  );
  return {
    left,
    top,
    right: left + digitWidth(height, weight),
    bottom: top + height,
    inside: (x, y) => isNear(segments, x, y, half * half),
  };
}

/** Width in pixels of a digit of a height. */
export function digitWidth(height: number, weight: number): number {
  return DIGIT_WIDTH * height * (1 - weight) + weight * height;
}

/** Whether a point is within a squared distance of any segment. */
function isNear(segments: Float64Array, x: number, y: number, most: number): boolean {
  for (let i = 0; i < segments.length; i += 4) {
    const x0 = segments[i]!;
    const y0 = segments[i + 1]!;
    const dx = segments[i + 2]! - x0;
    const dy = segments[i + 3]! - y0;
    const t = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
    const [ex, ey] = [x - x0 - t * dx, y - y0 - t * dy];
    if (ex * ex + ey * ey <= most) return true;
  }
  return false;
}
