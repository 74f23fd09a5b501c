// Training a LoRA adapter at the real 0.5B geometry with random weights: a record with one picture of 384 x 384, about 1,500 tokens. Prints
// the most bytes on the adapter, the seconds of a step against those of a forward pass over the same prompt, and the rates of the
// products of the backward pass against the forward one's.
//
//   node bench/training.mjs [FOLDER] [--dtype q4] [--steps 2]     FOLDER keeps the checkpoint (1.8 GB) for the next run
//
// Run `npm run build` before. OCELLUS_ADAPTER chooses the adapter; Mesa's lavapipe takes minutes.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { LlavaOneVision } from "../dist/index.js";
import { matmul } from "../dist/kernels/matmul.js";
import { packMatrix } from "../dist/kernels/pack.js";
import { addWeightGradient, inputGradient } from "../dist/layers/gradient-products.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dtype: { type: "string", default: "q4" }, steps: { type: "string", default: "2" } },
});
const SIDE = 384;
const [D, F] = [896, 4864];
const ROUNDS = 3;
const [given] = positionals;
const folder = given ?? (await mkdtemp(join(tmpdir(), "ocellus-training-")));

try {
  if (!existsSync(join(folder, "model.safetensors"))) {
    const script = fileURLToPath(new URL("../scripts/make-checkpoint.mjs", import.meta.url));
    const { status } = spawnSync(process.execPath, [script, folder, "--size", "0.5b"], { stdio: "inherit" });
    if (status !== 0) throw new Error(`${script}: status ${status}`);
  }
  await measure();
} finally {
  if (!given) await rm(folder, { recursive: true, force: true });
}

async function measure() {
  const model = await LlavaOneVision.load(folder, { dtype: values.dtype, visionCacheBytes: 0, prefixCacheBytes: 0 });
  const { device } = model;
  console.log(`${device.facts.name}, ${values.dtype}; load ${loadavg()[0].toFixed(1)}`);
  // The keys and values of a picture seen before are shared: each pass has one of its own.
  const contentOf = (seed) => [
    {
      type: "image",
      image: { data: new Uint8Array(SIDE * SIDE * 3).map((_, i) => (i * seed) % 251), width: SIDE, height: SIDE },
    },
    { type: "text", text: "What is in this picture?" },
  ];
  const content = contentOf(37);

  const session = model.createSession();
  const { promptTokens } = await session.measure(content);
  // The first answer compiles.
  let forward = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 2; i++) {
    session.reset();
    forward = Math.min(forward, await secondsOf(() => session.generate(contentOf(i + 1), { maxNewTokens: 1 }).result));
  }
  session.dispose();
  console.log(`forward      ${forward.toFixed(1)} s for ${promptTokens} tokens, vision tower included`);

  device.pool.peakBytes = device.pool.liveBytes;
  const records = [
    {
      messages: [
        { role: "user", content },
        { role: "assistant", content: "It is a picture of nothing." },
      ],
    },
  ];
  const onEstimate = ({ totalBytes }) => console.log(`estimate     ${mega(totalBytes)}`);
  let [step, last] = [Number.POSITIVE_INFINITY, performance.now()];
  for await (const _ of model.train(records, { steps: Number(values.steps), lora: { rank: 16 }, onEstimate })) {
    step = Math.min(step, (performance.now() - last) / 1000);
    last = performance.now();
  }
  console.log(`step         ${step.toFixed(1)} s: ${(step / forward).toFixed(2)} forward passes`);
  console.log(`most bytes   ${mega(device.pool.peakBytes)}`);

  const rows = promptTokens;
  const noise = (n) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898) * 0.1);
  const arena = device.arena("products");
  const { x, dy, w, dw } = arena.run(() => ({
    x: device.upload(noise(rows * D), [rows, D], "x"),
    dy: device.upload(noise(rows * F), [rows, F], "dy"),
    w: packMatrix(device, noise(F * D), [F, D], "w", values.dtype),
    dw: device.upload(new Float32Array(F * D), [F, D], "dw"),
  }));
  const products = {
    x·Wᵀ: () => matmul(x, w),
    dY·W: () => inputGradient(dy, w),
    dYᵀ·X: () => addWeightGradient(dy, x, dw, 0),
  };
  let first;
  for (const [name, product] of Object.entries(products)) {
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i <= ROUNDS; i++) {
      const seconds = await secondsOf(async () => {
        device.scope(() => void product());
        await device.sync();
      });
      if (i > 0) best = Math.min(best, seconds);
    }
    first ??= best;
    console.log(
      `${name.padEnd(11)}  ${((2 * rows * D * F) / best / 1e9).toFixed(1)} GFLOP/s, ${((100 * first) / best).toFixed(0)} %`,
    );
  }
  arena.dispose();
  model.dispose();
  process.exit(0);
}

async function secondsOf(work) {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

function mega(bytes) {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
