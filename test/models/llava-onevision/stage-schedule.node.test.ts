import { expect, test } from "vitest";
import { GEOMETRY_72B, modelTensors } from "../../../src/bench/geometries.js";
import { syntheticIndex } from "../../../src/bench/synthetic.js";
import { WeightLoader } from "../../../src/layers/weights.js";
import { Network } from "../../../src/models/llava-onevision/network.js";
import { resolveLayout } from "../../../src/models/llava-onevision/tensor-names.js";
import { VirtualGPUs } from "../../support/virtual-gpus.js";

// The schedule of a prompt on several GPUs, at simulated times: 72B in 4 bits on GPUs of 100 TFLOP/s and 1 TB/s behind PCIe 4.

const RATES = { flops: 100e9, bytes: 1e9 };
/** A millisecond. */
const HOST_BYTES = 25e6;

/** Milliseconds of a prompt of `rows` rows on `devices` GPUs, and the share of it in which they have nothing to do. */
async function prompt(devices: number, rows: number): Promise<{ milliseconds: number; idle: number }> {
  const clock = new VirtualGPUs();
  const gpus = Array.from({ length: devices }, () => clock.open(RATES, HOST_BYTES));
  const { device } = gpus[0]!;
  const index = syntheticIndex(modelTensors(GEOMETRY_72B), "BF16");
  const loader = new WeightLoader(device, index);
  const layout = resolveLayout(index.shapes.keys(), { tied: false });
  const dtype = { vision: "f16", projector: "f16", language: "q4", embed: "q4" } as const;
  const { layers } = GEOMETRY_72B.text;
  const others = gpus.slice(1).map((gpu) => ({
    device: gpu.device,
    layers: layers / devices,
    weights: loader.beside(gpu.device).root(),
    arena: gpu.device.arena("model"),
  }));
  const arena = device.arena("model");
  const network = arena.run(() => {
    const levels = device.empty([3, 256], "f32", "levels");
    return new Network(loader.root(), { ...GEOMETRY_72B, layout }, dtype, levels, undefined, others);
  });
  const cache = network.cache("f16");
  cache.reserve(rows);
  const owner = device.arena("prompt");
  const begun = clock.now;
  const before = gpus.map(({ busy }) => busy);
  const ids = new Uint32Array(rows);
  const pass = async () => {
    if (network.waits) return network.passPrompt(ids, 0, [], cache, { owner, where: "prefill" });
    owner.run(() => network.decode(ids, 0, [], cache));
    return device.sync();
  };
  await clock.until(pass());
  const milliseconds = clock.now - begun;
  const busy = gpus.reduce((sum, gpu, i) => sum + gpu.busy - before[i]!, 0);
  return { milliseconds, idle: 1 - busy / (devices * milliseconds) };
}

test.each([
  [2, 1500],
  [2, 6000],
  [4, 1500],
])("%i GPUs are idle for less than a fifth of a prompt of %i rows, and faster by as many", async (devices, rows) => {
  const alone = await prompt(1, rows);
  const { milliseconds, idle } = await prompt(devices, rows);
  expect(alone.idle).toBeLessThan(0.01);
  expect(idle).toBeGreaterThan(0);
  expect(idle).toBeLessThan(0.2);
  expect(milliseconds).toBeLessThan(alone.milliseconds / (0.75 * devices));
});
