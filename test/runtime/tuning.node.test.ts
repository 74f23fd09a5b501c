import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SourceError } from "../../src/base/errors.js";
import { Device } from "../../src/runtime/device.js";
import { storedTuning, storeTuning, tuned } from "../../src/runtime/tuning.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus tuning "));
  vi.stubEnv("OCELLUS_CACHE", folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

test("what is stored for an adapter is read again, and others keep theirs", async () => {
  expect(await storedTuning("a (driver 1)")).toBeUndefined();
  const path = await storeTuning("a (driver 1)", { slices: 4, algorithm: "tile" });
  await storeTuning("b", { slices: 16 });
  await storeTuning("b", { slices: 2 });
  expect(path).toBe(join(folder, "tuning.json"));
  const stored = await storedTuning("a (driver 1)");
  expect(stored?.tuning).toEqual({ slices: 4, algorithm: "tile" });
  expect(stored?.reason).toContain(path);
  expect((await storedTuning("b"))?.tuning).toEqual({ slices: 2 });
  expect(await storedTuning("a (driver 2)")).toBeUndefined();
});

test.each([
  ["no JSON", "{"],
  ["another file", '{"adapters":{}}'],
  ["an entry without a date", '{"version":1,"adapters":{"a":{"tuning":{}}}}'],
  ["a choice that is no value", '{"version":1,"adapters":{"a":{"date":"2026-01-01","tuning":{"slices":[1]}}}}'],
])("a broken file (%s) is ignored with a reason, and replaced", async (_what, text) => {
  await writeFile(join(folder, "tuning.json"), text);
  expect(await storedTuning("a")).toEqual({ tuning: {}, reason: expect.stringContaining("was ignored") });
  await storeTuning("a", { slices: 4 });
  expect((await storedTuning("a"))?.tuning).toEqual({ slices: 4 });
});

test("a folder that is a file is a typed error when written and a reason when read", async () => {
  const file = join(folder, "file");
  await writeFile(file, "");
  vi.stubEnv("OCELLUS_CACHE", join(file, "below"));
  await expect(storeTuning("a", {})).rejects.toThrow(SourceError);
});

test("values that a choice does not have mean its first", () => {
  const slices = { name: "slices", values: [8, 4, 16] } as const;
  expect(tuned({}, slices)).toBe(8);
  expect(tuned({ slices: 16 }, slices)).toBe(16);
  for (const slices_ of [3, Number.NaN, "16"]) expect(tuned({ slices: slices_ }, slices)).toBe(8);
});

test("a device takes choices that are given, those stored when asked, and none by itself", async () => {
  const given = await Device.open({ tuned: { slices: 4 } });
  const { name } = given.facts;
  expect(given.facts.tuning).toEqual({ slices: 4 });
  given.dispose();
  await storeTuning(name, { slices: 16 });
  const plain = await Device.open();
  expect(plain.facts.tuning).toEqual({});
  plain.dispose();
  const asked = await Device.open({ tuned: true });
  expect(asked.facts.tuning).toEqual({ slices: 16 });
  expect(asked.facts.reasons.join(" ")).toContain("Tuned on");
  asked.dispose();
  vi.stubEnv("OCELLUS_TUNED", "1");
  const wanted = await Device.open();
  expect(wanted.facts.tuning).toEqual({ slices: 16 });
  wanted.dispose();
  const refused = await Device.open({ tuned: false });
  expect(refused.facts.tuning).toEqual({});
  refused.dispose();
  expect(JSON.parse(await readFile(join(folder, "tuning.json"), "utf8")).adapters[name].tuning).toEqual({ slices: 16 });
});
