import { it } from "vitest";
import { patchify as reference } from "../../src/bench/reference/rows.js";
import { patchify } from "../../src/kernels/patchify.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals, random } from "../support/random.js";

const held = useDevice();

for (const [side, patch] of [
  [29, 14],
  [126, 14],
  [12, 4],
  [16, 5],
] as const) {
  it(`tiles of ${side} pixels in patches of ${patch}`, async () => {
    const { device } = held;
    const next = random(4);
    const pixels = Uint8Array.from({ length: 2 * side * side * 3 }, () => Math.floor(next() * 256));
    const levels = normals(768, 9);
    const y = await result(device, () =>
      patchify(device.upload(pixels, [2, side, side, 3], "pixels"), device.upload(levels, [3, 256], "levels"), patch),
    );
    const truth = reference(pixels, levels, 2, side, patch);
    expectClose(y, truth, "exact");
  });
}
