import { expect, test } from "vitest";
import { terminalPictures } from "../../src/cli/terminal-picture.js";

const picture = (width: number, height: number, levelAt: (x: number, y: number) => number) => {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++) {
    const level = levelAt(i % width, Math.floor(i / width));
    data.set([level, 0, 0, 255], 4 * i);
  }
  return { data, width, height };
};

test("a half block shows a pixel in the colour of its text, and the one below in that of its background", () => {
  const shown = terminalPictures([picture(2, 2, (x, y) => 10 * x + y)], 10);
  expect(shown).toBe("\x1b[38;2;0;0;0;48;2;1;0;0m▀\x1b[38;2;10;0;0;48;2;11;0;0m▀\x1b[0m");
});

test("larger pictures are averaged, and stand side by side", () => {
  const checks = picture(8, 8, (x, y) => ((x + y) % 2 === 0 ? 0 : 200));
  const lines = terminalPictures([checks, picture(2, 2, () => 7)], 4).split("\n");
  expect(lines).toHaveLength(2);
  const mean = "\x1b[38;2;100;0;0;48;2;100;0;0m▀";
  const other = "\x1b[38;2;7;0;0;48;2;7;0;0m▀";
  expect(lines[0]).toBe(`${mean.repeat(4)}\x1b[0m  ${other.repeat(2)}\x1b[0m`);
  expect(lines[1]).toBe(`${mean.repeat(4)}\x1b[0m    `);
});
