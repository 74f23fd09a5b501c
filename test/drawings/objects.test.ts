import { expect, test } from "vitest";
import { described, items, placed, same, size } from "../../src/drawings/objects.js";
import { Random } from "../../src/drawings/random.js";

test("items differ, are at different places in order, and are not in the colour of the background", () => {
  for (let seed = 0; seed < 100; seed++) {
    const all = items(new Random(seed), 4, "black");
    const places = all.map(({ place }) => place);
    expect(new Set(places).size).toBe(4);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(all.every((item, i) => all.slice(i + 1).every((other) => !same(item, other)))).toBe(true);
    expect(all.map(({ color }) => color)).not.toContain("black");
  }
});

test("an item lies in its ninth of the drawing, and inside it", () => {
  for (let seed = 0; seed < 100; seed++) {
    const random = new Random(seed);
    const [width, height] = size(random);
    const place = random.whole(0, 8);
    const { figure } = placed(random, { shape: "star", color: "red", place }, width, height);
    expect(Math.floor((3 * figure.x) / width)).toBe(place % 3);
    expect(Math.floor((3 * figure.y) / height)).toBe(Math.floor(place / 3));
    expect(Math.min(figure.x, figure.y, width - figure.x, height - figure.y)).toBeGreaterThan(figure.radius);
  }
});

test("a description goes from the top left to the bottom right", () => {
  const text = described([
    { shape: "star", color: "orange", place: 5 },
    { shape: "circle", color: "red", place: 0 },
  ]);
  expect(text).toBe("A red circle at the top left, an orange star on the right.");
});
