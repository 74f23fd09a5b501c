import { describe, expect, test } from "vitest";
import { AbortedError } from "../../src/base/errors.js";
import { product } from "../../src/bench/kernels.js";
import { rootNorm } from "../../src/bench/row-kernels.js";
import { decide, interleaved, tune } from "../../src/bench/tune.js";
import { choicesFor, SIZE_NAMES } from "../../src/bench/tuned-choices.js";
import type { Workload } from "../../src/bench/workload.js";
import {
  keysClass,
  MATMUL_TILE,
  MATMUL_UNITS,
  MATVEC_BLOCKS,
  MATVEC_SLICES,
  NORM_LANES,
  rowsClass,
  widthClass,
} from "../../src/kernels/tunables.js";
import { type Tuning, tuned, tuningName } from "../../src/runtime/tuning.js";
import { useDevice } from "../support/device.js";

describe("the decision", () => {
  const times = (values: Record<string, number[][]>) => new Map(Object.entries(values));

  test("values less than 3 % faster are not chosen", () => {
    expect(decide("a", times({ a: [[100]], b: [[98]] })).winner).toBe("a");
    expect(decide("a", times({ a: [[100]], b: [[97]] })).winner).toBe("b");
    expect(decide("a", times({ a: [[100]], b: [[96]], c: [[80]], d: [[90]] })).winner).toBe("c");
    expect(decide("b", times({ a: [[96]], b: [[95]] })).winner).toBe("b");
  });

  test("shapes count alike, and none may lose 3 %", () => {
    // In milliseconds the second is faster; it loses on the short shape.
    expect(decide("a", times({ a: [[1, 1000]], b: [[1.5, 900]] })).winner).toBe("a");
    const { winner, ratios } = decide("a", times({ a: [[1, 1000]], b: [[1.02, 900]] }));
    expect(winner).toBe("b");
    expect(ratios.get("b")).toBeCloseTo(0.96);
    expect(ratios.get("a")).toBe(1);
  });

  test("medians: one disturbed round has no effect", () => {
    const a = [[10], [10], [10], [10], [90]];
    const b = [[11], [1], [11], [11], [11]];
    expect(decide("a", times({ a, b })).winner).toBe("a");
    expect(decide("a", times({ a: [[10], [20]], b: [[15], [15]] })).ratios.get("b")).toBe(1);
  });

  test("without times of the standard it stays", () => {
    expect(decide("a", times({ b: [[1]] })).winner).toBe("a");
    expect(decide("a", new Map()).winner).toBe("a");
  });

  test("values take turns, and the first round does not count", async () => {
    const order: string[] = [];
    let clock = 0;
    const measured = await interleaved(
      ["a", "b"],
      (rounds) => rounds >= 3,
      async (value) => {
        order.push(value);
        return [clock++];
      },
    );
    expect(order.join("")).toBe("abababab");
    expect(measured.get("a")).toEqual([[2], [4], [6]]);
    expect(measured.get("b")).toEqual([[3], [5], [7]]);
  });
});

describe("tuning", () => {
  const held = useDevice();
  const short = { seconds: 0.01 };

  test("all values of the kernels are verified and timed, and the device is left as it was", async () => {
    const { device } = held;
    const { tuning } = device.facts;
    tuning.kept = 1;
    const live = device.pool.liveBytes;
    const results: string[] = [];
    const cases = (workloads: Workload[]) => workloads.map((workload) => ({ workload, dtype: "q4" as const }));
    await tune(device, {
      ...short,
      choices: [
        {
          tunable: device.facts.broadcastLanes ? MATVEC_BLOCKS : MATVEC_SLICES,
          cases: cases([product("x", "", 1, 96, 40)]),
        },
        { tunable: NORM_LANES, cases: cases([rootNorm("rms_norm", 3, 70), rootNorm("norm", 1, 300)]) },
        { tunable: MATMUL_TILE, cases: [], counts: (own) => own[MATMUL_UNITS.name] === "tiles" },
      ],
      onResult({ name, trials }) {
        results.push(name);
        expect(trials[0]?.ratio).toBe(1);
        for (const { ratio, relativeError } of trials) {
          expect(ratio).toBeGreaterThan(0);
          expect(relativeError).toBeLessThan(1e-5);
        }
      },
    });
    expect(results).toHaveLength(2);
    expect(tuning).toEqual({ kept: 1 });
    delete tuning.kept;
    expect(device.pool.liveBytes).toBe(live);
  });

  /** Takes as long, and errs as much, as a function of what is chosen says. */
  function mockWorkload(seen: (tuning: Tuning) => { spins: number; error: number }): Workload {
    return {
      ...rootNorm("rms_norm", 1, 4),
      async prepare(device) {
        const { tuning } = device.facts;
        return {
          run() {
            const end = performance.now() + seen(tuning).spins;
            while (performance.now() < end);
            return device.empty([1], "f32", "y");
          },
          verify: async () => seen(tuning).error,
          dispose() {},
        };
      },
    };
  }

  test("a value with wrong results is not timed; the next parameter is measured with the winner", async () => {
    const { device } = held;
    const first = { name: "first", values: ["slow", "wrong", "fast"] } as const;
    const second = { name: "second", values: [1, 2] } as const;
    const seenBySecond = new Set<unknown>();
    const spins = { slow: 8, wrong: 1, fast: 1 };
    const asked = mockWorkload(({ first: value }) => ({
      spins: spins[value as keyof typeof spins] ?? 9,
      error: value === "wrong" ? Number.NaN : 0,
    }));
    const next = mockWorkload((tuning) => {
      seenBySecond.add(tuning.first);
      return { spins: 1, error: 0 };
    });
    const found = await tune(device, {
      ...short,
      choices: [
        { tunable: first, cases: [{ workload: asked, dtype: "f32" }] },
        { tunable: second, cases: [{ workload: next, dtype: "f32" }] },
      ],
      onResult({ name, trials }) {
        if (name === "first") expect(trials.map(({ ratio }) => ratio === undefined)).toEqual([false, true, false]);
      },
    });
    expect(found.first).toBe("fast");
    expect([...seenBySecond]).toEqual(["fast"]);
    expect(device.facts.tuning).toEqual({});
  });

  test("classes of shapes are judged by themselves", async () => {
    const { device } = held;
    const lanes = { name: "lanes", values: [1, 2], classes: ["few", "many"] } as const;
    // 2 is faster for few rows and slower for many.
    const taking = (shapes: "few" | "many", spins: readonly [number, number]) =>
      mockWorkload((tuning) => ({ spins: spins[tuned(tuning, lanes, shapes) - 1]!, error: 0 }));
    const names: string[] = [];
    const found = await tune(device, {
      ...short,
      choices: [
        { tunable: lanes, shapes: "few", cases: [{ workload: taking("few", [8, 1]), dtype: "f32" }] },
        { tunable: lanes, shapes: "many", cases: [{ workload: taking("many", [1, 8]), dtype: "f32" }] },
      ],
      onResult: ({ name }) => names.push(name),
    });
    expect(names).toEqual(["lanes.few", "lanes.many"]);
    expect(found).toEqual({ "lanes.few": 2 });
    expect([tuned(found, lanes, "few"), tuned(found, lanes, "many")]).toEqual([2, 1]);
  });

  test("with a wrong default nothing is chosen", async () => {
    const own = { name: "own", values: ["wrong", "right"] } as const;
    const workload = mockWorkload(({ own: value }) => ({ spins: 0, error: value === "wrong" ? 1 : 0 }));
    const choices = [{ tunable: own, cases: [{ workload, dtype: "f32" as const }] }];
    expect(await tune(held.device, { ...short, choices })).toEqual({});
  });

  test("an abort gives everything back", async () => {
    const { device } = held;
    const abort = new AbortController();
    const choices = [
      { tunable: NORM_LANES, cases: [{ workload: rootNorm("rms_norm", 3, 70), dtype: "f32" as const }] },
    ];
    const running = tune(device, {
      ...short,
      choices,
      signal: abort.signal,
      onProgress: (_, stage) => {
        if (stage === "timing") abort.abort();
      },
    });
    await expect(running).rejects.toThrow(AbortedError);
    expect(device.facts.tuning).toEqual({});
    expect(device.pool.liveBytes).toBe(0);
  });

  test("an adapter has the choices that make a difference on it", () => {
    const { facts } = held.device;
    const names = (own: typeof facts) =>
      choicesFor(own, "7b", ["q4"]).map(({ tunable, shapes }) => tuningName(tunable, shapes));
    const norms = ["norm.lanes.few", "norm.lanes.many"];
    expect(names({ ...facts, onCPU: true, broadcastLanes: 4 })).toEqual(["matvec.blocks", ...norms]);
    expect(names({ ...facts, onCPU: true, broadcastLanes: 0 })).toEqual(norms);
    const gpu = { ...facts, onCPU: false, broadcastLanes: 0 as const };
    expect(names({ ...gpu, subgroupMatrix: undefined })).toEqual([
      "matvec.slices.middle",
      "matvec.slices.narrow",
      "matvec.slices.wide",
      "matmul.tile.middle",
      "matmul.tile.wide",
      "matmul.tile.narrow",
      "attention.kvSplitKeys.short",
      "attention.kvSplitKeys.long",
      ...norms,
    ]);
    expect(names({ ...gpu, subgroupMatrix: { m: 16, n: 16, k: 16, input: "f16" } })).toContain("matmul.units");
  });

  test.each(SIZE_NAMES)("the shapes of %s are of the class whose value they choose", (size) => {
    const facts = { ...held.device.facts, onCPU: false, broadcastLanes: 0 as const, subgroupMatrix: undefined };
    const choices = choicesFor(facts, size, ["q4"]);
    const slices = choices.filter(({ tunable }) => tunable === MATVEC_SLICES).map(({ shapes }) => shapes);
    expect(slices.sort()).toEqual([...MATVEC_SLICES.classes!].sort());
    for (const { tunable, shapes, cases } of choices) {
      expect(tunable.classes).toContain(shapes);
      for (const { workload } of cases) {
        const [first = 0, last = 0] = [/\d+/.exec(workload.shape), /\d+$/.exec(workload.shape)].map(Number);
        const keys = Number(/over (\d+)/.exec(workload.shape)?.[1]);
        const own = { "attention.kvSplitKeys": keysClass(keys), "norm.lanes": rowsClass(first) }[tunable.name];
        expect(own ?? widthClass(last), `${tunable.name} ${workload.shape}`).toBe(shapes);
      }
    }
  });
});
