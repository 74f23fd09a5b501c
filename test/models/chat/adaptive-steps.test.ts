import { describe, expect, test } from "vitest";
import { AdaptiveSteps } from "../../../src/models/chat/adaptive-steps.js";

// Steps per readback on simulated adapters: `decode` with two batches in flight, without real time.

const MAX_IN_FLIGHT = 2;

interface Adapter {
  /** Milliseconds of step i. */
  readonly each: (i: number) => number;
  /** Completions are reported at multiples of this. */
  readonly pollMs?: number;
  /** Milliseconds of a readback. */
  readonly readMs?: number;
}

interface Answer {
  /** Milliseconds per token, of the second half. */
  readonly msPerToken: number;
  readonly steps: readonly number[];
  readonly longestMs: number;
}

class Simulation {
  readonly adaptive = new AdaptiveSteps();
  #now = 0;
  #idleAt = 0;
  #step = 0;

  constructor(public adapter: Adapter) {}

  answer(tokens: number): Answer {
    const { adaptive } = this;
    const { each, pollMs = 0, readMs = 0 } = this.adapter;
    const inFlight: { steps: number; begunAt: number; arrivesAt: number }[] = [];
    const steps: number[] = [];
    let chosen = 0;
    const begin = (count: number): void => {
      chosen += count;
      this.#idleAt = Math.max(this.#idleAt, this.#now);
      for (let i = 0; i < count; i++) this.#idleAt += each(this.#step++);
      this.#idleAt += readMs;
      const arrivesAt = pollMs === 0 ? this.#idleAt : Math.ceil(this.#idleAt / pollMs) * pollMs;
      inFlight.push({ steps: count, begunAt: this.#now, arrivesAt });
    };
    adaptive.start();
    begin(1);
    let arrivedAt: number | undefined;
    let [arrived, longestMs] = [0, 0];
    let half: { at: number; tokens: number } | undefined;
    while (inFlight.length > 0) {
      while (inFlight.length < MAX_IN_FLIGHT && chosen < tokens) begin(Math.min(adaptive.steps, tokens - chosen));
      const batch = inFlight.shift()!;
      this.#now = Math.max(this.#now, batch.arrivesAt);
      if (arrivedAt !== undefined) {
        const took = this.#now - Math.max(arrivedAt, batch.begunAt);
        adaptive.learn(batch.steps, took);
        longestMs = Math.max(longestMs, took);
      }
      arrivedAt = this.#now;
      arrived += batch.steps;
      steps.push(batch.steps);
      if (half === undefined && arrived >= tokens / 2) half = { at: this.#now, tokens: arrived };
    }
    return { msPerToken: (this.#now - half!.at) / (arrived - half!.tokens), steps, longestMs };
  }
}

/** The number of steps that a number of batches near the end had. */
const atTheEnd = ({ steps }: Answer): number[] => [...new Set(steps.slice(-8, -1))];

/** Deterministic noise from 1 − amount to 1 + amount. */
function noise(amount: number, seed = 1): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 1 - amount + (2 * amount * state) / 2 ** 32;
  };
}

test("a fast GPU: the most steps after a few batches", () => {
  const simulation = new Simulation({ each: () => 2 });
  const answer = simulation.answer(300);
  expect(answer.steps.slice(0, 8)).toEqual([1, 1, 1, 1, 2, 4, 8, 16]);
  expect(atTheEnd(answer)).toEqual([16]);
  expect(answer.longestMs).toBeLessThanOrEqual(40);
  // The next answer begins with few again, and need not learn.
  expect(simulation.answer(300).steps.slice(0, 7)).toEqual([1, 2, 2, 4, 8, 16, 16]);
});

test("a slow CPU adapter: one step at a time, pairs up to 250 ms", () => {
  const slow = new Simulation({ each: () => 200 }).answer(100);
  expect(new Set(slow.steps)).toEqual(new Set([1]));
  for (const each of [25, 60, 120]) {
    const simulation = new Simulation({ each: () => each });
    const answer = simulation.answer(400);
    const pairs = answer.steps.filter((steps) => steps === 2).length;
    expect(pairs / answer.steps.length, `${each} ms`).toBeGreaterThan(0.85);
    expect(answer.longestMs, `${each} ms`).toBeLessThanOrEqual(250);
  }
});

describe.each([
  ["every 100 ms", { pollMs: 100 }],
  ["every 60 ms", { pollMs: 60 }],
  ["with 100 ms for each", { readMs: 100 }],
])("a browser that reports completions %s", (_, report) => {
  test.each([1, 2, 3])("steps of %d ms: as many as the report is worth", (each) => {
    const simulation = new Simulation({ each: () => each, ...report });
    // The best of all constant numbers.
    const best = Math.min(...[1, 2, 4, 8, 16].map((steps) => constant({ each: () => each, ...report }, steps)));
    const answer = simulation.answer(1000);
    expect(answer.msPerToken).toBeLessThanOrEqual(1.3 * best);
    // An answer of some words after it does not begin from nothing.
    expect(simulation.answer(200).msPerToken).toBeLessThanOrEqual(1.3 * best);
  });
});

/** Milliseconds per token with always as many steps. */
function constant(adapter: Adapter, steps: number): number {
  const simulation = new Simulation(adapter);
  Object.assign(simulation.adaptive, { steps, start: () => {}, learn: () => {} });
  return simulation.answer(1000).msPerToken;
}

test.each([1, 2, 3, 4, 5])("noise with seed %d: within a tenth of the best, and smooth", (seed) => {
  for (const [each, mostMs] of [
    [2, 50],
    [6, 70],
    [25, 160],
  ] as const) {
    const factor = noise(0.3, seed);
    const answer = new Simulation({ each: () => each * factor(), readMs: 1 }).answer(2000);
    expect(answer.msPerToken).toBeLessThanOrEqual(1.1 * (each + 1 / 8));
    expect(answer.longestMs).toBeLessThanOrEqual(mostMs);
  }
  const factor = noise(0.3, seed);
  const polled = new Simulation({ each: () => 3 * factor(), pollMs: 100 }).answer(2000);
  expect(polled.msPerToken).toBeLessThanOrEqual(1.3 * 3.2);
});

test("one outlier: fewer steps at once, and as many again after a few batches", () => {
  const fast = new Simulation({ each: (i) => (i === 150 ? 900 : 2) }).answer(600);
  expect(atTheEnd(fast)).toEqual([16]);
  expect(fast.steps.filter((steps) => steps < 16).length).toBeLessThanOrEqual(12);
  const polled = new Simulation({ each: (i) => (i === 700 ? 900 : 3), pollMs: 100 }).answer(2000);
  expect(polled.msPerToken).toBeLessThanOrEqual(1.3 * 3.2);
});

test("an adapter that becomes slow: few steps after two batches", () => {
  const simulation = new Simulation({ each: (i) => (i < 320 ? 2 : 200) });
  const { steps } = simulation.answer(500);
  const slowFrom = steps.lastIndexOf(16);
  expect(steps.slice(slowFrom + 1).filter((count) => count > 1).length).toBeLessThanOrEqual(2);
  expect(steps.length - slowFrom).toBeGreaterThan(100);
});

test("one that becomes somewhat slower, or whose reports become prompt, is smooth again", () => {
  const simulation = new Simulation({ each: () => 2 });
  simulation.answer(200);
  simulation.adapter = { each: () => 10 };
  expect(Math.max(...atTheEnd(simulation.answer(600)))).toBeLessThanOrEqual(4);
  simulation.adapter = { each: () => 3, pollMs: 100 };
  simulation.answer(1000);
  expect(simulation.adaptive.steps).toBe(16);
  simulation.adapter = { each: () => 10 };
  simulation.answer(4000);
  expect(simulation.adaptive.steps).toBeLessThanOrEqual(4);
});
