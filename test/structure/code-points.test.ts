import { expect, it } from "vitest";
import { ANY, codePoints, common, except, type Range, utf8 } from "../../src/structure/code-points.js";

it("ranges are sorted and joined, without surrogates", () => {
  const ranges: Range[] = [
    [0x62, 0x64],
    [0x61, 0x61],
    [0x63, 0x70],
    [0x90, 0x80],
    [0xd000, 0xe001],
  ];
  expect(codePoints(ranges)).toEqual([
    [0x61, 0x70],
    [0xd000, 0xd7ff],
    [0xe000, 0xe001],
  ]);
  expect(codePoints([])).toEqual([]);
});

it("intersections and differences are those of sets", () => {
  const [a, b] = [
    codePoints([
      [1, 5],
      [8, 8],
      [10, 20],
    ]),
    codePoints([
      [0, 1],
      [4, 12],
      [20, 30],
    ]),
  ];
  const members = (set: readonly Range[]) =>
    Array.from({ length: 40 }, (_, i) => i).filter((i) => set.some(([f, l]) => f <= i && i <= l));
  expect(members(common(a, b))).toEqual(members(a).filter((i) => members(b).includes(i)));
  expect(members(except(a, b))).toEqual(members(a).filter((i) => !members(b).includes(i)));
  expect(except(ANY, ANY)).toEqual([]);
  expect(except(ANY, [])).toEqual(ANY);
});

it("every character of a set has its encoding among the sequences, exactly once, and no other has", () => {
  const set = codePoints([
    [0x41, 0x41],
    [0x7e, 0x85],
    [0x7f0, 0x8f0],
    [0xd7f0, 0xe010],
    [0xffe0, 0x10440],
    [0x10fff0, 0x10ffff],
  ]);
  const sequences = utf8(set);
  const encoder = new TextEncoder();
  const wrong: number[] = [];
  for (let point = 0; point <= 0x10ffff; point += point > 0x11000 && point < 0x10ff00 ? 251 : 1) {
    if (point >= 0xd800 && point <= 0xdfff) continue;
    const bytes = encoder.encode(String.fromCodePoint(point));
    const found = sequences.filter(
      (ranges) =>
        ranges.length === bytes.length && ranges.every(([first, last], i) => first <= bytes[i]! && bytes[i]! <= last),
    );
    const wanted = set.some(([first, last]) => first <= point && point <= last) ? 1 : 0;
    if (found.length !== wanted) wrong.push(point);
  }
  expect(wrong).toEqual([]);
  expect(utf8(ANY).length).toBeLessThanOrEqual(9);
});
