import { expect, test } from "vitest";
import type { Scene } from "../../src/drawings/objects.js";
import { Random } from "../../src/drawings/random.js";
import { cameras, gallery, pair, screenshots } from "../../src/drawings/several.js";

const SEEDS = Array.from({ length: 60 }, (_, seed) => seed);
const countsOf = (scene: Scene) => scene.media.map(([drawing]) => drawing!.figures.length);

test("what changed is the difference of the two drawings", () => {
  const seen = new Set<string>();
  for (const seed of SEEDS) {
    const scene = pair(new Random(seed));
    const { answer } = scene.turns[0]!;
    const [before, after] = countsOf(scene);
    const [first, second] = scene.media.map(([drawing]) => JSON.stringify(drawing));
    const kind = /added|removed|moved|changed/.exec(answer)![0];
    seen.add(kind);
    expect(after! - before!).toBe(kind === "added" ? 1 : kind === "removed" ? -1 : 0);
    expect(first).not.toBe(second);
  }
  expect(seen.size).toBe(4);
});

test("the image with the most shapes has them, and there is no question about it where two have", () => {
  for (const seed of SEEDS) {
    const scene = gallery(new Random(seed));
    const counts = countsOf(scene);
    const most = Math.max(...counts);
    const said = scene.turns.find(({ question }) => question.endsWith("the most shapes?"))?.answer;
    const alone = counts.filter((count) => count === most).length === 1;
    expect(said).toBe(alone ? `The ${["first", "second", "third"][counts.indexOf(most)]} image.` : undefined);
  }
});

test("a camera that sees nothing says so", () => {
  for (const seed of SEEDS) {
    const scene = cameras(new Random(seed));
    for (const [i, count] of countsOf(scene).entries())
      expect(scene.turns[0]!.answer.includes(`Camera ${i + 1}: nothing.`)).toBe(count === 0);
  }
});

test("screenshots show the number that is asked for", () => {
  for (const seed of SEEDS) {
    const scene = screenshots(new Random(seed));
    for (const [i, [drawing]] of scene.media.entries()) {
      const digits = drawing!.figures.flatMap((figure) => (figure.kind === "digit" ? [figure.digit] : []));
      const name = ["first", "second", "third"][i];
      const { answer } = scene.turns.find(({ question }) => question === `What number is in the ${name} screenshot?`)!;
      expect(answer).toBe(`The number is ${digits.join("")}.`);
    }
  }
});
