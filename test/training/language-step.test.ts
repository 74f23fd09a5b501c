import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { bytesSource } from "../../src/io/bytes/source.js";
import { openSafetensors } from "../../src/io/checkpoint/safetensors.js";
import { Gradients, type Parameter } from "../../src/layers/gradients.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { embeddingStep, languageStep } from "../../src/training/language-step.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";

const GOLDENS = process.env.GOLDENS ?? "/work/shared/goldens";

test.each(["hf-05b-like", "lmms-7b-like"])("%s: losses and gradients of the decoder", async (folder) => {
  const golden = JSON.parse(await readFile(`${GOLDENS}/${folder}/training/text.json`, "utf8")) as {
    input_ids: number[];
    labels: number[];
    loss: number;
    token_losses: number[];
    gradient_norms: Record<string, number>;
  };
  const file = new Uint8Array(await readFile(`${GOLDENS}/${folder}/training/text.safetensors`));
  const { entries } = await openSafetensors(bytesSource(file, "text"));
  const device = await sharedDevice({ features: "all" });
  const model = await LlavaOneVision.load(await checkpointFiles(`goldens/${folder}`), { device, dtype: "f32" });
  const { language } = model.internals.network;
  const parameters: Parameter[] = [language.embedding.table, language.norm.weight];
  if (language.head) parameters.push(language.head.weight);
  for (const { attention, mlp, inputNorm, postNorm } of language.layers) {
    parameters.push(
      attention.qkv.weight,
      attention.qkv.bias!,
      attention.out.weight,
      mlp.gateUp.weight,
      mlp.down.weight,
      inputNorm.weight,
      postNorm.weight,
    );
  }
  const arena = device.arena("training");
  const gradients = arena.run(() => new Gradients(device, parameters));
  const rows = golden.labels.flatMap((label, i) => (label >= 0 ? [i - 1] : []));
  const ids = golden.labels.filter((label) => label >= 0);
  const tokens = Uint32Array.from(golden.input_ids);
  const { losses } = arena.run(() => {
    const x = language.embedding.forward(device.upload(tokens, [tokens.length], "ids"));
    const step = languageStep(language, x, { rows, ids }, 1 / rows.length, gradients);
    embeddingStep(language, step.dx, tokens, gradients);
    return step;
  });
  const got = new Float32Array(await device.read(losses));
  for (const [i, loss] of golden.token_losses.entries()) expect(got[i]).toBeCloseTo(loss, 3);
  expect(got.reduce((a, b) => a + b, 0) / got.length).toBeCloseTo(golden.loss, 3);
  const prefix = folder === "hf-05b-like" ? "language_model.model." : "model.";
  const { heads, keyValueHeads, headSize, mlpWidth } = language.config;
  const faults: string[] = [];
  const check = async (
    name: string,
    parameter: Parameter,
    rowsOf?: (all: Float32Array, inner: number) => Float32Array,
  ) => {
    const tensor = gradients.of(parameter)!;
    const all = new Float32Array(await device.read(tensor));
    const inner = tensor.shape.length === 2 ? tensor.size(1) : 1;
    const own = rowsOf ? rowsOf(all, inner) : all;
    const norm = Math.sqrt(own.reduce((sum, v) => sum + v * v, 0));
    const wanted = golden.gradient_norms[`${prefix}${name}`]!;
    if (!(Math.abs(norm - wanted) <= 1e-4 * wanted)) faults.push(`${name}: norm ${norm}, wanted ${wanted}`);
    const entry = entries.get(`gradient.${prefix}${name}`);
    if (!entry) return;
    const values = new Float32Array(file.slice(entry.offsetBytes, entry.offsetBytes + entry.lengthBytes).buffer);
    const listed = entries.get(`rows.${prefix}${name}`);
    const numbers = listed
      ? Array.from(
          new BigInt64Array(file.slice(listed.offsetBytes, listed.offsetBytes + listed.lengthBytes).buffer),
          Number,
        )
      : undefined;
    const width = values.length / (numbers?.length ?? values.length);
    let [largest, difference] = [0, 0];
    for (const [i, value] of values.entries()) {
      const at = numbers ? numbers[Math.floor(i / width)]! * inner + (i % width) : i;
      largest = Math.max(largest, Math.abs(value));
      difference = Math.max(difference, Math.abs(own[at]! - value));
    }
    if (!(difference <= 2e-4 * largest)) faults.push(`${name}: off by ${difference} of ${largest}`);
  };
  const part = (first: number, count: number) => (all: Float32Array, inner: number) =>
    all.slice(first * inner, (first + count) * inner);
  const woven = (which: 0 | 1) => (all: Float32Array, inner: number) => {
    const out = new Float32Array(mlpWidth * inner);
    for (let r = 0; r < mlpWidth; r++) {
      const at = Math.floor(r / 8) * 16 + 8 * which + (r % 8);
      out.set(all.subarray(at * inner, (at + 1) * inner), r * inner);
    }
    return out;
  };
  await check("embed_tokens.weight", language.embedding.table);
  await check("norm.weight", language.norm.weight);
  for (const [i, { attention, mlp, inputNorm, postNorm }] of language.layers.entries()) {
    const [q, kv] = [heads * headSize, keyValueHeads * headSize];
    for (const [n, first, count] of [
      ["q", 0, q],
      ["k", q, kv],
      ["v", q + kv, kv],
    ] as const) {
      await check(`layers.${i}.self_attn.${n}_proj.weight`, attention.qkv.weight, part(first, count));
      await check(`layers.${i}.self_attn.${n}_proj.bias`, attention.qkv.bias!, part(first, count));
    }
    await check(`layers.${i}.self_attn.o_proj.weight`, attention.out.weight);
    await check(`layers.${i}.mlp.gate_proj.weight`, mlp.gateUp.weight, woven(0));
    await check(`layers.${i}.mlp.up_proj.weight`, mlp.gateUp.weight, woven(1));
    await check(`layers.${i}.mlp.down_proj.weight`, mlp.down.weight);
    await check(`layers.${i}.input_layernorm.weight`, inputNorm.weight);
    await check(`layers.${i}.post_attention_layernorm.weight`, postNorm.weight);
  }
  expect(faults).toEqual([]);
  arena.dispose();
  model.dispose();
});
