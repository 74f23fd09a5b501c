import { describe, expect, it } from "vitest";
import { bytesSource } from "../../../src/io/bytes/source.js";
import { BoxReader, indexBoxes } from "../../../src/io/video/mp4-boxes.js";
import { IndexBudget } from "../../../src/io/video/mp4-budget.js";
import { ascii, box, concat, fullBox, u32, u64 } from "../../support/mp4.js";

const budget = () => new IndexBudget("clip", 1000);
const readerOf = (bytes: Uint8Array) => new BoxReader(bytes, 100, "clip", budget());

/** Types of the boxes in a box of that body. */
function typesIn(...body: (Uint8Array | number[])[]): string[] {
  const reader = readerOf(box("moov", ...body));
  return [...reader.children(reader.outer)].map(({ type }) => type);
}

describe("BoxReader", () => {
  it("walks boxes of 32 and 64 bits, up to the end, and past a terminator", () => {
    expect(typesIn(box("free"), concat(u32(1), ascii("wide"), u64(17), [9]), box("skip"))).toEqual([
      "free",
      "wide",
      "skip",
    ]);
    expect(typesIn(box("free"), concat(u32(0), ascii("skip"), [1, 2, 3]))).toEqual(["free", "skip"]);
    expect(typesIn(box("free"), [0, 0, 0, 0])).toEqual(["free"]);
  });

  it("refuses sizes that are too small or too large, and escapes names", () => {
    const name = ascii("\x1b[2J");
    expect(() => typesIn(box("free"), concat(u32(7), name))).toThrow(
      'clip, box "\\x1b[2J" at byte 116: expected a size that fits its header, got 7 bytes',
    );
    expect(() => typesIn(concat(u32(9), name))).toThrow("expected 9 bytes, got 8 to the end of the box around it");
    expect(() => typesIn(concat(u32(1), name, u64(15)))).toThrow("a size that fits its header, got 15 bytes");
    expect(() => typesIn(concat(u32(1), name, [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]))).toThrow("the box around it");
    expect(() => typesIn(concat(u32(1), name))).toThrow("a size that fits its header");
  });

  it("believes no count without rows", () => {
    const reader = readerOf(fullBox("stco", 0, 0, u32(2), u32(1), u32(2)));
    expect(reader.rows(reader.outer, 4, 4)).toBe(2);
    expect(() => reader.rows(reader.outer, 4, 5)).toThrow(
      'box "stco" at byte 100: expected 2 rows of 5 bytes, got room for 1',
    );
    expect(() => reader.rows(reader.outer, 14, 1)).toThrow("a body of at least 18 bytes, got 16 bytes");
  });

  it("takes the first box of a type", () => {
    const reader = readerOf(box("moov", box("trak", [1]), box("trak", [2]), box("free")));
    const { trak, mvhd } = reader.firstOf(reader.outer, "trak", "mvhd");
    expect(reader.bytes[trak!.start]).toBe(1);
    expect(mvhd).toBeUndefined();
  });
});

describe("indexBoxes", () => {
  async function yielded(...boxes: Uint8Array[]): Promise<[string, number][]> {
    const found: [string, number][] = [];
    for await (const reader of indexBoxes(bytesSource(concat(...boxes), "clip"), "clip", budget())) {
      found.push([reader.outer.type, reader.offsetBytes]);
    }
    return found;
  }

  it("brings the first moov and every moof after it", async () => {
    const fragment = box("moof", [1, 2, 3]);
    const boxes = [box("ftyp"), box("moov"), box("moov", [1]), fragment, box("mdat", new Uint8Array(5000)), fragment];
    expect(await yielded(...boxes)).toEqual([
      ["moov", 8],
      ["moof", 25],
      ["moof", 5044],
    ]);
    expect(await yielded(...boxes, Uint8Array.of(0, 0, 0, 3))).toHaveLength(3);
  });

  it("refuses fragments before the index, and names of first boxes are escaped", async () => {
    await expect(yielded(box("ftyp"), box("moof"), box("moov"))).rejects.toThrow(
      'expected the index (box "moov") before it',
    );
    await expect(yielded(box("ftyp"), box("\x1b[2J"), concat(u32(9), ascii("\x9b1mx")))).rejects.toThrow(
      'box "\\x9b1mx" at byte 16: expected 9 bytes, got a file that ends after 8 of them',
    );
  });
});
