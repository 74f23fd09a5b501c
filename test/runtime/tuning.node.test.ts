import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { OptionError, SourceError } from "../../src/base/errors.js";
import "../../src/kernels/tunables.js";
import type { OpenOptions } from "../../src/runtime/adapter.js";
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

test("a class of shapes has a value of its own, or that of all", () => {
  const lanes = { name: "lanes", values: [32, 64, 128], classes: ["few", "many"] } as const;
  const tuning = { lanes: 64, "lanes.few": 128 };
  expect([tuned(tuning, lanes, "few"), tuned(tuning, lanes, "many"), tuned(tuning, lanes)]).toEqual([128, 64, 64]);
  expect(tuned({ lanes: 64, "lanes.few": 5 }, lanes, "few")).toBe(64);
});

test("OCELLUS_TUNING sets parameters over those stored, says so, and yields to the program's", async () => {
  const open = async (options: OpenOptions = {}) => {
    const device = await Device.open(options);
    device.dispose();
    return device.facts;
  };
  const { name } = await open();
  await storeTuning(name, { "matvec.slices": 8, "norm.lanes": 64 });
  vi.stubEnv("OCELLUS_TUNING", '{"matvec.slices":16,"norm.lanes.few":128,"matvec.blocks":"auto"}');
  const stated = { "matvec.slices": 16, "norm.lanes.few": 128, "matvec.blocks": "auto" };
  const facts = await open();
  expect(facts.tuning).toEqual(stated);
  expect(facts.reasons.at(-1)).toBe(
    "OCELLUS_TUNING sets matvec.slices = 16, norm.lanes.few = 128, matvec.blocks = auto.",
  );
  expect((await open({ tuned: true })).tuning).toEqual({ "norm.lanes": 64, ...stated });
  expect((await open({ tuned: false })).tuning).toEqual({});
  expect((await open({ tuned: { "norm.lanes": 256 } })).tuning).toEqual({ "norm.lanes": 256 });
});

test.each([
  ["matvec.slices=4", /expected a JSON object, got matvec\.slices=4 — for example OCELLUS_TUNING='{"matvec/],
  ["[4]", /expected a JSON object/],
  [
    '{"matvec.slice":16}',
    /expected .*norm\.lanes \(.*256; \.few, \.many\).*got matvec\.slice — did you mean matvec\.slices\?/,
  ],
  ['{"matvec.blocks.few":1}', /got matvec\.blocks\.few/],
  ['{"matvec.slices":3}', /^OCELLUS_TUNING, matvec\.slices: expected .*8, .*got 3/],
  ['{"matvec.slices":"16"}', /got "16"/],
])("OCELLUS_TUNING=%s is an error that lists what there is", async (text, message) => {
  vi.stubEnv("OCELLUS_TUNING", text);
  const opening = Device.open();
  await expect(opening).rejects.toThrow(OptionError);
  await expect(opening).rejects.toThrow(message);
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
