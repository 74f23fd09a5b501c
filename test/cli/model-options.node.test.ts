import { expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { parse } from "../../src/cli/arguments.js";
import { ask } from "../../src/cli/ask.js";
import { devicesGiven, loadOptions } from "../../src/cli/model-options.js";
import { ocellusHere } from "../support/cli-in-process.js";
import { failure } from "../support/failure.js";

const budgetOf = (text: string) => loadOptions(parse(ask, ["--memory-budget", text])).memoryBudget;

test.each([
  ["6GB", 6e9],
  ["1.5 gib", 1.5 * 2 ** 30],
  ["512MiB", 2 ** 29],
  ["300kb", 3e5],
  ["123456", 123456],
])("a size of %s", (text, bytes) => {
  expect(budgetOf(text)).toBe(bytes);
});

test.each(["much", "6 apples", "-1GB", "0", "1e9", "GB"])("%j is not a size", (text) => {
  const error = failure(OptionError, () => loadOptions(parse(ask, [`--memory-budget=${text}`])));
  expect(error.message).toContain("--memory-budget: expected a size above 0");
});

test("where weights are", () => {
  expect(loadOptions(parse(ask, ["--weights", "auto"]))).toEqual({ weights: "auto" });
  expect(() => parse(ask, ["--weights", "disk"])).toThrow("--weights: expected auto or resident or stream, got disk");
});

test("an answer of a model whose layers stream, and a budget that is too small", async () => {
  const args = ["ask", "--model", "ocellus/tiny", "--max-new-tokens", "6"];
  const resident = await ocellusHere([...args, "What do you see?"]);
  expect(resident.code).toBe(0);
  expect(await ocellusHere([...args, "--weights", "stream", "What do you see?"])).toEqual(resident);
  const small = await ocellusHere([...args, "--weights", "auto", "--memory-budget", "9MB", "What do you see?"]);
  expect(small.code).toBe(1);
  expect(small.stderr).toContain("expected at most 8.6 MiB (memoryBudget)");
});

test("the adapters of --devices", () => {
  const given = (...args: string[]) => devicesGiven(parse(ask, args));
  expect(given()).toEqual([]);
  expect(given("--devices", "0, llvmpipe")).toEqual(["0", "llvmpipe"]);
  expect(failure(OptionError, () => given("--devices", "0,")).message).toContain(
    "--devices: expected numbers or names",
  );
});

test("an answer of a model on two devices, and a device that is not there", async () => {
  const args = ["ask", "--model", "ocellus/tiny", "--max-new-tokens", "6"];
  const one = await ocellusHere([...args, "What do you see?"]);
  expect(await ocellusHere([...args, "--devices", "0,0", "What do you see?"])).toEqual(one);
  const none = await ocellusHere([...args, "--devices", "0,7", "What do you see?"]);
  expect(none.code).not.toBe(0);
  expect(none.stderr).toContain("Device.open, adapter: expected one of 0 ");
});
