import { describe, expect, it } from "vitest";
import {
  asciiOf,
  elementsIn,
  parseElement,
  parseVint,
  uintOf,
  Window,
  writeElement,
} from "../../../src/io/video/ebml.js";
import { concat, countingSource } from "../../support/mp4.js";

describe("EBML", () => {
  it("reads numbers of every length, and knows those that are none", () => {
    expect(parseVint(Uint8Array.of(0x81), 0)).toEqual({ value: 1, lengthBytes: 1 });
    expect(parseVint(Uint8Array.of(0x40, 0x02), 0)).toEqual({ value: 2, lengthBytes: 2 });
    expect(parseVint(Uint8Array.of(1, 0, 0, 0, 0, 0, 1, 0), 0)).toEqual({ value: 256, lengthBytes: 8 });
    expect(parseVint(Uint8Array.of(0xff), 0)!.value).toBe(Number.POSITIVE_INFINITY);
    expect(parseVint(Uint8Array.of(1, 255, 255, 255, 255, 255, 255, 255), 0)!.value).toBe(Number.POSITIVE_INFINITY);
    expect(parseVint(Uint8Array.of(0x40), 0)).toBeUndefined();
    expect(parseVint(Uint8Array.of(0, 1), 0)).toBeUndefined();
    expect(parseVint(new Uint8Array(), 0)).toBeUndefined();
  });

  it("reads headers where they lie", () => {
    const bytes = concat([9], writeElement(0x1f43b675, Uint8Array.of(1, 2, 3)));
    expect(parseElement(bytes, 1, 100)).toEqual({ id: 0x1f43b675, offsetBytes: 101, dataBytes: 113, endBytes: 116 });
    expect(parseElement(bytes, 0)).toBeUndefined();
    expect(parseElement(bytes.subarray(0, 6), 1)).toBeUndefined();
  });

  it("reads children, and refuses cut ones and too many", () => {
    const bytes = concat(writeElement(0x86, Uint8Array.of(65)), writeElement(0xb0, Uint8Array.of(1, 0)));
    const budget = { left: 10 };
    expect([...elementsIn(bytes, budget)].map(({ id, data }) => [id, ...data])).toEqual([
      [0x86, 65],
      [0xb0, 1, 0],
    ]);
    expect(budget.left).toBe(8);
    expect(() => [...elementsIn(bytes.subarray(0, bytes.length - 1), { left: 10 })]).toThrow("a cut element");
    expect(() => [...elementsIn(bytes, { left: 1 })]).toThrow("more elements");
  });

  it("reads values", () => {
    expect(uintOf(Uint8Array.of(1, 0))).toBe(256);
    expect(uintOf(new Uint8Array())).toBe(0);
    expect(() => uintOf(new Uint8Array(9))).toThrow("9 bytes");
    expect(asciiOf(Uint8Array.of(65, 27, 66, 0, 67))).toBe("A?B");
  });

  it("moves a window over a file", async () => {
    const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
    const window = new Window(countingSource(bytes, "file"), undefined);
    expect(window.holds(0, 1)).toBe(false);
    await window.move(90);
    expect([window.holds(90, 12), window.holds(89, 1), window.holds(90, 10)]).toEqual([true, false, true]);
    expect([...window.bytes(98, 12)]).toEqual([98, 99]);
  });
});
