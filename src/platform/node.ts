import { Readable } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";
import { createInflate, constants as zlib } from "node:zlib";
import { causeMessage } from "../base/cause-message.js";
import { NoAdapterError, OptionError } from "../base/errors.js";
import { installCommand } from "../base/optional-packages.js";
import { byPreference, chosenAdapter, type ListedAdapter, systemNames } from "./node-adapters.js";
import { openAnimation } from "./node-animation.js";
import { cache } from "./node-cache.js";
import { listFolder, openFile, pendingReads } from "./node-files.js";
import { findPackage } from "./node-installed.js";
import { importPackage } from "./node-packages.js";
import { decodePicture, decodeSamples } from "./node-pictures.js";
import { settings } from "./node-settings.js";
import {
  type ChromiumPackage,
  findChromiumPackage,
  unpackSwiftShader,
  withSwiftShaderOnly,
} from "./node-swiftshader.js";
import { videoCodecs } from "./node-video.js";
import { absentDrivers } from "./node-vulkan-drivers.js";
import { type AdapterRequest, adapterName, isSoftware, type OpenedAdapter, type Platform } from "./platform.js";

/**
 * Dawn's switches on GPUs: without them it hides f16 on NVIDIA under Vulkan, and subgroup matrices everywhere. Both are self-tested
 * before use. Adapters on the CPU have nothing to gain; under Vulkan's memory model lavapipe takes up to twice the time.
 */
const GPU_SWITCHES = ["enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,use_vulkan_memory_model"];
/** On every adapter: Dawn rounds timestamps to 65.5 µs for the sake of browsers, longer than most kernels take. */
const SWITCHES = ["disable-dawn-features=timestamp_quantization"];

/** The binding's entry points, never released: garbage-collecting an instance crashes the process if its devices are alive. */
const instances: Record<string, GPU | undefined> = {};

/** "system-software" is the system's driver restricted to CPU adapters (lavapipe, WARP). */
type AdapterKind = "system" | "system-software" | "swiftshader";
/** "system-switched" is the system's driver with the switches. */
type InstanceKind = AdapterKind | "system-switched";

/** Result of an attempt: the adapter, or the reason for its absence. */
type Attempt = { adapter: GPUAdapter; reason: string } | { adapter?: undefined; reason: string };

/** The WebGPU of Node: Dawn through the `webgpu` package, on the system's driver or on SwiftShader. */
export const platform: Platform = {
  name: "node",
  requestAdapter: (options) => inTurn(() => requestAdapter(options)),
  listAdapters: () => inTurn(async () => (await listAdapters()).map(({ adapter }) => adapter)),
  languageFeatures() {
    const opened = [denosGPU(), ...Object.values(instances)];
    return new Set(opened.flatMap((gpu) => [...(gpu?.wgslLanguageFeatures ?? [])]));
  },
  openFile,
  listFolder,
  cache: () => Promise.resolve(cache),
  settings,
  decodePicture,
  decodeSamples,
  inflate,
  readPixels: () => undefined,
  snapshot: () => undefined,
  threads: { onExit, drained },
  openAnimation,
  videoCodecs,
  findPackage: (name) => findPackage(name),
  driversMayWrite: () => process.platform === "linux" && absentDrivers() === undefined,
  waitFor,
  collectGarbage,
};

let queue: Promise<unknown> = Promise.resolve();

/** Serialised: opening SwiftShader temporarily changes the environment. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = queue.then(work);
  queue = result.catch(() => undefined);
  return result;
}

async function requestAdapter(options: AdapterRequest): Promise<OpenedAdapter> {
  if (options.adapter !== undefined) {
    const { adapter } = chosenAdapter(await listAdapters(), options.adapter);
    return { adapter, reasons: [`${adapterName(adapter.info)} was chosen by the program.`] };
  }
  const { kinds, reasons } = kindsToTry(options);
  if (!denosGPU()) await importWebGPU();
  for (const kind of kinds) {
    const attempt = kind === "swiftshader" ? await openSwiftShader(options) : await openSystem(kind, options);
    reasons.push(attempt.reason);
    if (attempt.adapter) return { adapter: attempt.adapter, reasons };
  }
  throw new NoAdapterError({
    where: "WebGPU in Node",
    expected: `an adapter (${kinds.join(", then ")})`,
    got: `none: ${reasons.join(" ")}`,
    remedy: remedy(),
  });
}

/** The order of attempts: the variable OCELLUS_ADAPTER, else the option, else the system's adapter before the software one. */
function kindsToTry(options: AdapterRequest): { kinds: AdapterKind[]; reasons: string[] } {
  const forced = process.env.OCELLUS_ADAPTER;
  if (forced === "system" || forced === "swiftshader") {
    return { kinds: [forced], reasons: [`OCELLUS_ADAPTER=${forced} allows this adapter only.`] };
  }
  if (forced) {
    throw new OptionError({
      where: "OCELLUS_ADAPTER",
      expected: '"system" or "swiftshader"',
      got: JSON.stringify(forced),
      remedy: "unset it to let Ocellus choose",
    });
  }
  if (options.prefer === "software") {
    return { kinds: ["swiftshader", "system-software"], reasons: ["A software adapter was requested."] };
  }
  return { kinds: ["system", "swiftshader"], reasons: [] };
}

/** The adapters that can be chosen: those of the system's drivers, GPUs first, then SwiftShader. */
async function listAdapters(): Promise<readonly ListedAdapter[]> {
  const { kinds } = kindsToTry({});
  if (!denosGPU()) await importWebGPU();
  const found: ListedAdapter[] = [];
  const add = (adapter: GPUAdapter | null | undefined, own = ""): void => {
    if (adapter) found.push({ adapter, names: [own, adapterName(adapter.info)] });
  };
  if (kinds.includes("system") && !absentDrivers()) {
    const names = denosGPU() ? [] : await systemNames((flag) => openInstance("system", {}, flag));
    for (const name of names) {
      const plain = await openInstance("system", {}, `adapter=${name}`);
      const switched = plain && !isSoftware(plain.info);
      add(switched ? await openInstance("system-switched", {}, `adapter=${name}`) : plain, name);
    }
    if (names.length === 0) add((await openSystem("system", {})).adapter);
  }
  if (kinds.includes("swiftshader")) add((await openSwiftShader({})).adapter, "swiftshader");
  return byPreference(found);
}

async function openSystem(kind: "system" | "system-software", options: AdapterRequest): Promise<Attempt> {
  const absent = absentDrivers();
  // Dawn and the Vulkan loader would print warnings with stack traces before failing.
  if (absent) return { reason: absent };
  const plain = await openInstance(kind, options);
  const isGPU = kind === "system" && plain && !isSoftware(plain.info) && !denosGPU();
  const adapter = (isGPU && (await openInstance("system-switched", options))) || plain;
  const by = denosGPU() ? "Deno's WebGPU" : "Dawn";
  if (adapter) return { adapter, reason: `The system's driver offers ${adapterName(adapter.info)} to ${by}.` };
  const what = kind === "system" ? "Vulkan, Metal or D3D12 adapter" : "software adapter";
  return { reason: `The system offers no ${what} that ${by} accepts.` };
}

async function openSwiftShader(options: AdapterRequest): Promise<Attempt> {
  const chromium = findChromiumPackage();
  if (!chromium) {
    const why =
      process.platform === "linux" && process.arch === "x64" ? "is not installed" : "has builds for Linux on x64 only";
    return { reason: `No software adapter: the package @sparticuz/chromium ${why}.` };
  }
  const name = `SwiftShader of @sparticuz/chromium ${chromium.version}`;
  let adapter: GPUAdapter | null;
  try {
    adapter = await openSwiftShaderOf(chromium, options);
  } catch (error) {
    return { reason: `${name} can't be loaded (${causeMessage(error)}).` };
  }
  if (!adapter) return { reason: `${name} did not start.` };
  if (!isSwiftShader(adapter)) {
    return { reason: `${name} can't be opened in a worker thread beside an adapter of the system's driver.` };
  }
  return { adapter, reason: `${name} runs on the CPU: ${adapterName(adapter.info)}.` };
}

/**
 * Dawn takes SwiftShader for the Vulkan loader unless the system's loader is in the process. Where the system has drivers, that loader is
 * asked for SwiftShader instead, so that both kinds of adapter can be open; it reads the environment, which worker threads can't change.
 */
async function openSwiftShaderOf(chromium: ChromiumPackage, options: AdapterRequest): Promise<GPUAdapter | null> {
  if (!instances.swiftshader && process.env.OCELLUS_ADAPTER !== "swiftshader" && isMainThread && !absentDrivers()) {
    const folder = await unpackSwiftShader(chromium, { load: false });
    const adapter = await withSwiftShaderOnly(folder, () => openInstance("swiftshader", options));
    if (adapter) return adapter;
    // Driver files exist, but no loader.
    delete instances.swiftshader;
  }
  if (!instances.swiftshader) await unpackSwiftShader(chromium, { load: true });
  return openInstance("swiftshader", options);
}

function isSwiftShader(adapter: GPUAdapter): boolean {
  return /swiftshader/i.test(adapterName(adapter.info));
}

/** `flag`: another of Dawn's. */
async function openInstance(kind: InstanceKind, options: AdapterRequest, flag?: string): Promise<GPUAdapter | null> {
  const key = flag ? `${kind} ${flag}` : kind;
  let gpu = kind === "swiftshader" ? instances[key] : (denosGPU() ?? instances[key]);
  if (!gpu) {
    const switches = [...SWITCHES, ...(kind === "system-switched" ? GPU_SWITCHES : []), ...(flag ? [flag] : [])];
    gpu = (await importWebGPU()).create(switches);
    instances[key] = gpu;
  }
  return gpu.requestAdapter({
    featureLevel: "core",
    powerPreference: options.powerPreference ?? "high-performance",
    forceFallbackAdapter: kind === "system-software",
  });
}

/** Deno's own WebGPU (wgpu), for the system's drivers. Undefined in Node, where a program may set `navigator.gpu` to anything. */
function denosGPU(): GPU | undefined {
  return process.versions.deno ? globalThis.navigator.gpu : undefined;
}

function importWebGPU(): Promise<typeof import("webgpu")> {
  return importPackage(() => import("webgpu"), {
    where: "WebGPU in Node",
    expected: 'the package "webgpu"',
    remedy: `run \`${installCommand("webgpu")}\``,
  });
}

function remedy(): string {
  if (process.platform !== "linux") return "update the graphics driver";
  const driver =
    "install the GPU's Vulkan driver, or Mesa 24 or newer (Debian, Ubuntu: `apt install mesa-vulkan-drivers`)";
  return process.arch === "x64"
    ? `${driver}, or run \`${installCommand(...(denosGPU() ? (["webgpu"] as const) : []), "@sparticuz/chromium")}\` for a software adapter`
    : driver;
}

/** Minimum and maximum sleep in milliseconds: short waits have low latency, long ones low overhead. */
const FIRST_NAP = 0.2;
const LONGEST_NAP = 2;
/** Growth factor of sleeps; work that finishes during a sleep is noticed at its end. */
const NAP_GROWTH = 1.1;

/** Pending promises, and the next sleep. */
let waiting = 0;
let nap = FIRST_NAP;
let dozing = false;

/**
 * Waits for `promise`. Dawn's binding polls in every iteration of the event loop and so occupies a core while work is
 * pending; for CPU adapters, which compute on the same cores, the thread sleeps between iterations instead. Deno's own WebGPU
 * waits by itself, which a sleeping thread delays: a wait took 90 ms.
 */
function waitFor<T>(promise: Promise<T>, queue: GPUQueue, adapterOnCPU: boolean): Promise<T> {
  if (!adapterOnCPU || isDenos(queue)) return promise;
  const settle = (): void => {
    waiting--;
    nap = FIRST_NAP;
  };
  waiting++;
  nap = FIRST_NAP;
  promise.then(settle, settle);
  void doze();
  return promise;
}

/** Whether a queue is of Deno's own WebGPU, not of Dawn. */
function isDenos(queue: GPUQueue): boolean {
  return process.versions.deno !== undefined && queue instanceof GPUQueue;
}

/** One loop for all waiting promises: several sleeps would add up. */
async function doze(): Promise<void> {
  if (dozing) return;
  dozing = true;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  await turn();
  while (waiting > 0) {
    // The event loop alone notices that a read has ended, and uploads of layers that stream wait for it.
    Atomics.wait(cell, 0, 0, pendingReads > 0 ? FIRST_NAP : nap);
    nap = Math.min(nap * NAP_GROWTH, LONGEST_NAP);
    await turn();
  }
  dozing = false;
}

/** One iteration of the event loop, in which the binding settles its promises. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A destroyed device's promises are settled in the first iteration; their continuations may need more. */
const DRAINING_TURNS = 10;

async function drained(): Promise<void> {
  for (let i = 0; i < DRAINING_TURNS; i++) await turn();
}

const atExit = new Set<() => void>();

/** One listener for all: Node warns of more than ten. The newest work is done first. */
function onExit(work: () => void): () => void {
  if (atExit.size === 0) process.on("exit", exit);
  atExit.add(work);
  return () => {
    atExit.delete(work);
    if (atExit.size === 0) process.off("exit", exit);
  };
}

function exit(): void {
  for (const work of [...atExit].reverse()) work();
}

/** DecompressionStream has chunks of 16 kB, with which a picture of twelve megapixels takes a quarter of a second longer. */
function inflate(compressed: Uint8Array, chunkBytes: number): ReadableStream<Uint8Array> {
  const inflater = createInflate({ chunkSize: Math.max(zlib.Z_MIN_CHUNK, chunkBytes) });
  inflater.end(compressed);
  return Readable.toWeb(inflater) as ReadableStream<Uint8Array>;
}

let collector: (() => void) | undefined;

function collectGarbage(): void {
  collector ??= findCollector();
  collector();
}

/** Bun has a function for it; Deno has none. V8 exposes `gc` to contexts that are created while its flag is set. */
function findCollector(): () => void {
  const { Bun } = globalThis as { Bun?: { gc(synchronous: boolean): void } };
  if (Bun) return () => Bun.gc(true);
  if (process.versions.deno) return () => {};
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  setFlagsFromString("--no-expose-gc");
  return collect;
}
