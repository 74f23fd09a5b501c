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

  it("ends for a component without a sampling factor", async () => {
    const bytes = (await readFixture("media/images/jpeg_baseline_420.jpg")).slice(0, -2);
    const header = bytes.findIndex((byte, i) => byte === 0xff && bytes[i + 1] === 0xc0);
    for (let component = 0; component < bytes[header + 9]!; component++) bytes[header + 11 + component * 3] = 0;
    expect(scanIsWhole(padded(bytes, 64))).toBe(false);
  });
});
