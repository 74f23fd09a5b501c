import { expect, test } from "vitest";
import { tinyCheckpoint } from "../../src/cli/tiny-checkpoint.js";
import { estimate } from "../../src/models/sizing/estimate.js";
import { ocellus } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";

// The table and the object of `ocellus estimate`, and what is said of wrong options.

/** No adapter is there, and none is wanted. */
const NO_ADAPTER = { OCELLUS_ADAPTER: "none" };

test("a table that people read", async () => {
  const { code, stdout, stderr } = await ocellus(
    ["estimate", "ocellus/tiny", "--dtype", "vision=q8,language=q4"],
    NO_ADAPTER,
  );
  expect(stderr).toBe("");
  expect(code).toBe(0);
  const { weightsBytes, activationBytes } = await estimate(tinyCheckpoint(), {
    dtype: { vision: "q8", language: "q4" },
  });
  const size = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const line = (name: string) => stdout.split("\n").find((text) => text.startsWith(name));
  expect(line("parameters")).toContain("5,063,632");
  expect(line("files")).toMatch(/9\.7 MiB +all here$/);
  expect(line("weights")).toContain(size(weightsBytes));
  expect(line("  language")).toMatch(/ [\d.]+ MiB$/);
  expect(line("KV cache")).toMatch(/16\.0 MiB +keys and values of 4,096 tokens$/);
  expect(line("activations")).toContain(size(activationBytes));
  expect(line("activations")).toMatch(/at most, with a medium of 37 tiles \(837 tokens\)$/);
  expect(line("limits")).toContain("maxStorageBufferBindingSize");
  for (const text of stdout.split("\n")) expect(text.length).toBeLessThan(120);
});

test("what layers that stream take", async () => {
  const args = ["--memory-budget", "1GB", "--read-rate", "1MB"];
  const { stdout } = await ocellusHere(["estimate", tinyCheckpoint(), ...args]);
  const options = { memoryBudget: 1e9, readBytesPerSecond: 1e6 };
  const { leastBytes, readBytes } = (await estimate(tinyCheckpoint(), options)).streaming;
  const line = stdout.split("\n").find((text) => text.startsWith("streaming"));
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  expect(line).toContain(
    `${mebibytes(leastBytes)}    at least; reads 3 of 4 layers for each token: ${mebibytes(readBytes)}, `,
  );
  expect(line).toMatch(/, 4\.\d s$/);
});

test("an object", async () => {
  const args = ["--json", "--context", "512", "--tiles", "0", "--cache-dtype", "f16", "--dtype", "q4"];
  const { code, stdout } = await ocellusHere(["estimate", tinyCheckpoint(), ...args]);
  expect(code).toBe(0);
  const options = { contextTokens: 512, tiles: 0, cacheDtype: "f16", dtype: "q4" } as const;
  expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(await estimate(tinyCheckpoint(), options))));
});

test.each<[string[], string, number?]>([
  [["/no/such/folder"], "/no/such/folder: expected a folder", 1],
  [["--contxt", "12"], "did you mean --context?"],
  [["--context", "-3"], "--context: expected a whole number above 0, got -3"],
  [["--context", "99999"], "contextTokens: expected a whole number from 1 to 4096"],
  [["--tiles", "few"], "--tiles: expected a whole number from 0, got few"],
  [["--dtype", "q5"], "dtype of vision"],
  [["--cache-dtype", "q4"], "cacheDtype: expected auto, f32, f16, q8, got q4"],
  [["a", "b"], "expected at most 1 argument besides options, got a b"],
])("%s", async (args, said, status = 2) => {
  const model = args.some((arg) => /^[a/]/.test(arg)) ? [] : ["ocellus/tiny"];
  const { code, stdout, stderr } = await ocellusHere(["estimate", ...model, ...args]);
  expect(stderr).toContain(said);
  expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  expect(stdout).toBe("");
  expect(code).toBe(status);
});

test("help", async () => {
  const { code, stdout } = await ocellusHere(["estimate", "--help"]);
  expect(stdout).toMatch(/^ocellus estimate \[options\] \[MODEL\]/);
  expect(code).toBe(0);
});
