// The real 0.5B geometry with seeded random weights: 26 vision layers of 1152, 24 text layers of 896, vocabulary 152,000.
// Loads it, answers a short question about one 384 x 384 picture, and compares the logits of the last row with a float32
// reference made in NumPy (test/data/geometry/README.md). Fails over 2e-3 of the largest magnitude, and when the peak memory
// of loading is more than the packed weights plus 600 MB.
//
//   node bench/real-geometry.mjs [FOLDER]        FOLDER keeps the checkpoint (1.8 GB) for the next run
//
// Run `npm run build` before. OCELLUS_ADAPTER chooses the adapter; Mesa's lavapipe takes about a minute, SwiftShader several.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ALLOWED_ERROR = 2e-3;
const ALLOWED_MB = 600;
const SIDE = 384;
const self = fileURLToPath(import.meta.url);
const reference = JSON.parse(await readFile(new URL("../test/data/geometry/logits-05b.json", import.meta.url), "utf8"));
const [first, second] = process.argv.slice(2);

if (first === "--child") await run(second);
else await measure(first);

/** Creates the checkpoint if it is missing, and runs it in a child process, to measure only that. */
async function measure(given) {
  const folder = given ?? (await mkdtemp(join(tmpdir(), "ocellus-05b-")));
  try {
    if (!existsSync(join(folder, "model.safetensors"))) {
      node([fileURLToPath(new URL("../scripts/make-checkpoint.mjs", import.meta.url)), folder, "--size", "0.5b"]);
    }
    const sha256 = await hashOf(join(folder, "model.safetensors"));
    if (sha256 !== reference.model_sha256) {
      throw new Error(`${folder}: expected weights with SHA-256 ${reference.model_sha256}, got ${sha256}`);
    }
    if (node([self, "--child", folder]) !== 0) process.exitCode = 1;
  } finally {
    if (!given) await rm(folder, { recursive: true, force: true });
  }
}

async function run(folder) {
  const { LlavaOneVision } = await import("../dist/index.js");
  const { PromptPass } = await import("../dist/models/chat/prompt-pass.js");
  const { KVCache } = await import("../dist/layers/kv-cache.js");
  const lap = clock();
  // As stored: bf16, which is what the reference computes with.
  const model = await LlavaOneVision.load(folder);
  const load = lap();
  const weightBytes = model.device.pool.liveBytes;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  const overMB = (peakBytes - weightBytes) / 1e6;
  print("adapter", model.device.facts.name);
  print("load", `${load} s, ${mega(weightBytes)} packed`);
  print("peak memory", `${mega(peakBytes)}: ${overMB.toFixed(0)} MB over the weights (at most ${ALLOWED_MB})`);

  const content = [
    { type: "image", image: picture() },
    { type: "text", text: reference.question },
  ];
  const prompt = await model.internals.processor.prepare([{ role: "user", content }]);
  const { imageTokenId, text } = model.config;
  const wanted = [...reference.before, ...new Array(reference.visual_tokens).fill(imageTokenId), ...reference.after];
  if (String(prompt.inputIds) !== String(wanted)) throw new Error(`the prompt's ids differ from the reference's`);
  const owner = model.device.arena("geometry");
  const cache = new KVCache(model.device, text.layers, text.keyValueHeads * text.headSize);
  cache.reserve(prompt.inputIds.length + 1);
  const pass = new PromptPass(model.internals, prompt, owner, {});
  print("prepare", `${lap()} s`);
  await pass.encodeMedia(0);
  print("vision", `${lap()} s for ${prompt.media[0].tileCount} tiles`);
  let logits = await pass.prefill(0, cache);
  const values = await logits.read();
  print("prefill", `${lap()} s for ${prompt.inputIds.length} rows`);
  logits = owner.run(() => model.internals.network.next(Uint32Array.of(198), cache.length, [], cache));
  await logits.read();
  print("next token", `${lap()} s`);
  print("peak memory", `${mega(process.resourceUsage().maxRSS * 1024)} in all`);

  let worst = 0;
  for (const [i, id] of reference.ids.entries()) {
    const difference = Math.abs(values[id] - reference.logits[i]);
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  const error = worst / reference.largest_magnitude;
  const best = values.reduce((top, value, id) => (value > values[top] ? id : top), 0);
  const bestOfReference = reference.ids[reference.logits.indexOf(Math.max(...reference.logits))];
  print("logits", `off by ${error.toExponential(1)} of the largest magnitude (at most ${ALLOWED_ERROR})`);
  print("best token", `${best}, the reference's is ${bestOfReference}`);
  cache.dispose();
  owner.dispose();
  model.dispose();
  process.exit(error <= ALLOWED_ERROR && overMB <= ALLOWED_MB ? 0 : 1);
}

/** v(x, y, c) = (3x² + 7y + 11xy + 50c) mod 256, as the reference has it. */
function picture() {
  const data = new Uint8Array(SIDE * SIDE * 3);
  let at = 0;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) for (let c = 0; c < 3; c++) data[at++] = 3 * x * x + 7 * y + 11 * x * y + 50 * c;
  }
  return { data, width: SIDE, height: SIDE };
}

/** Seconds since the last call, in text. */
function clock() {
  let last = performance.now();
  return () => {
    const seconds = (performance.now() - last) / 1000;
    last = performance.now();
    return seconds.toFixed(1);
  };
}

function print(name, text) {
  console.log(`${name.padEnd(12)}  ${text}`);
}

function mega(bytes) {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

async function hashOf(path) {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 22 })) hash.update(piece);
  return hash.digest("hex");
}

/** Runs a script; its exit status. */
function node(args) {
  const { status } = spawnSync(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status === null) throw new Error(`${args[0]} was killed`);
  return status;
}
