import { expect, test } from "vitest";
import { bytesSource } from "../../src/io/bytes/source.js";
import { openSafetensors } from "../../src/io/checkpoint/safetensors.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { addAdapter, LORA_MODULES, loraWeights, readAdapterPairs } from "../../src/training/lora.js";
import { adapterFiles, checkpointFiles } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";
import { readFixture } from "../support/fixture.js";

const FOLDER = "hf-05b-like";

async function load(adapter?: Parameters<typeof LlavaOneVision.load>[1]): Promise<LlavaOneVision> {
  const device = await sharedDevice({ features: "all" });
  return LlavaOneVision.load(await checkpointFiles(`goldens/${FOLDER}`), { device, dtype: "f32", ...adapter });
}

test("a new adapter is the same for a seed, uniform in A and zero in B", async () => {
  const model = await load();
  const { language } = model.internals.network;
  const arena = model.device.arena("adapters");
  const sizes = { rank: 3, alpha: 6, modules: ["q_proj", "up_proj"] as const };
  arena.run(() => {
    for (const [name, seed] of [
      ["one", 1],
      ["same", 1],
      ["other", 2],
    ] as const)
      addAdapter(language, name, sizes, seed);
  });
  const [one, same, other] = await Promise.all(
    ["one", "same", "other"].map((name) => readAdapterPairs(language, name)),
  );
  expect(same).toEqual(one);
  expect(other).not.toEqual(one);
  expect([...one!.keys()].map((name) => name.split(".").at(-1)).sort()).toEqual([
    "q_proj",
    "q_proj",
    "up_proj",
    "up_proj",
  ]);
  for (const { a, b, rank, scale, inner } of one!.values()) {
    expect([rank, scale]).toEqual([3, 2]);
    const most = a.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    expect(most).toBeLessThanOrEqual(1 / Math.sqrt(inner));
    expect(most).toBeGreaterThan(0.9 / Math.sqrt(inner));
    expect(b.every((value) => value === 0)).toBe(true);
  }
  arena.dispose();
  model.dispose();
});

test("the matrices of a loaded adapter are read back as they were stored", async () => {
  const model = await load({ adapter: { from: await adapterFiles(FOLDER), name: "stored" } });
  const path = `goldens/adapters/${FOLDER}/adapter_model.safetensors`;
  const { source, entries } = await openSafetensors(bytesSource(await readFixture(path), path));
  const pairs = await readAdapterPairs(model.internals.network.language, "stored");
  expect(pairs.size * 2).toBe(entries.size);
  for (const [module, pair] of pairs) {
    const stem = `base_model.model.model.language_model.${module.replace(/^.*?(?=layers\.)/, "")}`;
    for (const half of ["A", "B"] as const) {
      const { offsetBytes, lengthBytes } = entries.get(`${stem}.lora_${half}.weight`)!;
      const stored = new Float32Array(new Uint8Array(await source.read(offsetBytes, lengthBytes)).buffer);
      expect(half === "A" ? pair.a : pair.b).toEqual(stored);
    }
  }
  model.dispose();
});

test("modules of one layer with different scales are refused", async () => {
  const files = await adapterFiles(FOLDER);
  const config = JSON.parse(await files[0]!.text()) as Record<string, unknown>;
  const changed = JSON.stringify({ ...config, alpha_pattern: { k_proj: 3 } });
  const from = [new File([changed], "adapter_config.json"), files[1]!];
  const model = await load({ adapter: { from, name: "uneven" } });
  expect(() => loraWeights(model.internals.network.language, "uneven")).toThrow(/k_proj: expected alpha \/ rank 2/);
  model.dispose();
  expect(LORA_MODULES.length).toBe(7);
});
