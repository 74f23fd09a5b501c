import { throwIfAborted } from "../base/errors.js";
import type { Arena } from "../runtime/arena.js";
import type { Device } from "../runtime/device.js";
import { relativeError } from "./compare.js";
import { type LoadedModel, loadModel } from "./loaded-model.js";
import { cacheOf, decodeTokens, planOf, prefill, see, stepOf, TILES } from "./model-stages.js";
import * as work from "./model-work.js";
import { heldMatrix } from "./reference/layers.js";
import { matmul } from "./reference/matmul.js";
import { allowedError, type BenchMeasurement, checked, DEFAULT_SECONDS, figures, type MeasureOptions } from "./run.js";
import { normals, Runs } from "./synthetic.js";
import { verifyDecoder, verifyTower } from "./verify.js";
import type { BenchType, Kind } from "./workload.js";

/** A workload on the complete model, which is loaded once for all of them. */
export interface ModelWorkload {
  readonly name: string;
  readonly what: string;
  /** Runs and times it on a verified model. */
  run(bench: ModelBench): Promise<BenchMeasurement>;
}

/** Text tokens of the prompt in `model-05b`. */
const TEXT_TOKENS = 20;
/** Layers of each part that are verified. */
const VERIFIED_LAYERS = 2;
/** Logits that are verified. */
const VERIFIED_COLUMNS = 256;

/**
 * A loaded and verified model, with its timers.
 * @example
 * ```ts
 * const bench = await ModelBench.open(device, "q8", { peak: await measurePeak(device) });
 * console.log(bench.relativeError);
 * bench.dispose();
 * ```
 */
export class ModelBench {
  private constructor(
    readonly model: LoadedModel,
    readonly relativeError: number,
    readonly options: MeasureOptions,
  ) {}

  /** Loads a checkpoint folder or random weights, and verifies them. Throws KernelError for wrong results. */
  static async open(
    device: Device,
    dtype: BenchType,
    options: MeasureOptions & Parameters<typeof loadModel>[2],
  ): Promise<ModelBench> {
    options.onStage?.("preparing");
    const model = await loadModel(device, dtype, options);
    try {
      options.onStage?.("verifying");
      const error = checked(`bench model-* in ${dtype}`, await verify(model), allowedError(device.facts));
      options.onStage?.("timing");
      return new ModelBench(model, error, options);
    } catch (cause) {
      model.dispose();
      throw cause;
    }
  }

  get seconds(): number {
    return this.options.seconds ?? DEFAULT_SECONDS;
  }

  /** Runs in an arena of its own. Returns milliseconds: of one run if it is long, else of several after a warm-up. */
  async times(once: (owner: Arena) => Promise<void>): Promise<number[]> {
    const times: number[] = [];
    const run = async (): Promise<number> => {
      throwIfAborted(this.options.signal, "bench");
      const owner = this.model.network.device.arena("run");
      try {
        const started = performance.now();
        await once(owner);
        return performance.now() - started;
      } finally {
        owner.dispose();
      }
    };
    const first = await run();
    if (first > this.seconds * 400) return [first];
    for (let spent = 0; times.length < 3 || spent < this.seconds * 1000; spent += times.at(-1)!)
      times.push(await run());
    return times;
  }

  /** A measurement of the model; `amounts` are those of one run. */
  measurement(
    name: string,
    shape: string,
    kind: Kind,
    amounts: { flops: number; weights: number; bytes: number },
    times: readonly number[],
    dispatches: number,
    details: Readonly<Record<string, number>> = {},
  ): BenchMeasurement {
    const { dtype } = this.model;
    return {
      ...figures({ name, shape, kind, dtype, ...amounts }, times, this.options.peak),
      algorithm: "",
      dispatches,
      relativeError: this.relativeError,
      details,
    };
  }

  dispose(): void {
    this.model.dispose();
    this.model.network.device.pool.trim();
  }
}

/**
 * The largest relative error against the float64 loops: the patch embedding of a tile, two layers of the tower and two of the
 * decoder on nine rows, and logits of columns across the vocabulary.
 */
async function verify(model: LoadedModel): Promise<number> {
  const { network, geometry, levels } = model;
  const { device, language } = network;
  const { width, vocabulary } = geometry.text;
  const tower = await verifyTower(device, network.vision, levels, VERIFIED_LAYERS);
  const cache = cacheOf(model);
  const stack = language.layers.slice(0, VERIFIED_LAYERS);
  const decoder = await verifyDecoder(device, stack, width, cache).finally(() => cache.dispose());
  const numbers = normals(width, 4);
  const logits = device.scope(() => language.logits(device.upload(numbers, [1, width], "hidden")));
  const got = await logits.read();
  logits.dispose();
  const columns = Array.from({ length: VERIFIED_COLUMNS }, (_, i) =>
    Math.floor((i * (vocabulary - 1)) / (VERIFIED_COLUMNS - 1)),
  );
  const matrix = language.head?.weight ?? language.embedding.table;
  const truth = matmul(numbers, await heldMatrix(matrix, columns), 1, width, columns.length);
  const head = relativeError(
    columns.map((column) => got[column]!),
    truth,
  );
  return Math.max(tower, decoder, head);
}

const load: ModelWorkload = {
  name: "model-load",
  what: "16-bit weights to the adapter, packed (random unless --checkpoint)",
  async run(bench) {
    const { seconds, weightBytes } = bench.model;
    const amounts = { flops: 0, weights: work.weightsOf(bench.model), bytes: weightBytes };
    return bench.measurement("model-load", "", "other", amounts, [seconds * 1000], 0, { "GPU MB": weightBytes / 1e6 });
  },
};

const vision: ModelWorkload = {
  name: "model-vision",
  what: "tower, projector and packing of a picture of two tiles",
  async run(bench) {
    const { model } = bench;
    const { counters } = model.network.device;
    const plan = planOf(model);
    let dispatches = 0;
    const times = await bench.times(async (owner) => {
      const before = counters.dispatches;
      await see(model, plan, owner);
      dispatches = counters.dispatches - before;
    });
    const shape = `${TILES} tiles`;
    const measured = bench.measurement("model-vision", shape, "rows", work.vision(model, TILES), times, dispatches);
    return { ...measured, dtype: model.visionType };
  },
};

function prefillOf(rows: number): ModelWorkload {
  const name = `model-prefill-${rows}`;
  return {
    name,
    what: `${rows} rows of text, prefill with logits of the last row`,
    async run(bench) {
      const { model } = bench;
      const { counters } = model.network.device;
      let dispatches = 0;
      const times = await bench.times(async (owner) => {
        const cache = cacheOf(model);
        try {
          const before = counters.dispatches;
          await prefill(model, rows, undefined, cache, owner, bench.options.signal);
          dispatches = counters.dispatches - before;
        } finally {
          cache.dispose();
        }
      });
      return bench.measurement(name, `${rows} rows`, "rows", work.prefill(model, rows), times, dispatches);
    },
  };
}

function decodeOf(label: string, cached: number): ModelWorkload {
  const name = `model-decode-${label}`;
  return {
    name,
    what: `decoding after ${cached} tokens; figures per token`,
    async run(bench) {
      const { model } = bench;
      const { device } = model.network;
      const owner = device.arena("decode");
      const cache = cacheOf(model);
      try {
        cache.reserve(cached + 300);
        const numbers = new Runs(11).take(cached * cache.width);
        for (const tensor of [...cache.keys, ...cache.values]) device.write(tensor, numbers);
        cache.length = cached;
        const step = await stepOf(model, cache);
        const logits = owner.run(() => model.network.next(Uint32Array.of(1), cached, [], cache));
        const { seconds } = bench;
        const { signal } = bench.options;
        const decoded = await decodeTokens(model, logits, cache, owner, { seconds, stepMs: step.ms, signal });
        return bench.measurement(
          name,
          `1 row after ${cached}`,
          "decode",
          work.step(model, cached),
          [decoded.msPerToken],
          step.dispatches,
          decodingDetails(decoded, step),
        );
      } finally {
        cache.dispose();
        owner.dispose();
      }
    },
  };
}

function decodingDetails(
  decoded: Awaited<ReturnType<typeof decodeTokens>>,
  step: Awaited<ReturnType<typeof stepOf>>,
): Record<string, number> {
  return {
    tokens: decoded.tokens,
    "tokens/s": 1000 / decoded.msPerToken,
    "dispatches/layer": step.dispatchesPerLayer,
    "dispatches/token": step.dispatches,
    "submissions/token": decoded.submissionsPerToken,
    "readbacks/token": decoded.readbacksPerToken,
  };
}

const whole: ModelWorkload = {
  name: "model-05b",
  what: "end to end: load, a picture of two tiles, 20 text tokens, an answer; figures of vision and prefill",
  async run(bench) {
    const { model } = bench;
    const { device } = model.network;
    const { signal } = bench.options;
    const owner = device.arena("answer");
    const cache = cacheOf(model);
    const plan = planOf(model);
    const rows = plan.tokens + TEXT_TOKENS;
    try {
      device.pool.peakBytes = device.pool.liveBytes;
      const laps = [performance.now()];
      const before = device.counters.dispatches;
      const visual = await see(model, plan, owner);
      laps.push(performance.now());
      cache.reserve(rows + 300);
      const logits = await prefill(model, rows, visual, cache, owner, signal);
      laps.push(performance.now());
      const dispatches = device.counters.dispatches - before;
      visual.dispose();
      const step = await stepOf(model, cache);
      const decoded = await decodeTokens(model, logits, cache, owner, {
        seconds: bench.seconds,
        stepMs: step.ms,
        signal,
      });
      const [visionMs, prefillMs] = [laps[1]! - laps[0]!, laps[2]! - laps[1]!];
      const seen = work.vision(model, TILES);
      const read = work.prefill(model, rows);
      const amounts = {
        flops: seen.flops + read.flops,
        weights: seen.weights + read.weights,
        bytes: seen.bytes + read.bytes,
      };
      const shape = `${plan.tokens} + ${TEXT_TOKENS} rows`;
      return bench.measurement("model-05b", shape, "rows", amounts, [visionMs + prefillMs], dispatches, {
        "load s": model.seconds,
        "vision s": visionMs / 1000,
        "vision GFLOP/s": seen.flops / visionMs / 1e6,
        "prefill s": prefillMs / 1000,
        "prefill GFLOP/s": read.flops / prefillMs / 1e6,
        ...decodingDetails(decoded, step),
        "weights GPU MB": model.weightBytes / 1e6,
        "most GPU MB": device.pool.peakBytes / 1e6,
      });
    } finally {
      cache.dispose();
      owner.dispose();
    }
  },
};

/** In execution order. */
export const MODEL_WORKLOADS: readonly ModelWorkload[] = [
  load,
  whole,
  vision,
  prefillOf(729),
  prefillOf(2000),
  prefillOf(7300),
  decodeOf("1k", 1024),
  decodeOf("8k", 8192),
];
