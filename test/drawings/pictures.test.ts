import { expect, test } from "vitest";
import { COLORS, type ColorName, PLACES, type Scene } from "../../src/drawings/objects.js";
import { paint } from "../../src/drawings/paint.js";
import { chart, marks, number, shapes, table } from "../../src/drawings/pictures.js";
import { Random } from "../../src/drawings/random.js";

// The answers say what the pixels show.

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

/** The name of the colour that is nearest to a pixel. */
function colorAt(scene: Scene, x: number, y: number): string {
  const { data, width } = paint(scene.media[0]![0]!);
  const at = 4 * (Math.floor(y) * width + Math.floor(x));
  const distance = (name: ColorName) => COLORS[name].reduce((sum, level, c) => sum + (level - data[at + c]!) ** 2, 0);
  return (Object.keys(COLORS) as ColorName[]).sort((a, b) => distance(a) - distance(b))[0]!;
}

function answerTo(scene: Scene, question: RegExp): string | undefined {
  return scene.turns.find((turn) => question.test(turn.question))?.answer;
}

test("a described shape has its colour at its place", () => {
  for (const seed of SEEDS) {
    const scene = shapes(new Random(seed));
    const { figures, width, height } = scene.media[0]![0]!;
    const said = answerTo(scene, /^Describe the image\.$|^What is in the image|^What do you see/)!;
    const parts = said.toLowerCase().replace(".", "").split(", ");
    expect(parts.length).toBe(figures.length);
    for (const part of parts) {
      const [, color, shape, place] = /^an? (\w+) (\w+) (?:at|on) the (.+)$/.exec(part)!;
      const index = PLACES.indexOf(place!);
      const figure = figures.find(
        (one) =>
          "radius" in one &&
          Math.floor((3 * one.x) / width) === index % 3 &&
          Math.floor((3 * one.y) / height) === Math.floor(index / 3),
      )!;
      expect(figure.kind).toBe(shape);
      if ("radius" in figure) expect(colorAt(scene, figure.x, figure.y)).toBe(color);
    }
  }
});

test("a number has its digits", () => {
  for (const seed of SEEDS) {
    const scene = number(new Random(seed));
    const digits = scene.media[0]![0]!.figures.map((figure) => (figure.kind === "digit" ? figure.digit : "?"));
    expect(answerTo(scene, /^What number|^Read the number|^What does the image say/)).toBe(
      `The number is ${digits.join("")}.`,
    );
  }
});

test("the tallest bar of a chart is the one that begins highest", () => {
  for (const seed of SEEDS) {
    const scene = chart(new Random(seed));
    const said = /^The (\w+) bar/.exec(answerTo(scene, /tallest/)!)![1];
    const bars = scene.media[0]![0]!.figures.flatMap((figure) =>
      figure.kind === "box" && figure.bottom - figure.top > 8 && figure.right - figure.left > 8 ? [figure] : [],
    );
    const highest = bars.sort((a, b) => a.top - b.top)[0]!;
    expect(colorAt(scene, (highest.left + highest.right) / 2, (highest.top + highest.bottom) / 2)).toBe(said);
  }
});

test("a table is read row by row", () => {
  for (const seed of SEEDS) {
    const scene = table(new Random(seed));
    const digits = scene.media[0]![0]!.figures.flatMap((figure) => (figure.kind === "digit" ? [figure] : []));
    const said = answerTo(scene, /^Read the table|^Describe the image/)!;
    expect(said.replace(/\D/g, "")).toBe(digits.map(({ digit }) => digit).join(""));
    expect(answerTo(scene, /row 1, column 1/)).toBe(`${/\d+/.exec(said)![0]}.`);
  }
});

test("a mark is drawn over the shape that it names", () => {
  for (const seed of SEEDS) {
    const scene = marks(new Random(seed));
    const { figures } = scene.media[0]![0]!;
    for (const { question, answer } of scene.turns.filter((turn) => turn.question.startsWith("What is mark"))) {
      const label = Number(/\d/.exec(question)![0]);
      const digit = figures.find((figure) => figure.kind === "digit" && figure.digit === label)!;
      const shape = figures.findLast(
        (figure, i) => "radius" in figure && i < figures.indexOf(digit) && figures.indexOf(digit) - i <= 3,
      )!;
      expect(answer).toMatch(new RegExp(`^Mark ${label} is the \\w+ ${shape.kind}\\.$`));
    }
  }
});
