import { digitsAt, rowWidth } from "./digit-row.js";
import {
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
  ORDINALS,
  PLACES,
  placed,
  type Scene,
  same,
  size,
  type Turn,
  thing,
  turn,
  varied,
} from "./objects.js";
import { box, type Color, type Drawing, type Figure } from "./paint.js";
import type { Random } from "./random.js";

/** Several pictures with questions. */
function picturesOf(kind: string, drawings: readonly Drawing[], turns: readonly Turn[]): Scene {
  return { kind, media: drawings.map((drawing) => [drawing]), clips: false, turns };
}

/** Two pictures of the same place, in the second of which something has changed. */
export function pair(random: Random): Scene {
  const ground = background(random);
  const [width, height] = size(random);
  const what = random.pick(["color", "move", "add", "remove"]);
  const all = items(random, what === "remove" ? 2 : 1, ground.name);
  const before = all.map((item) => placed(random, item, width, height));
  const after = [...before];
  const which = random.whole(0, all.length - 1);
  const item = all[which]!;
  const free = (): number => random.pick(nine.filter((place) => place !== item.place));
  let answer: string;
  if (what === "color") {
    const color = random.pick(COLOR_NAMES.filter((name) => name !== item.color && name !== ground.name));
    const figure = { ...before[which]!.figure, color: varied(random, COLORS[color]) };
    after[which] = { item: { ...item, color }, figure };
    answer = `The ${item.shape} changed from ${item.color} to ${color}.`;
  } else if (what === "move") {
    const moved = placed(random, { ...item, place: free() }, width, height);
    const { radius, color } = before[which]!.figure;
    after[which] = { item: moved.item, figure: { ...moved.figure, radius, color } };
    answer = `The ${item.color} ${item.shape} moved from the ${PLACES[item.place]} to the ${PLACES[moved.item.place]}.`;
  } else if (what === "add") {
    let extra: Item;
    do extra = items(random, 1, ground.name, [free()])[0]!;
    while (all.some((other) => same(other, extra)));
    after.push(placed(random, extra, width, height));
    answer = `${capital(thing(extra))} was added ${at(extra.place)}.`;
  } else {
    after.splice(which, 1);
    answer = `The ${item.color} ${item.shape} was removed.`;
  }
  const drawings = [before, after].map((placed) => ({
    width,
    height,
    background: ground.color,
    figures: placed.map(({ figure }) => figure),
  }));
  return picturesOf("pair", drawings, [
    turn(random.pick(["What changed?", "What is different between the images?"]), answer),
    ...[before, after].map((placed, i) =>
      turn(`Describe the ${ORDINALS[i]} image.`, described(placed.map(({ item }) => item))),
    ),
  ]);
}

/** Pictures that have nothing to do with each other. */
export function gallery(random: Random): Scene {
  const { drawings, contents } = views(random, random.whole(2, 3), () => random.whole(1, 3));
  const turns = [turn("How many images are there?", `There are ${NUMBERS[drawings.length]} images.`)];
  for (const [i, all] of contents.entries()) turns.push(turn(`Describe the ${ORDINALS[i]} image.`, described(all)));
  const counts = contents.map((all) => all.length);
  const most = Math.max(...counts);
  if (counts.filter((count) => count === most).length === 1) {
    turns.push(turn("Which image has the most shapes?", `The ${ORDINALS[counts.indexOf(most)]} image.`));
  }
  turns.push(...finding(contents, "image"));
  return picturesOf("gallery", drawings, turns);
}

/** Pictures of several cameras at one moment: one shape each, or none. */
export function cameras(random: Random): Scene {
  const { drawings, contents } = views(random, 3, () => (random.chance(0.25) ? 0 : random.whole(1, 2)));
  const seen = contents.map(
    (all, i) => `Camera ${i + 1}: ${all.length === 0 ? "nothing" : all.map(thing).join(" and ")}.`,
  );
  const turns = [turn("These are three cameras. What does each see?", seen.join(" ")), ...finding(contents, "camera")];
  const counts = contents.map((all) => all.length);
  const most = Math.max(...counts);
  if (counts.filter((count) => count === most).length === 1) {
    turns.push(turn("Which camera sees the most?", `The ${ORDINALS[counts.indexOf(most)]} camera.`));
  }
  return picturesOf("cameras", drawings, turns);
}

function views(random: Random, count: number, itemsOf: () => number): { drawings: Drawing[]; contents: Item[][] } {
  const contents: Item[][] = [];
  const drawings = Array.from({ length: count }, () => {
    const ground = background(random);
    const [width, height] = size(random);
    const all = items(random, itemsOf(), ground.name);
    contents.push(all);
    return {
      width,
      height,
      background: ground.color,
      figures: all.map((item) => placed(random, item, width, height).figure),
    };
  });
  return { drawings, contents };
}

/** "Which image has a red circle?", for what is in one of them only. */
function finding(contents: readonly (readonly Item[])[], noun: "image" | "camera"): Turn[] {
  return contents.flatMap((all, i) =>
    all
      .filter((item) => contents.every((others, k) => k === i || !others.some((other) => same(other, item))))
      .map((item) =>
        turn(`Which ${noun} ${noun === "image" ? "has" : "sees"} ${thing(item)}?`, `The ${ORDINALS[i]} ${noun}.`),
      ),
  );
}

/** Screenshots of an app: a title bar, a number and a button. */
export function screenshots(random: Random): Scene {
  const count = random.whole(2, 3);
  const numbers = random.some([...Array(10).keys()], count);
  const buttons = Array.from({ length: count }, () => random.pick(BUTTONS));
  const bar = varied(
    random,
    random.pick<Color>([
      [70, 74, 84],
      [120, 128, 140],
    ]),
    6,
  );
  const paper = varied(random, [246, 247, 249], 5);
  const [width, height] = [126, 126];
  const weight = random.between(0.12, 0.19);
  const drawings = numbers.map((number, i): Drawing => {
    const text = String(number);
    const dots = [10, 20, 30].map((x): Figure => ({ kind: "circle", x, y: 9, radius: 3, color: [230, 232, 236] }));
    return {
      width,
      height,
      background: paper,
      figures: [
        box(0, 0, width, 18, bar),
        ...dots,
        ...digitsAt(text, 63 - rowWidth(text, 46, weight) / 2, 30, 46, weight, [20, 20, 20]),
        box(28, 90, 98, 112, varied(random, COLORS[buttons[i]!])),
      ],
    };
  });
  const turns = numbers.flatMap((number, i) => [
    turn(`Which screenshot shows ${number}?`, `The ${ORDINALS[i]} screenshot.`),
    turn(`What color is the button in the ${ORDINALS[i]} screenshot?`, `The button is ${buttons[i]}.`),
    turn(`What number is in the ${ORDINALS[i]} screenshot?`, `The number is ${number}.`),
  ]);
  turns.push(
    turn(
      "Compare the screenshots.",
      `${numbers.map((number, i) => `${capital(ORDINALS[i]!)}: ${number} and ${buttonOf(buttons[i]!)}`).join(". ")}.`,
    ),
  );
  return picturesOf("screenshots", drawings, turns);
}

const BUTTONS: readonly ColorName[] = ["red", "green", "blue", "purple", "orange"];

function buttonOf(color: ColorName): string {
  return `${color === "orange" ? "an" : "a"} ${color} button`;
}
