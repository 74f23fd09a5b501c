import {
  background,
  COLOR_NAMES,
  COLORS,
  type ColorName,
  capital,
  middle,
  ORDINALS,
  type Scene,
  SHAPES,
  type ShapeName,
  size,
  thing,
  turn,
  varied,
} from "./objects.js";
import type { Drawing } from "./paint.js";
import type { Random } from "./random.js";

/** From one place to another, and what that is called. */
const WAYS = [
  [3, 5, "right"],
  [5, 3, "left"],
  [1, 7, "down"],
  [7, 1, "up"],
  [0, 8, "down and right"],
  [2, 6, "down and left"],
  [6, 2, "up and right"],
  [8, 0, "up and left"],
] as const;

interface Event {
  readonly frames: readonly Drawing[];
  readonly shape: ShapeName;
  readonly color: ColorName;
  /** "A red circle moves right". */
  readonly told: string;
  readonly way?: string;
  readonly turns: boolean;
}

/** One shape in some frames: it moves, grows, shrinks, appears, disappears, changes its colour or stays still. */
function event(random: Random, count: number): Event {
  const ground = background(random);
  const [width, height] = size(random);
  const colors = COLOR_NAMES.filter((name) => name !== ground.name);
  const [color, next] = random.some(colors, 2) as [ColorName, ColorName];
  const shape = random.pick(SHAPES);
  const what = random.pick([
    "moves",
    "moves",
    "moves",
    "turns",
    "grows",
    "shrinks",
    "appears",
    "disappears",
    "stays still",
  ]);
  const [from, to, way] = what === "moves" ? random.pick(WAYS) : ([4, 4, undefined] as const);
  const [x0, y0] = middle(random, from, width, height);
  const [x1, y1] = what === "moves" ? middle(random, to, width, height) : [x0, y0];
  const first = varied(random, COLORS[color]);
  const second = varied(random, COLORS[next]);
  const radius = random.between(0.14, 0.18);
  const change = random.whole(1, count - 1);
  const frames = Array.from({ length: count }, (_, k): Drawing => {
    const t = k / (count - 1);
    const share = what === "grows" ? 0.08 + 0.22 * t : what === "shrinks" ? 0.3 - 0.22 * t : radius;
    const hidden = (what === "appears" && k < change) || (what === "disappears" && k >= change);
    const figure = {
      kind: shape,
      x: x0 + (x1 - x0) * t,
      y: y0 + (y1 - y0) * t,
      radius: share * Math.min(width, height),
      color: what === "turns" && k >= change ? second : first,
    };
    return { width, height, background: ground.color, figures: hidden ? [] : [figure] };
  });
  const told =
    what === "turns"
      ? `a ${shape} turns from ${color} to ${next}`
      : `${thing({ color, shape })} ${what}${way === undefined ? "" : ` ${way}`}`;
  return { frames, shape, color, told, turns: what === "turns", ...(way !== undefined && { way }) };
}

export function clip(random: Random): Scene {
  const { frames, shape, color, told, way, turns } = event(random, random.pick([4, 6, 8]));
  return {
    kind: "clip",
    media: [frames],
    clips: true,
    turns: [
      turn(random.pick(["What happens in the video?", "Describe the video."]), `${capital(told)}.`),
      ...(way === undefined ? [] : [turn(`Which way does the ${shape} move?`, `It moves ${way}.`)]),
      ...(turns ? [] : [turn(`What color is the ${shape}?`, `The ${shape} is ${color}.`)]),
    ],
  };
}

/** Two clips that are compared. */
export function clips(random: Random): Scene {
  const count = random.pick([4, 6]);
  const both = [event(random, count), event(random, count)];
  const turns = [
    turn(
      "What happens in each video?",
      `${both.map(({ told }, i) => `${capital(ORDINALS[i]!)}: ${told}`).join(". ")}.`,
    ),
    ...both.map(({ told }, i) => turn(`What happens in the ${ORDINALS[i]} video?`, `${capital(told)}.`)),
  ];
  if (both[0]!.shape !== both[1]!.shape) {
    turns.push(...both.map(({ shape }, i) => turn(`Which video has a ${shape}?`, `The ${ORDINALS[i]} video.`)));
  }
  return { kind: "clips", media: both.map(({ frames }) => frames), clips: true, turns };
}
