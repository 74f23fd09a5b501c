import { digitsAt, rowWidth } from "./digit-row.js";
import { markAt } from "./mark.js";
import {
  anySize,
  at,
  background,
  COLOR_NAMES,
  COLORS,
  type ColorName,
  capital,
  described,
  type Item,
  items,
  NUMBERS,
  nine,
  placed,
  type Scene,
  SHAPES,
  same,
  type Turn,
  thing,
  turn,
  varied,
} from "./objects.js";
import { box, type Color, type Drawing, digitWidth, type Figure } from "./paint.js";
import type { Random } from "./random.js";

const BLACK: Color = [0, 0, 0];

/** One picture with questions. */
export function pictureOf(kind: string, drawing: Drawing, turns: readonly Turn[]): Scene {
  return { kind, media: [[drawing]], clips: false, turns };
}

export function shapes(random: Random): Scene {
  const ground = background(random);
  const all = items(random, random.pick([1, 1, 2, 2, 3]), ground.name);
  const [width, height] = anySize(random);
  const figures = all.map((item) => placed(random, item, width, height).figure);
  const turns = [
    turn(random.pick(["Describe the image.", "What is in the image?", "What do you see?"]), described(all)),
    turn(random.pick(["How many shapes are there?", "How many shapes do you see?"]), countOf(all.length, "shape")),
  ];
  for (const item of all) {
    if (all.filter(({ shape }) => shape === item.shape).length === 1) {
      turns.push(turn(`What color is the ${item.shape}?`, `The ${item.shape} is ${item.color}.`));
      turns.push(turn(`Where is the ${item.shape}?`, `It is ${at(item.place)}.`));
    }
    if (all.filter(({ color }) => color === item.color).length === 1) {
      turns.push(turn(`Which shape is ${item.color}?`, `The ${item.shape}.`));
    }
  }
  for (const place of [random.pick(all).place, random.pick(nine)]) {
    const there = all.find((item) => item.place === place);
    turns.push(turn(`What is ${at(place)}?`, there ? `${capital(thing(there))}.` : "Nothing."));
  }
  const one = random.pick(all);
  const other = {
    ...one,
    ...(random.chance(0.5) ? { color: random.pick(COLOR_NAMES) } : { shape: random.pick(SHAPES) }),
  };
  for (const asked of [one, other]) {
    turns.push(turn(`Is there ${thing(asked)}?`, all.some((item) => same(item, asked)) ? "Yes." : "No."));
  }
  turns.push(turn("Describe the image in every detail.", inDetail(ground.name, all)));
  turns.push(turn("Write a prompt that turns this image into a video.", asPrompt(ground.name, all)));
  return pictureOf("shapes", { width, height, background: ground.color, figures }, turns);
}

function countOf(count: number, noun: string): string {
  return count === 1 ? `There is one ${noun}.` : `There are ${NUMBERS[count]} ${noun}s.`;
}

function inDetail(ground: string, all: readonly Item[]): string {
  return `The background is ${ground}. ${countOf(all.length, "shape")} ${described(all)}`;
}

/** A prompt for an image-to-video model. */
function asPrompt(ground: string, all: readonly Item[]): string {
  const first = all.toSorted((a, b) => a.place - b.place)[0]!;
  return `${capital(thing(first))} moves slowly over a ${ground} background. The camera stays still, and the light is soft.`;
}

export function number(random: Random): Scene {
  const ground = background(random);
  const [width, height] = anySize(random);
  const text = String(random.whole(0, 10 ** random.pick([1, 2, 2]) - 1));
  const pale = ground.name !== "black";
  const color = random.pick(
    COLOR_NAMES.filter((name) => name !== ground.name && !(pale && (name === "white" || name === "yellow"))),
  );
  const weight = random.between(0.11, 0.2);
  const tall = random.between(0.26, 0.36) * Math.min(width, height);
  const left = random.between(3, width - rowWidth(text, tall, weight) - 3);
  const top = random.between(3, height - tall - 3);
  const figures = digitsAt(text, left, top, tall, weight, varied(random, COLORS[color]));
  return pictureOf("number", { width, height, background: ground.color, figures }, [
    turn(
      random.pick(["What number is written?", "Read the number.", "What does the image say?"]),
      `The number is ${text}.`,
    ),
    turn("What color is the number?", `The number is ${color}.`),
    turn("How many digits are there?", countOf(text.length, "digit")),
    turn("Describe the image.", `The number ${text} in ${color}.`),
  ]);
}

export function chart(random: Random): Scene {
  const [width, height] = anySize(random);
  const count = random.whole(2, 4);
  const colors = random.some(
    COLOR_NAMES.filter((name) => name !== "white"),
    count,
  );
  const heights = random.some([2, 3.5, 5, 6.5, 8, 9.5], count);
  const [left, base, top] = [0.1 * width, 0.9 * height, 0.08 * height];
  const step = (0.86 * width) / count;
  const figures = colors.map((color, i): Figure => {
    const x = left + step * (i + 0.18);
    return box(x, base - ((base - top) * heights[i]!) / 10, x + 0.64 * step, base, varied(random, COLORS[color]));
  });
  figures.push(box(left, top, left + 1, base, BLACK), box(left, base, 0.97 * width, base + 1, BLACK));
  const tallest = colors[heights.indexOf(Math.max(...heights))]!;
  const shortest = colors[heights.indexOf(Math.min(...heights))]!;
  const turns = [
    turn("Which bar is the tallest?", `The ${tallest} bar.`),
    turn("Which bar is the shortest?", `The ${shortest} bar.`),
    turn("How many bars are there?", `There are ${NUMBERS[count]} bars.`),
    turn(random.pick(["Describe the chart.", "Describe the image."]), chartText(colors, tallest)),
    turn("Describe the image in every detail.", `${chartText(colors, tallest)} The shortest is ${shortest}.`),
  ];
  for (let k = 0; k < 2; k++) {
    const [a, b] = random.some([...colors.keys()], 2) as [number, number];
    turns.push(
      turn(`Is the ${colors[a]} bar taller than the ${colors[b]} bar?`, heights[a]! > heights[b]! ? "Yes." : "No."),
    );
  }
  return pictureOf("chart", { width, height, background: varied(random, [250, 250, 250], 5), figures }, turns);
}

function chartText(colors: readonly ColorName[], tallest: ColorName): string {
  return `A bar chart with ${NUMBERS[colors.length]} bars: ${colors.join(", ")}. The tallest is ${tallest}.`;
}

export function table(random: Random): Scene {
  const [width, height] = anySize(random);
  const [rows, columns] = random.pick([
    [2, 2],
    [2, 2],
    [2, 3],
    [3, 2],
  ] as const);
  const cells = Array.from({ length: rows }, () => Array.from({ length: columns }, () => random.whole(0, 9)));
  const [x0, y0] = [0.05 * width, 0.05 * height];
  const [wide, high] = [(0.9 * width) / columns, (0.9 * height) / rows];
  const weight = random.between(0.11, 0.2);
  const tall = random.between(0.55, 0.68) * Math.min(wide / 0.8, high);
  const gray: Color = [60, 60, 60];
  const figures: Figure[] = [];
  for (let r = 0; r <= rows; r++) {
    const y = Math.round(y0 + r * high);
    figures.push(box(Math.round(x0), y, Math.round(x0 + columns * wide) + 1, y + 1, gray));
  }
  for (let c = 0; c <= columns; c++) {
    const x = Math.round(x0 + c * wide);
    figures.push(box(x, Math.round(y0), x + 1, Math.round(y0 + rows * high) + 1, gray));
  }
  const turns: Turn[] = [];
  for (const [r, row] of cells.entries()) {
    for (const [c, value] of row.entries()) {
      const left = x0 + (c + 0.5) * wide - digitWidth(tall, weight) / 2;
      figures.push(...digitsAt(String(value), left, y0 + (r + 0.5) * high - tall / 2, tall, weight, BLACK));
      turns.push(turn(`What is in row ${r + 1}, column ${c + 1}?`, `${value}.`));
    }
  }
  const text = `A table: ${cells.map((row) => row.join(" ")).join("; ")}.`;
  turns.push(turn(random.pick(["Read the table.", "Describe the image."]), text));
  return pictureOf("table", { width, height, background: varied(random, [252, 252, 252], 3), figures }, turns);
}

export function marks(random: Random): Scene {
  const ground = background(random);
  const all = items(random, random.whole(2, 3), ground.name);
  const labels = random.some([1, 2, 3].slice(0, all.length), all.length);
  const [width, height] = anySize(random);
  const figures: Figure[] = [];
  const turns: Turn[] = [];
  for (const [i, item] of all.entries()) {
    const { figure } = placed(random, item, width, height, 0.165);
    // Set by hand, a mark is not exactly in the middle.
    const off = () => random.between(-0.15, 0.15) * figure.radius;
    figures.push(figure, ...markAt(labels[i]!, figure.x + off(), figure.y + off(), Math.min(width, height)));
    turns.push(turn(`What is mark ${labels[i]}?`, `Mark ${labels[i]} is the ${item.color} ${item.shape}.`));
    turns.push(turn(`Which mark is the ${item.color} ${item.shape}?`, `Mark ${labels[i]}.`));
  }
  return pictureOf("marks", { width, height, background: ground.color, figures }, turns);
}
