import { describe, expect, it } from "vitest";
import { scanIsWhole } from "../../../src/io/pictures/jpeg-scan.js";
import { readFixture } from "../../support/fixture.js";

const padded = (bytes: Uint8Array, zeros: number) => {
  const out = new Uint8Array(bytes.length + zeros);
  out.set(bytes);
  return out;
};

describe("scanIsWhole", () => {
  it.each(["jpeg_baseline_420.jpg", "jpeg_gray.jpg", "jpeg_restart.jpg"])(
    "%s is whole with padding only",
    async (name) => {
      const bytes = (await readFixture(`media/images/${name}`)).slice(0, -2);
      expect(scanIsWhole(padded(bytes, 64))).toBe(true);
      expect(scanIsWhole(bytes.slice(0, -8))).toBe(false);
      expect(scanIsWhole(bytes.slice(0, bytes.length >> 1))).toBe(false);
    },
  );

  it("wants the end marker of a progressive file: another scan could come", async () => {
    const bytes = (await readFixture("media/images/jpeg_progressive_420.jpg")).slice(0, -2);
    expect(scanIsWhole(padded(bytes, 64))).toBe(false);
  });
});
