import { expect, test } from "vitest";
import { FIRST_RATES, SUBMISSION_MS, WorkBudget } from "../../src/runtime/work-budget.js";

/** An adapter that executes one submission after the other, and reports completions at once or every `pollMs`. */
class Adapter {
  now = 0;
  /** When all that was submitted is done. */
  idleAt = 0;
  readonly #waiting: { at: number; resolve: () => void }[] = [];
  readonly budget = new WorkBudget(
    false,
    () => new Promise<void>((resolve) => void this.#waiting.push({ at: this.#reported(this.idleAt), resolve })),
    () => this.now,
  );

  constructor(
    public flops: number,
    public bytes: number,
    readonly pollMs = 0,
  ) {}

  #reported(at: number): number {
    return this.pollMs === 0 ? at : Math.ceil(at / this.pollMs) * this.pollMs;
  }

  /** Records dispatches, cut as a device does; returns the longest submission in true milliseconds. */
  record(dispatches: number, work: { flops: number; bytes: number }): number {
    let [longest, own] = [0, 0];
    const submit = (): void => {
      this.idleAt = Math.max(this.idleAt, this.now) + own;
      longest = Math.max(longest, own);
      own = 0;
      this.budget.submit();
    };
    for (let i = 0; i < dispatches; i++) {
      if (!this.budget.fits(work)) submit();
      this.budget.add(work);
      own += Math.max(work.flops / this.flops, work.bytes / this.bytes);
    }
    submit();
    return longest;
  }

  /** Lets time pass until everything has been reported. */
  async finish(): Promise<void> {
    while (this.#waiting.length > 0) {
      const { at, resolve } = this.#waiting.shift()!;
      this.now = Math.max(this.now, at);
      resolve();
      await Promise.resolve();
      await Promise.resolve();
    }
    this.now = Math.max(this.now, this.idleAt);
  }
}

const product = { flops: 2e9, bytes: 1e6 };
const step = { flops: 1e6, bytes: 2e7 };

test("the work of a submission ends before the bound; a dispatch alone always fits", () => {
  const budget = new WorkBudget(false, async () => {});
  expect(budget.milliseconds({ flops: 5e9, bytes: 1e6 })).toBe(50);
  expect(budget.milliseconds({ bytes: 1e9 })).toBe(100);
  expect(budget.fits({ flops: 1e12, bytes: 0 })).toBe(true);
  budget.add({ flops: 5e9, bytes: 0 });
  expect(budget.fits({ bytes: 5e8 })).toBe(true);
  expect(budget.fits({ bytes: 6e8 })).toBe(false);
  budget.submit();
  expect(budget.fits({ bytes: 6e8 })).toBe(true);
  expect([1e9, 2e9, 3e9, 1e13].map((bytes) => budget.fitting({ bytes }, 10))).toEqual([10, 5, 3, 1]);
});

test("software adapters are unlimited, and nothing is awaited there", () => {
  let awaited = 0;
  const budget = new WorkBudget(true, async () => awaited++);
  budget.add({ flops: 1e18, bytes: 1e18 });
  expect(budget.fits({ flops: 1e18, bytes: 1e18 })).toBe(true);
  budget.submit();
  expect(awaited).toBe(0);
});

// FLOPs and bytes a millisecond: a slow integrated GPU, a laptop's, a large one's; reported at once, or every 100 ms.
test.each([
  [1e8, 1e7, 0],
  [1e9, 5e7, 0],
  [2e10, 1e9, 0],
  [1e9, 5e7, 100],
  [2e10, 1e9, 100],
])("at %d and %d a millisecond, polled every %d ms, no submission takes over the bound", async (flops, bytes, poll) => {
  const adapter = new Adapter(flops, bytes, poll);
  for (let round = 0; round < 12; round++) {
    for (const [work, count] of [
      [product, 500],
      [step, 300],
    ] as const) {
      expect(adapter.record(count, work)).toBeLessThanOrEqual(SUBMISSION_MS);
      await adapter.finish();
      adapter.now += round * 40; // idle
    }
  }
  const { rates } = adapter.budget;
  expect(rates.flops).toBeLessThanOrEqual(flops);
  expect(rates.bytes).toBeLessThanOrEqual(bytes);
  // Long work is cut at least half as coarsely as the adapter allows.
  const [enough, allowed] = [1000 * product.flops, 1000 * step.bytes];
  if (enough / flops > 500) expect(rates.flops).toBeGreaterThan(flops / 2);
  if (allowed / bytes > 500) expect(rates.bytes).toBeGreaterThan(bytes / 2);
});

test("one measurement raises the rates four times at most", async () => {
  const adapter = new Adapter(1e12, 1e12);
  adapter.record(1, { flops: 1e10, bytes: 1e9 });
  await adapter.finish();
  expect(adapter.budget.rates).toEqual({ flops: 4 * FIRST_RATES.flops, bytes: 4 * FIRST_RATES.bytes });
});

test("the next submission is not taken for fast because the last one was reported late", async () => {
  const adapter = new Adapter(FIRST_RATES.flops, FIRST_RATES.bytes, 100);
  // Both are reported at 200 ms; the second took 90 of them.
  for (let round = 0; round < 20; round++) {
    adapter.record(9, { flops: 1e9, bytes: 0 });
    adapter.record(9, { flops: 1e9, bytes: 0 });
    await adapter.finish();
    expect(adapter.budget.rates.flops).toBeLessThanOrEqual(FIRST_RATES.flops);
  }
});

test("the rates fall for an adapter slower than the first rates, and rise again", async () => {
  const slow = new Adapter(FIRST_RATES.flops / 10, FIRST_RATES.bytes / 10);
  const longest: number[] = [];
  for (let round = 0; round < 6; round++) {
    longest.push(slow.record(20, { flops: 1e8, bytes: 1e6 }));
    await slow.finish();
  }
  expect(longest[0]).toBeCloseTo(200, 0);
  slow.budget.rates = FIRST_RATES;
  expect(slow.record(100, { flops: 1e8, bytes: 1e6 })).toBeCloseTo(1000, 0);
  await slow.finish();
  expect(slow.record(100, { flops: 1e8, bytes: 1e6 })).toBeLessThanOrEqual(2.5 * SUBMISSION_MS);
  slow.flops *= 100;
  slow.bytes *= 100;
  for (let round = 0; round < 12; round++) {
    slow.record(100, { flops: 1e8, bytes: 1e6 });
    await slow.finish();
  }
  expect(slow.budget.rates.flops).toBeGreaterThan(FIRST_RATES.flops);
});

test("a short submission that was reported late says nothing", async () => {
  const adapter = new Adapter(FIRST_RATES.flops, FIRST_RATES.bytes);
  adapter.record(1, { flops: 1e6, bytes: 1e4 });
  adapter.idleAt += 900; // another program's work
  adapter.now = 0;
  await adapter.finish();
  expect(adapter.budget.rates).toEqual(FIRST_RATES);
});

test("a lost device is not an error of its own", async () => {
  const budget = new WorkBudget(false, () => Promise.reject(new Error("lost")));
  for (let i = 0; i < 2; i++) {
    budget.add({ bytes: 1e9 });
    budget.submit();
    await Promise.resolve();
  }
  expect(budget.rates).toEqual(FIRST_RATES);
});
