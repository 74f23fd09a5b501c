import { expect, it } from "vitest";
import { BoxReader, boxAt, boxesIn } from "../../../src/io/pictures/iso-boxes.js";
import { ascii, box, concat, u32, u64 } from "../../support/mp4.js";

const shown = (bytes: Uint8Array) =>
  [...boxesIn(bytes)].map(({ type, body, offsetBytes, complete }) => [type, [...body], offsetBytes, complete]);

it("boxes lie one after the other; the last may go to the end, or have a large size", () => {
  const large = concat(u32(1), ascii("mdat"), u64(18), [7, 8]);
  const open = concat(u32(0), ascii("free"), [9]);
  expect(shown(concat(box("ftyp", [1, 2]), large, open))).toEqual([
    ["ftyp", [1, 2], 0, true],
    ["mdat", [7, 8], 10, true],
    ["free", [9], 28, true],
  ]);
});

it("a box that is cut, or smaller than its header, is the last", () => {
  const next = box("next");
  expect(shown(concat(u32(12), ascii("ftyp"), [1]))).toEqual([["ftyp", [1], 0, false]]);
  expect(shown(concat(u32(7), ascii("ftyp"), next))).toEqual([["ftyp", [...next], 0, false]]);
  expect(shown(Uint8Array.of(0, 0, 0, 8, 0x66))).toEqual([]);
});

it("a path leads through the first box of each name", () => {
  const bytes = concat(box("free", [0]), box("meta", box("iprp", [5]), box("iprp", [6])), box("meta", [7]));
  expect([...boxAt(bytes, "meta", "iprp")!]).toEqual([5]);
  expect(boxAt(bytes, "meta", "iloc")).toBeUndefined();
  expect(boxAt(bytes)).toBe(bytes);
});

it("numbers and texts are read in turn, and past the end they are nothing", () => {
  const reader = new BoxReader(Uint8Array.of(1, 2, 3, 0x61, 0x62, 0, 0x63, 0x64, 5));
  expect([reader.read(0), reader.read(1), reader.read(2)]).toEqual([0, 1, 0x203]);
  expect([reader.text(), reader.ascii(2), reader.overrun]).toEqual(["ab", "cd", false]);
  expect([reader.read(2), reader.overrun]).toEqual([5 * 256, true]);
  const eight = new BoxReader(Uint8Array.of(0, 0x1f, 255, 255, 255, 255, 255, 255));
  expect(eight.read(8)).toBe(Number.MAX_SAFE_INTEGER);
  expect([new BoxReader(Uint8Array.of(0x61)).text(), eight.overrun]).toEqual(["a", false]);
});
