import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { GEOMETRY_72B } from "../../src/bench/geometries.js";
import { simulateSizes, sizeTables, uploadBytes } from "../../src/bench/model-sizes.js";
import { UploadRing } from "../../src/layers/upload-ring.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { useDevice } from "../support/device.js";
import { packedFiles } from "../support/packed.js";

const held = useDevice();

/** Elements of the 72B model's decoder, by its sizes. */
const LAYER = 8192 * (64 + 2 * 8) * 128 + 8192 * 64 * 128 + 3 * 8192 * 29568;
const TABLE = 152064 * 8192;
const Q4_BYTES = 5 / 8;

test("the tables of the documentation are those that the command prints", () => {
  const page = readFileSync(new URL("../../docs/sizes.md", import.meta.url), "utf8");
  expect(page).toContain(sizeTables());
});

test("72B in 4 bits: the weights by their numbers, more layers with more memory, within every budget that is enough", () => {
  const sizes = simulateSizes(
    GEOMETRY_72B,
    "q4",
    [8, 16, 24, 48, 141].map((budget) => budget * 1e9),
  );
  const fitting = sizes.filter(({ totalBytes, budgetBytes }) => totalBytes <= budgetBytes);
  expect(fitting.length).toBeGreaterThanOrEqual(4);
  expect(fitting[0]).toMatchObject({ everything: true });
  for (const { uploadBytes: uploaded, residentLayers, layers, everything } of fitting) {
    // Biases and norms are a ten-thousandth of a layer.
    const weights = ((layers - residentLayers) * LAYER + (everything ? TABLE : 0)) * Q4_BYTES;
    expect(uploaded).toBeGreaterThanOrEqual(weights);
    expect(uploaded).toBeLessThanOrEqual(1.001 * weights);
  }
  expect(sizes.at(-1)).toMatchObject({ residentLayers: 80, layers: 80, uploadBytes: 0 });
  expect(sizes.map(({ residentLayers }) => residentLayers)).toEqual(
    sizes.map(({ residentLayers }) => residentLayers).toSorted((a, b) => a - b),
  );
  for (const { step, prompt } of sizes) {
    // A step reads all layers and the head once, and a layer of it is six dispatches on GPUs, besides the KV splits.
    expect(step.readBytes).toBe((80 * LAYER + TABLE) * Q4_BYTES);
    expect(step.dispatches).toBeGreaterThanOrEqual(80 * 5);
    expect(step.dispatches).toBeLessThanOrEqual(80 * 7 + 10);
    expect(prompt.dispatches).toBeGreaterThan(step.dispatches);
  }
});

test("bytes of a pass over layers that stream are those that the model uploads", async () => {
  const packed = await packedFiles(await checkpointFiles(TINY), { dtype: "q4" });
  const model = await LlavaOneVision.load(packed, { device: held.device, weights: "stream" });
  const { language } = model.internals.network;
  using session = model.createSession();
  await session.append("a square and a star");
  await language.store.prepare();
  const write = vi.spyOn(UploadRing.prototype, "write");
  await session.append("What do you see?");
  await language.store.prepare();
  const copies = write.mock.calls.flatMap(([, copies]) => copies);
  const uploaded = copies.reduce((sum, { from, to }) => sum + to - from, 0);
  write.mockRestore();
  // A part that is appended has no logits.
  expect(uploaded).toBe(uploadBytes(language, language.store.resident));
  model.dispose();
});
