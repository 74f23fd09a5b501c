import type { Color, Drawing, Figure } from "./paint.js";
import type { Random } from "./random.js";

/** A question with its right answer. */
export interface Turn {
  readonly question: string;
  readonly answer: string;
}

/** A picture, several pictures or clips, with questions about them. */
export interface Scene {
  readonly kind: string;
  /** One drawing per picture, or per frame of a clip. */
  readonly media: readonly (readonly Drawing[])[];
  /** Whether the media are clips. */
  readonly clips: boolean;
  readonly turns: readonly Turn[];
}

export const COLORS = {
  red: [214, 40, 40],
  green: [44, 160, 66],
  blue: [38, 84, 214],
  yellow: [244, 208, 36],
  purple: [132, 52, 176],
  orange: [244, 132, 24],
  black: [20, 20, 20],
  white: [250, 250, 250],
} as const satisfies Record<string, Color>;
export type ColorName = keyof typeof COLORS;
export const COLOR_NAMES = Object.keys(COLORS) as ColorName[];

const BACKGROUNDS = {
  white: [255, 255, 255],
  gray: [196, 200, 204],
  sky: [206, 228, 246],
  black: [24, 26, 32],
} as const satisfies Record<string, Color>;
export type BackgroundName = keyof typeof BACKGROUNDS;

export const SHAPES = ["circle", "square", "triangle", "star"] as const;
export type ShapeName = (typeof SHAPES)[number];

/** The nine places of a drawing, row by row. */
export const PLACES = [
  "top left",
  "top",
  "top right",
  "left",
  "center",
  "right",
  "bottom left",
  "bottom",
  "bottom right",
];
export const NUMBERS = ["no", "one", "two", "three", "four", "five"];
export const ORDINALS = ["first", "second", "third"];

/** A shape at one of the nine places. */
export interface Item {
  readonly shape: ShapeName;
  readonly color: ColorName;
  readonly place: number;
}

/** Changes each channel a little, so that no colour is one exact value. */
export function varied(random: Random, color: Color, amount = 14): Color {
  const [red, green, blue] = color.map((level) => Math.max(0, Math.min(255, level + random.whole(-amount, amount))));
  return [red!, green!, blue!];
}

export function background(random: Random): { name: BackgroundName; color: Color } {
  const name = random.pick(Object.keys(BACKGROUNDS) as BackgroundName[]);
  return { name, color: varied(random, BACKGROUNDS[name], 6) };
}

/** Different shapes at different places, none in the colour of the background. */
export function items(random: Random, count: number, on: BackgroundName, places = random.some(nine, count)): Item[] {
  const colors = COLOR_NAMES.filter((name) => name !== on);
  const found: Item[] = [];
  for (const place of places.toSorted((a, b) => a - b)) {
    let item: Item;
    do item = { shape: random.pick(SHAPES), color: random.pick(colors), place };
    while (found.some((other) => same(other, item)));
    found.push(item);
  }
  return found;
}

export const nine: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/** Whether two items look the same, wherever they are. */
export function same(a: Pick<Item, "shape" | "color">, b: Pick<Item, "shape" | "color">): boolean {
  return a.shape === b.shape && a.color === b.color;
}

/** The middle of a place, in pixels, a little beside it. */
export function middle(
  random: Random,
  place: number,
  width: number,
  height: number,
  spread = 0.04,
): [x: number, y: number] {
  const along = (index: number, size: number) => size * ((index + 0.5) / 3 + random.between(-spread, spread));
  return [along(place % 3, width), along(Math.floor(place / 3), height)];
}

/** Where an item is drawn, how large, and in which exact colour: drawn twice, it stays where it was. */
export interface Placed {
  readonly item: Item;
  readonly figure: Extract<Figure, { kind: ShapeName }>;
}

export function placed(
  random: Random,
  item: Item,
  width: number,
  height: number,
  share = random.between(0.11, 0.145),
): Placed {
  const radius = share * Math.min(width, height);
  const [x, y] = middle(random, item.place, width, height);
  const within = (at: number, size: number): number => Math.max(radius + 1, Math.min(size - radius - 1, at));
  const color = varied(random, COLORS[item.color]);
  return { item, figure: { kind: item.shape, x: within(x, width), y: within(y, height), radius, color } };
}

export function thing({ color, shape }: Pick<Item, "shape" | "color">): string {
  return `${"aeiou".includes(color[0]!) ? "an" : "a"} ${color} ${shape}`;
}

export function at(place: number): string {
  const name = PLACES[place]!;
  return name === "left" || name === "right" ? `on the ${name}` : `at the ${name}`;
}

export function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

/** "A red circle at the top, a blue star on the right." */
export function described(all: readonly Item[]): string {
  const ordered = all.toSorted((a, b) => a.place - b.place);
  return `${capital(ordered.map((item) => `${thing(item)} ${at(item.place)}`).join(", "))}.`;
}

export function turn(question: string, answer: string): Turn {
  return { question, answer };
}

/** Width and height: of one tile, two beside or above each other, or four. */
export function size(random: Random, columns = 1, rows = 1): [width: number, height: number] {
  if (random.chance(0.5)) return [126 * columns, 126 * rows];
  const width = random.whole(100, 126) * columns;
  const height = random.whole(100, 126) * rows;
  return [width, height];
}

/** Mostly one tile. */
export function anySize(random: Random): [width: number, height: number] {
  const chance = random.next();
  if (chance < 0.8) return size(random);
  if (chance < 0.88) return size(random, 2, 1);
  if (chance < 0.96) return size(random, 1, 2);
  return size(random, 2, 2);
}
