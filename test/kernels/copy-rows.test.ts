import { it } from "vitest";
import { copyRows } from "../../src/kernels/copy-rows.js";
import { expectClose } from "../support/compare.js";
import { result, useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

const held = useDevice();

it("writes listed rows and leaves the others", async () => {
  const { device } = held;
  const width = 70;
  const [source, before] = [normals(6 * width, 1), normals(9 * width, 2)];
  const pairs = [5, 0, 0, 8, 2, 3];
  const y = await result(device, () => {
    const into = device.upload(before, [9, width], "into");
    copyRows(device.upload(source, [6, width], "source"), device.upload(Uint32Array.from(pairs), [3, 2], "rows"), into);
    return into;
  });
  const truth = Float32Array.from(before);
  for (let i = 0; i < pairs.length; i += 2) {
    truth.set(source.subarray(pairs[i]! * width, (pairs[i]! + 1) * width), pairs[i + 1]! * width);
  }
  expectClose(y, truth, "exact");
});
