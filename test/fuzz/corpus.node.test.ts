import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

// Every input that was a fault once, as the fuzzer executes it: over `dist`, which `npm test` builds.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const FOLDER = join(ROOT, "test/data/fuzz");

interface Target {
  readonly kind: "bytes" | "json" | "text";
  readonly seeds: readonly unknown[];
  readonly run: (input: unknown) => Promise<void>;
}
interface Find {
  readonly fault: string;
  readonly detail: string;
}
interface Execute {
  execute(target: Pick<Target, "kind" | "run">, input: unknown, options: { timed: boolean }): Promise<Find | undefined>;
  inputOf(bytes: Uint8Array, kind: Target["kind"]): unknown;
}

const load = <T>(file: string): Promise<T> => import(/* @vite-ignore */ `${ROOT}scripts/fuzz/${file}`) as Promise<T>;
const { TARGETS } = await load<{ TARGETS: Record<string, () => Promise<Target>> }>("targets.mjs");
const { execute, inputOf } = await load<Execute>("execute.mjs");

const untimed = { timed: false };
const inputs = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .flatMap(({ name }) => readdirSync(join(FOLDER, name)).map((file) => [name, file] as const));

it.each(inputs)("%s: %s is no fault any more", async (name, file) => {
  // What else this process allocates is counted too.
  const target = { ...(await TARGETS[name]!()), memoryBytes: 2 ** 30 };
  expect(await execute(target, inputOf(readFileSync(join(FOLDER, name, file)), target.kind), untimed)).toBeUndefined();
});

it.each(Object.keys(TARGETS))("the seeds of %s pass", async (name) => {
  const target = await TARGETS[name]!();
  expect(target.seeds.length).toBeGreaterThan(0);
  for (const seed of target.seeds.slice(0, 40)) expect(await execute(target, seed, untimed)).toBeUndefined();
});

describe("the fuzzer", () => {
  it("finds errors without a type, and memory out of proportion", async () => {
    const kept: unknown[] = [];
    const faults = async (run: (input: unknown) => Promise<void>) =>
      (await execute({ kind: "json", run }, [1, { a: 2 }], untimed))?.fault;
    const broken = async (input: unknown) => void (input as { b: { c: number } }).b.c;
    expect(await faults(broken)).toBe("untyped");
    expect(await faults(async () => void kept.push(new Uint8Array(200 * 2 ** 20)))).toBe("memory");
    expect(await faults(async () => {})).toBeUndefined();
  });

  it("makes the same inputs from the same seed, and makes finds smaller", async () => {
    type Mutate = (input: unknown, next: () => number, options: object) => unknown;
    const { mutateJson, random } = await load<{ mutateJson: Mutate; random(seed: number): () => number }>("mutate.mjs");
    const options = { others: [{ x: [1] }], words: ["a", "b"], most: 100 };
    const made = (seed: number) => Array.from({ length: 20 }, () => mutateJson({ a: [1, "b"] }, random(seed), options));
    expect(made(5)).toEqual(made(5));
    expect(made(5)).not.toEqual(made(6));

    type Minimised = (target: object, input: unknown, find: Find, run: typeof judge) => Promise<unknown>;
    const { minimised } = await load<{ minimised: Minimised }>("minimise.mjs");
    const judge = async (text: string) => (text.includes("ab") ? { fault: "untyped", detail: "TypeError" } : undefined);
    const small = await minimised(
      { kind: "text" },
      "xxxxxxxabxxxx",
      { fault: "untyped", detail: "TypeError" },
      judge as never,
    );
    expect(small).toBe("ab");
  });

  it("has a folder of inputs only for targets that it has", () => {
    expect(existsSync(join(FOLDER, "README.md"))).toBe(true);
    expect([...new Set(inputs.map(([name]) => name))].filter((name) => !(name in TARGETS))).toEqual([]);
  });
});
