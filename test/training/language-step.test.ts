import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { bytesSource } from "../../src/io/bytes/source.js";
import { openSafetensors } from "../../src/io/checkpoint/safetensors.js";
import { Gradients } from "../../src/layers/gradients.js";
import type { ChatMessage } from "../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { Optimizer } from "../../src/training/optimizer.js";
import { parametersOf, rowsOf } from "../../src/training/parameters.js";
import { sampleStep } from "../../src/training/sample-step.js";
import { checkpointFiles } from "../support/checkpoint.js";
import { sharedDevice } from "../support/device.js";
import { withPictures } from "../support/golden-case.js";

const GOLDENS = process.env.GOLDENS ?? "/work/shared/goldens";

interface Golden {
  input_ids: number[];
  labels: number[];
  loss: number;
  token_losses: number[];
  gradient_norms: Record<string, number>;
  adamw: {
    lr: number;
    betas: [number, number];
    eps: number;
    weight_decay: number;
    clip_norm: number;
    losses: number[];
    gradient_norms: number[];
  };
}

test.each([
  ["hf-05b-like", "text"],
  ["lmms-7b-like", "text"],
  ["hf-05b-like", "image-50x37"],
  ["hf-05b-like", "image-and-video"],
])(
  "%s, %s: losses, gradients and steps of AdamW",
  async (folder, name) => {
    const golden = JSON.parse(await readFile(`${GOLDENS}/${folder}/training/${name}.json`, "utf8")) as Golden;
    const file = new Uint8Array(await readFile(`${GOLDENS}/${folder}/training/${name}.safetensors`));
    const { entries } = await openSafetensors(bytesSource(file, name));
    const device = await sharedDevice({ features: "all" });
    const model = await LlavaOneVision.load(await checkpointFiles(`goldens/${folder}`), { device, dtype: "f32" });
    const { network, processor, config } = model.internals;
    const { messages, prompt_style } = JSON.parse(
      await readFile(`${GOLDENS}/${folder}/cases/${name}.json`, "utf8"),
    ) as {
      messages: Parameters<typeof withPictures>[0];
      prompt_style: string;
    };
    const template = prompt_style === "orig" ? "onevision" : "checkpoint";
    const { media } = await processor.prepare((await withPictures(messages)) as ChatMessage[], { template });
    const named = parametersOf(network, config.layout);
    const sees = media.length > 0;
    const used = named.filter(({ part, name }) => sees || (part === "language" && name !== config.layout.newline));
    const parameters = [...new Set(used.map(({ parameter }) => parameter))];
    const arena = device.arena("training");
    const gradients = arena.run(() => new Gradients(device, parameters));
    const rows = golden.labels.flatMap((label, i) => (label >= 0 ? [i - 1] : []));
    const ids = golden.labels.filter((label) => label >= 0);
    const prompt = { inputIds: golden.input_ids, media } as unknown as Parameters<typeof sampleStep>[1];
    const run = async (): Promise<Float32Array> => {
      const own = device.arena("step");
      const losses = own.run(() =>
        sampleStep(network, prompt, { rows, ids }, 1 / rows.length, gradients, { vision: sees, projector: sees }),
      );
      const got = new Float32Array(await device.read(losses));
      own.dispose();
      return got;
    };
    const got = await run();
    for (const [i, loss] of golden.token_losses.entries()) expect(got[i]).toBeCloseTo(loss, 3);
    const faults: string[] = [];
    for (const one of used) {
      const tensor = gradients.of(one.parameter)!;
      const inner = tensor.shape.length === 2 ? tensor.size(1) : 1;
      const own = rowsOf(one, new Float32Array(await device.read(tensor)), inner);
      const norm = Math.sqrt(own.reduce((sum, v) => sum + v * v, 0));
      const wanted = golden.gradient_norms[one.name]!;
      if (!(Math.abs(norm - wanted) <= 1e-4 * wanted + 1e-6))
        faults.push(`${one.name}: norm ${norm}, wanted ${wanted}`);
      const entry = entries.get(`gradient.${one.name}`);
      if (!entry) continue;
      const values = new Float32Array(file.slice(entry.offsetBytes, entry.offsetBytes + entry.lengthBytes).buffer);
      const listed = entries.get(`rows.${one.name}`);
      const numbers =
        listed &&
        Array.from(
          new BigInt64Array(file.slice(listed.offsetBytes, listed.offsetBytes + listed.lengthBytes).buffer),
          Number,
        );
      const width = values.length / (numbers?.length ?? values.length);
      let [largest, difference] = [0, 0];
      for (const [i, value] of values.entries()) {
        const at = numbers ? numbers[Math.floor(i / width)]! * inner + (i % width) : i;
        largest = Math.max(largest, Math.abs(value));
        difference = Math.max(difference, Math.abs(own[at]! - value));
      }
      if (!(difference <= 2e-4 * largest + 1e-7)) faults.push(`${one.name}: off by ${difference} of ${largest}`);
    }
    expect(faults).toEqual([]);
    const { lr, betas, eps, weight_decay, clip_norm, losses } = golden.adamw;
    const optimizer = arena.run(() => new Optimizer(device, parameters, gradients));
    const seen: number[] = [];
    for (let step = 0; step < losses.length; step++) {
      if (step > 0) gradients.clear();
      const own = await run();
      seen.push(own.reduce((a, b) => a + b, 0) / own.length);
      if (step === 0) {
        gradients.clear();
        await run();
      }
      const scope = device.arena("optimizer");
      scope.run(() => optimizer.step({ betas, epsilon: eps, decay: weight_decay, clip: clip_norm }, () => lr));
      await device.sync();
      scope.dispose();
    }
    console.log(seen, losses);
    for (const [i, loss] of losses.entries()) expect(Math.abs(seen[i]! - loss)).toBeLessThan(1e-3);
    arena.dispose();
    model.dispose();
  },
  600_000,
);
