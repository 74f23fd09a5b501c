import { expect, test } from "vitest";
import { rmsNorm } from "../../src/bench/reference/norm.js";
import { normedRows, normedRowsBroadcastKernel, normedRowsKernel } from "../../src/kernels/normed-rows.js";
import { expectClose } from "../support/compare.js";
import { useDevice } from "../support/device.js";
import { normals } from "../support/random.js";

// The rows times the norm's weights, and the scales: their product is the RMSNorm.

const held = useDevice();

test.each([
  ["on GPUs", 76, false],
  ["on GPUs, in several chunks", 2100, false],
  ["on CPU adapters with subgroups", 76, true],
] as const)("%s, rows of %i", async (_, width, broadcasts) => {
  const { device } = held;
  const lanes = device.facts.broadcastLanes;
  if (broadcasts && !lanes) return;
  const [rows, epsilon] = [3, 1e-6];
  const [x, weight] = [normals(rows * width, 1), normals(width, 2)];
  const kernels = broadcasts
    ? [0, 1].map((PAIRS) => normedRowsBroadcastKernel.variant({ LANES: lanes, PAIRS }))
    : [normedRowsKernel.variant({ LANES: 8, SLICES: 16 })];
  for (const kernel of kernels) {
    const arena = device.arena("norm");
    const made = arena.run(() => {
      const norm = { weight: device.upload(weight, [width], "weight"), epsilon };
      return normedRows(device.upload(x, [rows, width], "x"), width / 4, norm, kernel);
    });
    const scales = await made.normScales.read();
    const y = (await made.x.read()).map((v, i) => v * scales[Math.floor(i / width)]!);
    expectClose(y, rmsNorm(x, weight, epsilon), "kernel");
    arena.dispose();
  }
  expect(kernels.length).toBeGreaterThan(0);
});
