// Samples to teach the embedded checkpoint with, on standard output, as fast as they are read:
//
//   node scripts/tiny/samples.mjs SEED shapes=4,marks=6,photo=1 [COUNT]
//
// A sample is the length of a header (uint32, little-endian), the header (JSON: kind, media, turns, tiles), the tiles
// [tiles, 126, 126, 3], and a label of every cell of every tile [tiles, 81, 3] (what covers it: colour, shape, digit; 0: nothing),
// which the training predicts besides. Tiles are cut as the library cuts them. Run `npm run build` before.
import { once } from "node:events";
import { COLOR_NAMES, COLORS, SHAPES } from "../../dist/drawings/objects.js";
import { coverage, paint } from "../../dist/drawings/paint.js";
import { Random } from "../../dist/drawings/random.js";
import { SCENES } from "../../dist/drawings/scenes.js";
import { canvasSizes, cutTiles, frameTile, padTile, planAnyres } from "../../dist/io/picture-input.js";

const SIDE = 126;
const CELLS = 9;
const CELL = SIDE / CELLS;
const GRIDS = canvasSizes(Array.from({ length: 36 }, (_, i) => [SIDE * (1 + Math.floor(i / 6)), SIDE * (1 + (i % 6))]));
const PADDING = 127;

/** Samples of a cell's label: every second pixel. A figure counts from a fifth of them on. */
const STEP = 2;
const LEAST = 10;

function rgb({ data, width, height }) {
  const out = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) out.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
  return { data: out, width, height };
}

/** The figure at each pixel of a drawing, counted from 1; a digit counts with the box around it. */
function figuresOf({ width, height, figures }) {
  const map = new Uint8Array(width * height);
  for (const [i, figure] of figures.entries()) {
    const area =
      figure.kind === "digit"
        ? {
            ...figure,
            kind: "box",
            right: figure.left + 0.7 * figure.height,
            bottom: figure.top + figure.height,
          }
        : figure;
    coverage(area, width, height, (pixel, share) => {
      if (share >= 0.5) map[pixel] = i + 1;
    });
  }
  return map;
}

function nearestColor(color) {
  const distance = (name) => COLORS[name].reduce((sum, level, channel) => sum + (level - color[channel]) ** 2, 0);
  return COLOR_NAMES.indexOf(COLOR_NAMES.toSorted((a, b) => distance(a) - distance(b))[0]) + 1;
}

/** Colour, shape and digit of a figure, each from 1, or 0. Lines and black boxes have none. */
function classesOf(figure) {
  if (figure.kind === "digit") return [nearestColor(figure.color), 0, figure.digit + 1];
  if (figure.kind !== "box") return [nearestColor(figure.color), SHAPES.indexOf(figure.kind) + 1, 0];
  const area = figure.right - figure.left > 6 && figure.bottom - figure.top > 6;
  return [area && Math.max(...figure.color) > 13 ? nearestColor(figure.color) : 0, 0, 0];
}

/** Classes of all figures. A mark has the colour and shape of what it is on, and that has the mark's digit: so marks are bound to things. */
function classesOfAll({ figures }, kind) {
  const classes = figures.map(classesOf);
  if (kind !== "marks") return classes;
  let first = 0;
  for (const [i, figure] of figures.entries()) {
    if (SHAPES.includes(figure.kind)) first = i;
    if (figure.kind !== "digit") continue;
    const [color, shape] = classes[first];
    classes.fill([color, shape, figure.digit + 1], first, i + 1);
  }
  return classes;
}

/** Labels of one tile; `place` gives the drawing's pixel at a pixel of the tile. */
function labelsOf(drawing, kind, map, place) {
  const labels = new Uint8Array(CELLS * CELLS * 3);
  const classes = classesOfAll(drawing, kind);
  for (let cell = 0; cell < CELLS * CELLS; cell++) {
    const counts = [new Map(), new Map(), new Map()];
    for (let v = 1; v < CELL; v += STEP) {
      for (let u = 1; u < CELL; u += STEP) {
        const [x, y] = place((cell % CELLS) * CELL + u, Math.floor(cell / CELLS) * CELL + v).map(Math.floor);
        const figure = x >= 0 && y >= 0 && x < drawing.width && y < drawing.height ? map[y * drawing.width + x] : 0;
        if (figure === 0) continue;
        for (const [k, count] of counts.entries()) {
          const label = classes[figure - 1][k];
          if (label > 0) count.set(label, (count.get(label) ?? 0) + 1);
        }
      }
    }
    for (const [k, count] of counts.entries()) {
      const [label, times] = [...count].toSorted((a, b) => b[1] - a[1])[0] ?? [0, 0];
      if (times >= LEAST) labels[3 * cell + k] = label;
    }
  }
  return labels;
}

/** Tiles, labels and the header's entry of one drawing. */
function pictureTiles(drawing, kind, several) {
  const pixels = rgb(paint(drawing));
  const map = figuresOf(drawing);
  const { width, height } = drawing;
  if (several) {
    const side = Math.max(width, height);
    const [left, top] = [Math.floor((side - width) / 2), Math.floor((side - height) / 2)];
    const labels = labelsOf(drawing, kind, map, (x, y) => [(x * side) / SIDE - left, (y * side) / SIDE - top]);
    return { type: "pad", tiles: [padTile(pixels, SIDE, PADDING)], labels: [labels] };
  }
  const plan = planAnyres(width, height, GRIDS, SIDE);
  const labels = [labelsOf(drawing, kind, map, (x, y) => [(x * width) / SIDE, (y * height) / SIDE])];
  for (let row = 0; row < plan.rows; row++) {
    for (let column = 0; column < plan.columns; column++) {
      const place = (x, y) => [
        ((x + column * SIDE - plan.offsetX) * width) / plan.resizedWidth,
        ((y + row * SIDE - plan.offsetY) * height) / plan.resizedHeight,
      ];
      labels.push(labelsOf(drawing, kind, map, place));
    }
  }
  const grid = { w: width, h: height, cols: plan.columns, rows: plan.rows };
  return { type: "anyres", tiles: [cutTiles(pixels, plan, SIDE)], labels, ...grid };
}

function clipTiles(frames) {
  const tiles = frames.map((drawing) => frameTile(rgb(paint(drawing)), SIDE));
  const labels = frames.map((drawing) =>
    labelsOf(drawing, "clip", figuresOf(drawing), (x, y) => [(x * drawing.width) / SIDE, (y * drawing.height) / SIDE]),
  );
  return { type: "video", tiles, labels, frames: frames.length };
}

const UNKNOWN = [
  "Describe the image.",
  "What is in the image?",
  "What do you see?",
  "What is this?",
  "Describe this picture.",
  "What is in this picture?",
  "Who is this?",
  "What does the image say?",
];

/** Neither shapes nor digits: smooth fields of colour with grain, like photographs seen from afar. */
function photo(random) {
  const data = new Uint8Array(3 * SIDE * SIDE);
  const knots = random.whole(2, 9);
  const field = () => Array.from({ length: (knots + 2) ** 2 }, () => random.between(0, 255));
  const fields = [field(), field(), field()];
  const gray = random.chance(0.6);
  const tint = [0, 0, 0].map(() => (gray ? random.between(-70, 70) : 0));
  const grain = random.between(2, 40);
  const blend = (values, x, y) => {
    const [i, j] = [Math.floor(x), Math.floor(y)];
    const [u, v] = [x - i, y - j].map((t) => t * t * (3 - 2 * t));
    const at = (a, b) => values[(j + b) * (knots + 2) + i + a];
    return (at(0, 0) * (1 - u) + at(1, 0) * u) * (1 - v) + (at(0, 1) * (1 - u) + at(1, 1) * u) * v;
  };
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const shade = random.between(-grain / 2, grain / 2);
      for (let c = 0; c < 3; c++) {
        const level = blend(fields[gray ? 0 : c], (x / SIDE) * knots, (y / SIDE) * knots) + tint[c] + shade;
        data[3 * (y * SIDE + x) + c] = Math.max(0, Math.min(255, level));
      }
    }
  }
  const plan = planAnyres(SIDE, SIDE, GRIDS, SIDE);
  const tiles = [cutTiles({ data, width: SIDE, height: SIDE }, plan, SIDE)];
  const labels = [new Uint8Array(2 * CELLS * CELLS * 3)];
  const turns = random.some(UNKNOWN, 4).map((question) => ({ question, answer: "I only know drawings." }));
  return { media: [{ type: "anyres", tiles, labels, w: SIDE, h: SIDE, cols: 1, rows: 1 }], turns };
}

function sample(random, kind) {
  if (kind === "photo") return photo(random);
  const { media, clips, turns } = SCENES[kind](random);
  if (clips) return { media: media.map(clipTiles), turns };
  return { media: media.map(([drawing]) => pictureTiles(drawing, kind, media.length > 1)), turns };
}

// The training has ended.
process.stdout.on("error", () => process.exit());

const [seed, weights, most = "Infinity"] = process.argv.slice(2);
const kinds = weights.split(",").map((entry) => entry.split("="));
const sum = kinds.reduce((total, [, weight]) => total + Number(weight), 0);

function pickKind(random) {
  let left = random.next() * sum;
  for (const [kind, weight] of kinds) {
    left -= Number(weight);
    if (left < 0) return kind;
  }
  return kinds[0][0];
}

const random = new Random(Number(seed));
for (let n = 0; n < Number(most); n++) {
  const kind = pickKind(random);
  const { media, turns } = sample(random, kind);
  let tiles = 0;
  const described = media.map(({ tiles: _, labels, ...rest }) => {
    const first = tiles;
    tiles += labels.reduce((count, label) => count + label.length, 0) / (CELLS * CELLS * 3);
    return { ...rest, first };
  });
  const header = { kind, tiles, media: described, turns: turns.map(({ question, answer }) => [question, answer]) };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  const parts = [length, json, ...media.flatMap((m) => m.tiles), ...media.flatMap((m) => m.labels)];
  if (!process.stdout.write(Buffer.concat(parts))) await once(process.stdout, "drain");
}
