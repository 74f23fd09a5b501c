import { expect, it } from "vitest";
import { gather as reference } from "../../src/bench/reference/rows.js";
import { gather } from "../../src/kernels/gather.js";
import { packMatrix } from "../../src/kernels/pack.js";
import { withBindings } from "../support/adapters.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals, random } from "../support/random.js";

const held = useDevice();

it.each([
  [1, 1, 1],
  [33, 9, 1],
  [640, 256, 1],
  [97, 61, 1],
  [97, 61, 4],
])("%i rows of %i in %i blocks are read by id", async (vocabulary, width, blocks) => {
  const { device } = held;
  const table = normals(vocabulary * width, 1);
  const next = random(5);
  const ids = Uint32Array.from({ length: 13 }, () => Math.floor(next() * vocabulary));
  ids[12] = vocabulary - 1;
  const y = await result(device, () => {
    // A panel of 32 columns to a block.
    const limited = blocks > 1 ? withBindings(device, 32 * 64 * 4) : device;
    const matrix = packMatrix(limited, table, [vocabulary, width], "table", "f32");
    expect(matrix.blocks.length).toBe(blocks);
    return gather(device.upload(ids, [13], "ids"), matrix, "y");
  });
  expectClose(y, reference(ids, table, width), "exact");
});
