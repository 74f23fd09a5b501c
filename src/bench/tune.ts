import { throwIfAborted } from "../base/errors.js";
import type { Device } from "../runtime/device.js";
import { type Tuning, tuningName } from "../runtime/tuning.js";
import { ALLOWED_ERROR } from "./run.js";
import { choicesFor, type Size, type TunedChoice } from "./tuned-choices.js";
import type { BenchType, Prepared } from "./workload.js";

/** Minimum speed-up over the default for a value to be chosen. */
const WORTH = 0.03;
/** Rounds in which every value is timed once. */
const LEAST_ROUNDS = 5;
const MOST_ROUNDS = 50;
/** Short runs are batched to about this duration, so that readback latency does not dominate. */
const BATCH_MS = 10;
const MOST_A_BATCH = 200;

type Value = number | string;

/** Result of one value of a parameter. */
export interface Trial {
  readonly value: Value;
  /** Time relative to the default's, mean over the shapes; undefined for a value with wrong results. */
  readonly ratio: number | undefined;
  /** Maximum over the shapes. */
  readonly relativeError: number;
}

/** Result of one kernel parameter, for one class of shapes or for all. */
export interface ChoiceResult {
  /** With the class: `matvec.slices.narrow`. */
  readonly name: string;
  readonly winner: Value;
  /** The default first. */
  readonly trials: readonly Trial[];
}

/** Options of {@link tune}. */
export interface TuneOptions {
  readonly size?: Size;
  /** Storage dtypes of weights, equally weighted. */
  readonly dtypes?: readonly BenchType[];
  /** Seconds of timing per parameter and class of shapes. */
  readonly seconds?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (choice: string, stage: "preparing" | "verifying" | "timing") => void;
  readonly onResult?: (result: ChoiceResult) => void;
  /** Replaces the parameters for `size`. */
  readonly choices?: readonly TunedChoice[];
}

/**
 * Autotunes the kernel parameters that matter on this adapter, on the shapes of a model size, and returns the values that are faster than
 * the defaults; classes of shapes are judged separately. Every value is verified before it is timed. `device.facts.tuning` is restored afterwards: open a device with the result
 * as `tuned`, or store it.
 */
export async function tune(device: Device, options: TuneOptions = {}): Promise<Tuning> {
  const { size = "0.5b", dtypes = ["f16", "q4"], seconds = 4, signal } = options;
  const { tuning } = device.facts;
  const before = { ...tuning };
  const found: Tuning = {};
  try {
    for (const name of Object.keys(tuning)) delete tuning[name];
    for (const choice of options.choices ?? choicesFor(device.facts, size, dtypes)) {
      if (choice.counts?.(tuning) === false) continue;
      const name = tuningName(choice.tunable, choice.shapes);
      const told = (stage: "preparing" | "verifying" | "timing") => options.onProgress?.(name, stage);
      told("preparing");
      const cases: Prepared[] = [];
      try {
        for (const { workload, dtype } of choice.cases) {
          throwIfAborted(signal, "ocellus tune");
          cases.push(await workload.prepare(device, dtype));
        }
        const result = await measureChoice(device, name, choice.tunable.values, cases, seconds, told, signal);
        options.onResult?.(result);
        // Later parameters are measured with this value.
        if (result.winner !== choice.tunable.values[0]) found[name] = tuning[name] = result.winner;
      } finally {
        for (const one of cases) one.dispose();
        device.pool.trim();
      }
    }
    return found;
  } finally {
    for (const name of Object.keys(tuning)) delete tuning[name];
    Object.assign(tuning, before);
  }
}

async function measureChoice(
  device: Device,
  name: string,
  values: readonly [Value, ...Value[]],
  cases: readonly Prepared[],
  seconds: number,
  told: (stage: "verifying" | "timing") => void,
  signal: AbortSignal | undefined,
): Promise<ChoiceResult> {
  const { tuning } = device.facts;
  const [standard] = values;
  const choose = (value: Value): void => {
    tuning[name] = value;
  };
  try {
    told("verifying");
    const errors = new Map<Value, number>();
    for (const value of values) {
      choose(value);
      let worst = 0;
      for (const one of cases) {
        throwIfAborted(signal, "ocellus tune");
        worst = Math.max(worst, await one.verify());
      }
      errors.set(value, worst);
    }
    const right = values.filter((value) => errors.get(value)! <= ALLOWED_ERROR);
    let times = new Map<Value, number[][]>();
    if (right.includes(standard) && right.length > 1) {
      told("timing");
      choose(standard);
      const together: number[] = [];
      for (const one of cases) {
        const once = await timed(device, one, 1);
        together.push(Math.max(1, Math.min(MOST_A_BATCH, Math.ceil(BATCH_MS / Math.max(once, 1e-3)))));
      }
      const started = performance.now();
      const enough = (rounds: number): boolean =>
        rounds >= MOST_ROUNDS || (rounds >= LEAST_ROUNDS && performance.now() - started > seconds * 1000);
      times = await interleaved(right, enough, async (value) => {
        throwIfAborted(signal, "ocellus tune");
        choose(value);
        const milliseconds: number[] = [];
        for (const [i, one] of cases.entries()) milliseconds.push(await timed(device, one, together[i]!));
        return milliseconds;
      });
    }
    const { winner, ratios } = decide(standard, times);
    const trials = values.map((value) => ({
      value,
      ratio: ratios.get(value),
      relativeError: errors.get(value)!,
    }));
    return { name, winner, trials };
  } finally {
    delete tuning[name];
  }
}

/** Milliseconds per run, of a batch of runs. */
async function timed(device: Device, prepared: Prepared, runs: number): Promise<number> {
  const started = performance.now();
  for (let i = 0; i < runs; i++) device.scope(() => void prepared.run());
  await device.sync();
  return (performance.now() - started) / runs;
}

/**
 * Measures the values in interleaved rounds (A B C A B C), so that temporary disturbances affect all of them equally. The first round is
 * a warm-up. Returns milliseconds by value, round and shape.
 */
export async function interleaved<V>(
  values: readonly V[],
  enough: (rounds: number) => boolean,
  measure: (value: V) => Promise<number[]>,
): Promise<Map<V, number[][]>> {
  const times = new Map<V, number[][]>(values.map((value) => [value, []]));
  for (let round = -1; round < 0 || !enough(round); round++) {
    for (const value of values) {
      const milliseconds = await measure(value);
      if (round >= 0) times.get(value)!.push(milliseconds);
    }
  }
  return times;
}

/**
 * Returns the fastest value that is faster than the default by 3 % in the mean over the shapes of a class, and on none of them slower by as much;
 * else the default. Times are medians over the rounds; ratios are relative to the default's.
 */
export function decide<V>(
  standard: V,
  times: ReadonlyMap<V, readonly (readonly number[])[]>,
): { winner: V; ratios: Map<V, number> } {
  const own = times.get(standard);
  const ratios = new Map<V, number>();
  let winner = standard;
  if (!own || own.length === 0) return { winner, ratios };
  const base = medians(own);
  let least = 1 - WORTH;
  for (const [value, rounds] of times) {
    const shares = medians(rounds).map((milliseconds, shape) => milliseconds / base[shape]!);
    const ratio = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    ratios.set(value, ratio);
    if (value === standard || ratio > least || shares.some((share) => share > 1 + WORTH)) continue;
    winner = value;
    least = ratio;
  }
  return { winner, ratios };
}

/** Medians over the rounds, by shape. */
function medians(rounds: readonly (readonly number[])[]): number[] {
  return rounds[0]!.map((_, shape) => {
    const sorted = rounds.map((round) => round[shape]!).sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
  });
}
