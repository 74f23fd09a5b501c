import { expect, test } from "vitest";
import { clip, clips } from "../../src/drawings/clips.js";
import type { Drawing } from "../../src/drawings/paint.js";
import { Random } from "../../src/drawings/random.js";

const SEEDS = Array.from({ length: 80 }, (_, seed) => seed);

/** Where the shape is, how large, and in which colour; undefined where there is none. */
function shapeOf(drawing: Drawing) {
  const [figure] = drawing.figures;
  return figure && "radius" in figure ? figure : undefined;
}

test("a clip shows what is told", () => {
  const seen = new Set<string>();
  for (const seed of SEEDS) {
    const scene = clip(new Random(seed));
    const frames = scene.media[0]!;
    const [first, last] = [shapeOf(frames[0]!), shapeOf(frames.at(-1)!)];
    const told = scene.turns[0]!.answer;
    const [kind] = /moves|turns|grows|shrinks|disappears|appears|stays still/.exec(told)!;
    seen.add(kind);
    if (kind === "appears") expect([first, last !== undefined]).toEqual([undefined, true]);
    else if (kind === "disappears") expect([first !== undefined, last]).toEqual([true, undefined]);
    else if (!first || !last) throw new Error("no shape");
    else if (kind === "grows") expect(last.radius).toBeGreaterThan(2 * first.radius);
    else if (kind === "shrinks") expect(first.radius).toBeGreaterThan(2 * last.radius);
    else if (kind === "turns") expect(last.color).not.toEqual(first.color);
    else if (kind === "stays still") expect(last).toEqual(first);
    else {
      const { width, height } = frames[0]!;
      const [x, y] = [(last.x - first.x) / width, (last.y - first.y) / height];
      expect(x > 0.3).toBe(told.includes("right"));
      expect(x < -0.3).toBe(told.includes("left"));
      expect(y > 0.3).toBe(told.includes("down"));
      expect(y < -0.3).toBe(told.includes("up"));
    }
  }
  expect(seen.size).toBe(7);
});

test("two clips have as many frames, and their own events", () => {
  for (const seed of SEEDS.slice(0, 20)) {
    const scene = clips(new Random(seed));
    expect(scene.media.length).toBe(2);
    expect(scene.media[0]!.length).toBe(scene.media[1]!.length);
    const [both, first, second] = scene.turns.map(({ answer }) => answer);
    expect(both!.toLowerCase()).toBe(`first: ${first!.slice(0, -1)}. second: ${second}`.toLowerCase());
  }
});
