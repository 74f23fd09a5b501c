import { expect, inject, test } from "vitest";
import { bytesSource } from "../../src/io/bytes/source.js";
import { openSafetensors } from "../../src/io/checkpoint/safetensors.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { additionsOf, loraWeights, splitPairs } from "../../src/training/lora.js";
import { parametersOf, rowsOf, weightsOf } from "../../src/training/parameters.js";
import { prepareSample, type Sample, type TrainingMessage } from "../../src/training/samples.js";
import { Trainer } from "../../src/training/trainer.js";
import { adapterFiles, checkpointFiles } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";
import { readFixture, readFixtureJson } from "../support/fixture.js";
import { withPictures } from "../support/golden-case.js";

// Losses, gradients and steps of AdamW against PyTorch's; see test/data/goldens/README.md.

/** Passes over pictures take minutes on a software adapter. */
const WITH_PICTURES = inject("trainingPictures");
const CASES = [
  ["hf-05b-like", "text"],
  ["lmms-7b-like", "text"],
  ...(WITH_PICTURES
    ? ([
        ["hf-05b-like", "image-50x37"],
        ["hf-05b-like", "image-and-video"],
      ] as const)
    : []),
] as const;

interface Steps {
  lr: number;
  betas: [number, number];
  eps: number;
  weight_decay: number;
  clip_norm: number;
  losses: number[];
}

interface Golden {
  input_ids: number[];
  labels: number[];
  token_losses: number[];
  gradient_norms: Record<string, number>;
  adamw: Steps & { gradient_norms: number[] };
  lora: Steps & { loss: number; gradient_norms: Record<string, number>; step_gradient_norms: number[] };
}

test.each(CASES)(
  "%s, %s: all weights",
  async (folder, name) => {
    const { golden, truth, model, sample } = await prepared(folder, name);
    const { network, config } = model.internals;
    const trainer = new Trainer(
      network,
      () => weightsOf(network, config.layout, new Set(["vision", "projector", "language"])),
      settingsOf(golden.adamw),
    );
    const rate = () => golden.adamw.lr;
    const first = await trainer.gradientsOf([sample]);
    expect(sample.inputIds).toEqual(golden.input_ids);
    for (const [i, loss] of golden.token_losses.entries()) expect(first[i]).toBeCloseTo(loss, 3);
    const gradients = new Map<string, Float32Array>();
    for (const one of parametersOf(network, config.layout)) {
      if (golden.gradient_norms[one.name] === undefined) continue;
      const { blocks } = trainer.gradients.of(one.parameter)!;
      const { shape } = blocks[0]!.tensor;
      const whole = await Promise.all(blocks.map(({ tensor }) => tensor.read()));
      gradients.set(one.name, rowsOf(one, joined(whole), shape.length === 2 ? shape[1]! : 1));
    }
    expect([...gradients.keys()].sort()).toEqual(Object.keys(golden.gradient_norms).sort());
    expect(faults(gradients, golden.gradient_norms, truth, "gradient.")).toEqual([]);
    const { losses, norms } = await steps(trainer, sample, rate, golden.adamw.losses.length);
    expectClose(losses, golden.adamw.losses, 1e-3);
    expectClose(norms.slice(0, -1), golden.adamw.gradient_norms, 1e-3, "relative");
    trainer.dispose();
    model.dispose();
  },
  WITH_PICTURES ? 1_800_000 : 600_000,
);

test.each(CASES)(
  "%s, %s: an adapter",
  async (folder, name) => {
    const { golden, truth, model, sample } = await prepared(folder, name, true);
    const { network, config } = model.internals;
    const { lora } = golden;
    const trainer = new Trainer(network, () => loraWeights(network.language, "adapter"), settingsOf(lora));
    const losses = await trainer.gradientsOf([sample]);
    expect(losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toBeCloseTo(lora.loss, 4);
    const gradients = new Map<string, Float32Array>();
    for (const added of additionsOf(network.language, "adapter")) {
      const [a, b] = await Promise.all(
        [added.down, added.up].map(async (matrix) => {
          const { blocks } = trainer.gradients.of(matrix)!;
          return joined(await Promise.all(blocks.map(({ tensor }) => tensor.read())));
        }),
      );
      for (const [module, pair] of splitPairs(added, a!, b!)) {
        // As transformers 5 names its modules, with PEFT's name of the adapter.
        const path = module.replace(`${config.layout.language}.layers`, "base_model.model.model.language_model.layers");
        gradients.set(`${path}.lora_A.default.weight`, pair.a);
        gradients.set(
          `${path}.lora_B.default.weight`,
          pair.b.map((value) => value * pair.scale ** 2),
        );
      }
    }
    expect([...gradients.keys()].sort()).toEqual(Object.keys(lora.gradient_norms).sort());
    expect(faults(gradients, lora.gradient_norms, truth, "lora_gradient.")).toEqual([]);
    const { losses: curve, norms } = await steps(trainer, sample, () => lora.lr, lora.losses.length);
    expectClose(curve, lora.losses, 1e-3);
    expectClose(norms.slice(0, -1), lora.step_gradient_norms, 1e-3, "relative");
    trainer.dispose();
    model.dispose();
  },
  WITH_PICTURES ? 1_800_000 : 600_000,
);

async function prepared(folder: string, name: string, withAdapter = false) {
  const golden = await readFixtureJson<Golden>(`goldens/training/${folder}/${name}.json`);
  const truth = await tensorsOf(`goldens/training/${folder}/${name}.safetensors`);
  const device = await sharedDevice({ features: "all" });
  const adapter = withAdapter ? { from: await adapterFiles(folder), name: "adapter" } : undefined;
  const model = await LlavaOneVision.load(await checkpointFiles(`goldens/${folder}`), {
    device,
    dtype: "f32",
    adapter,
  });
  const { messages, prompt_style } = await readFixtureJson<{
    messages: Parameters<typeof withPictures>[0];
    prompt_style: string;
  }>(`goldens/${folder}/cases/${name}.json`);
  const answer = golden.labels.filter((label) => label >= 0).slice(0, -1);
  const question = await withPictures(messages);
  const record = {
    messages: [...question, { role: "assistant", content: [{ type: "tokens", tokens: answer }] }] as TrainingMessage[],
  };
  const template = prompt_style === "orig" ? "onevision" : "checkpoint";
  const sample = await prepareSample(model.internals.processor, record, { template });
  return { golden, truth, model, sample };
}

function settingsOf({ betas, eps, weight_decay, clip_norm }: Steps) {
  return { betas, epsilon: eps, decay: weight_decay, clip: clip_norm };
}

async function steps(trainer: Trainer, sample: Sample, rate: () => number, count: number) {
  const losses: number[] = [];
  const norms: number[] = [];
  for (let step = 0; step < count; step++) {
    const { loss, gradientNorm } = await trainer.step([sample], rate);
    losses.push(loss);
    norms.push(gradientNorm);
  }
  return { losses, norms };
}

/** One line for each gradient whose norm is off by more than 1e-4 of it, or a row by more than 2e-4 of the largest magnitude. */
function faults(
  gradients: ReadonlyMap<string, Float32Array>,
  norms: Readonly<Record<string, number>>,
  truth: ReadonlyMap<string, { shape: readonly number[]; bytes: Uint8Array }>,
  prefix: string,
): string[] {
  const found: string[] = [];
  for (const [name, own] of gradients) {
    const norm = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0));
    const wanted = norms[name]!;
    // Gradients that are zero but for rounding: biases of keys.
    if (!(Math.abs(norm - wanted) <= 1e-4 * wanted + 1e-6)) found.push(`${name}: norm ${norm}, wanted ${wanted}`);
    const stored = truth.get(prefix + name);
    if (!stored) continue;
    const values = new Float32Array(stored.bytes.buffer);
    const listed = truth.get(`rows.${name}`);
    const rows = listed && Array.from(new BigInt64Array(listed.bytes.buffer), Number);
    const width = values.length / (rows?.length ?? values.length);
    const whole = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const inner = rows ? width : 1;
    const difference = values.reduce((most, value, i) => {
      const at = rows ? rows[Math.floor(i / width)]! * inner + (i % width) : i;
      return Math.max(most, Math.abs(own[at]! - value));
    }, 0);
    if (!(difference <= 2e-4 * whole + 1e-7)) found.push(`${name}: off by ${difference} of ${whole}`);
  }
  return found;
}

function expectClose(got: readonly number[], wanted: readonly number[], most: number, kind?: "relative"): void {
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) {
    expect(Math.abs(got[i]! - value), `${got} and ${wanted}`).toBeLessThan(kind ? most * value : most);
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

async function tensorsOf(path: string) {
  const { source, entries } = await openSafetensors(bytesSource(await readFixture(path), path));
  const tensors = new Map<string, { shape: readonly number[]; bytes: Uint8Array }>();
  for (const [name, { shape, offsetBytes, lengthBytes }] of entries) {
    tensors.set(name, { shape, bytes: new Uint8Array(await source.read(offsetBytes, lengthBytes)) });
  }
  return tensors;
}
