// Peak memory of loading a checkpoint: it must stay below the packed weights plus 300 MB.
//
//   node bench/load-memory.mjs [FOLDER]
//
// Without FOLDER a checkpoint of 1 GB is created in a temporary folder and removed afterwards. Run `npm run build` before.
// On a software adapter the weights are in the memory of this process; with a discrete GPU the peak is far lower.
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ALLOWED_MB = 300;
const self = fileURLToPath(import.meta.url);
const [first, second] = process.argv.slice(2);

if (first === "--child") await load(second);
else await measure(first);

/** Loads in this process and prints the peak memory. */
async function load(folder) {
  const { LlavaOneVision } = await import("../dist/index.js");
  const started = performance.now();
  const model = await LlavaOneVision.load(folder);
  const seconds = (performance.now() - started) / 1000;
  const weightBytes = model.device.pool.liveBytes;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  const adapter = model.device.facts.name;
  model.dispose();
  console.log(JSON.stringify({ adapter, weightBytes, peakBytes, seconds: Number(seconds.toFixed(1)) }));
  process.exit(0);
}

/** Loads in a child process, to measure only the loading. */
async function measure(given) {
  const folder = given ?? (await mkdtemp(join(tmpdir(), "ocellus-load-")));
  try {
    if (!given)
      node([fileURLToPath(new URL("../scripts/make-checkpoint.mjs", import.meta.url)), folder, "--size", "1gb"]);
    const line = node([self, "--child", folder]);
    const { adapter, weightBytes, peakBytes, seconds } = JSON.parse(line);
    const overMB = (peakBytes - weightBytes) / 1e6;
    const mega = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
    console.log(`adapter         ${adapter}`);
    console.log(`packed weights  ${mega(weightBytes)}, loaded in ${seconds} s`);
    console.log(`peak memory     ${mega(peakBytes)}`);
    console.log(`over weights    ${overMB.toFixed(0)} MB (at most ${ALLOWED_MB})`);
    if (!(overMB <= ALLOWED_MB)) process.exitCode = 1;
  } finally {
    if (!given) await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a script and returns its output; fails if it fails. */
function node(args) {
  const { status, stdout } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status === 0) return stdout;
  throw new Error(`${args[0]} ended with ${status}`);
}
