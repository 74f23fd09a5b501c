import { realpathSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { MissingPackageError } from "../../src/base/errors.js";
import { tinyCheckpoint, tinyExamples } from "../../src/cli/tiny-checkpoint.js";
import { TINY_FOLDER } from "../support/damaged.js";

const { exists } = vi.hoisted(() => ({ exists: { value: true } }));
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  return { ...fs, existsSync: (path: string) => exists.value && fs.existsSync(path) };
});

test("the toy checkpoint is the repository's", () => {
  expect(realpathSync(tinyCheckpoint())).toBe(realpathSync(TINY_FOLDER));
  expect(realpathSync(tinyExamples())).toBe(realpathSync(join(TINY_FOLDER, "examples")));
});

test("where its package is not installed the error names a model and the command", () => {
  exists.value = false;
  expect(tinyCheckpoint).toThrow(MissingPackageError);
  expect(tinyCheckpoint).toThrow(/name a checkpoint, such as `--model .+`, or run `npm install @ocellus\/tiny`/);
});
