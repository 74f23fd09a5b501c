import { expect, test } from "vitest";
import { rowsOf, writeRows } from "../../src/layers/sequence-rows.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();

// Rows of 64 numbers begin where bindings may, rows of 12 do not.
test.each([64, 12])("rows of %i are taken and written, as parts or as copies", async (width) => {
  const { device } = held;
  const values = normals(5 * width, 1);
  const arena = device.arena("rows");
  const [taken, written] = arena.run(() => {
    const x = device.upload(values, [5, width], "x");
    const y = device.upload(new Float32Array(5 * width), [5, width], "y");
    const rows = rowsOf(x, 1, 2);
    writeRows(y, 3, 2, (into) => device.copy(rows, 0, into, 0, rows.sizeBytes));
    return [device.upload(new Float32Array(rows.length), rows.shape, "taken"), y].map((tensor, i) => {
      if (i === 0) device.copy(rows, 0, tensor, 0, rows.sizeBytes);
      return tensor;
    });
  });
  const part = values.subarray(width, 3 * width);
  expect([...(await taken!.read())]).toEqual([...part]);
  expect([...(await written!.read())]).toEqual([...new Float32Array(3 * width), ...part]);
  arena.dispose();
});
