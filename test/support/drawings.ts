import type { RawPixels } from "../../src/io/pictures/picture-input.js";

/** A drawing as the embedded checkpoint knows them: shapes on a plain ground, each in one of nine places. */
export interface Drawing {
  readonly picture: RawPixels;
  readonly objects: readonly DrawnObject[];
}

export interface DrawnObject {
  readonly shape: (typeof SHAPES)[number];
  readonly color: string;
  /** Whether the object covers a point, in pixels. */
  readonly covers: (x: number, y: number) => boolean;
}

const COLORS: Readonly<Record<string, readonly [number, number, number]>> = {
  red: [214, 40, 40],
  green: [44, 160, 66],
  blue: [38, 84, 214],
  yellow: [244, 208, 36],
  purple: [132, 52, 176],
  orange: [244, 132, 24],
};
const GROUNDS = [
  [255, 255, 255],
  [196, 200, 204],
  [206, 228, 246],
  [24, 26, 32],
] as const;
const SHAPES = ["circle", "square", "triangle", "star"] as const;
/** Pictures of one tile, two beside or above each other, and four. */
const SIZES = [
  [126, 126],
  [112, 100],
  [230, 112],
  [108, 210],
  [240, 220],
] as const;

/** The `n`-th drawing of a series; the same every time. */
export function drawing(series: number, n: number): Drawing {
  const random = mulberry(series * 1000 + n);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const [width, height] = SIZES[n % SIZES.length]!;
  const ground = pick(GROUNDS);
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = ground[i % 3]!;
  const shapes = shuffled(SHAPES, random).slice(0, 1 + Math.floor(random() * 3));
  const places = shuffled([0, 1, 2, 3, 4, 5, 6, 7, 8], random);
  const colors = shuffled(Object.keys(COLORS), random);
  const objects = shapes.map((shape, i): DrawnObject => {
    const x = width * (((places[i]! % 3) + 0.5) / 3 + 0.1 * random() - 0.05);
    const y = height * ((Math.floor(places[i]! / 3) + 0.5) / 3 + 0.1 * random() - 0.05);
    const radius = (0.105 + 0.04 * random()) * Math.min(width, height);
    return { shape, color: colors[i]!, covers: (px, py) => inside(shape, (px - x) / radius, (py - y) / radius) };
  });
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const object = objects.find(({ covers }) => covers(x + 0.5, y + 0.5));
      if (object) data.set(COLORS[object.color]!, (y * width + x) * 3);
    }
  }
  return { picture: { data, width, height }, objects };
}

function inside(shape: DrawnObject["shape"], x: number, y: number): boolean {
  switch (shape) {
    case "circle":
      return x * x + y * y <= 1;
    case "square":
      return Math.max(Math.abs(x), Math.abs(y)) <= 0.9;
    case "triangle":
      return y <= 0.85 && y >= -1 && Math.abs(x) <= (y + 1) / 1.85;
    case "star": {
      // Five points: between two of them the edge runs from the tip, at 1, to the notch, at 0.42.
      const fifth = (2 * Math.PI) / 5;
      const angle = Math.atan2(x, -y);
      const off = Math.abs(angle - fifth * Math.round(angle / fifth));
      const [u, v] = [Math.hypot(x, y) * Math.cos(off), Math.hypot(x, y) * Math.sin(off)];
      const [nx, ny] = [0.42 * Math.cos(fifth / 2), 0.42 * Math.sin(fifth / 2)];
      return (u - 1) * ny + v * (1 - nx) <= 0;
    }
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all;
}

/** Mulberry32: numbers from 0 to 1. Source: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
