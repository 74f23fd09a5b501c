import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { parse } from "../../src/cli/arguments.js";
import type { Command } from "../../src/cli/command.js";

const command: Command = {
  name: "try",
  usage: "",
  about: "",
  options: {
    image: { value: "FILE", help: "", multiple: true, path: true },
    model: { value: "WHERE", help: "", path: true },
    mode: { value: "MODE", help: "", choices: ["auto", "pad"] },
    count: { value: "N", help: "" },
    "max-new-tokens": { value: "N", help: "" },
    output: { value: "FILE", help: "", short: "o" },
    json: { help: "" },
  },
  mostPositionals: 2,
  examples: [],
  run: async () => {},
};

test("options in order, values with dashes, words after --", () => {
  const given = parse(command, [
    "a",
    "--image=x.png",
    "--json",
    "-o",
    "-",
    "--count",
    "-1",
    "--image",
    "y",
    "--",
    "-b",
  ]);
  expect(given.positionals).toEqual(["a", "-b"]);
  expect(given.ordered.map(({ name }) => name)).toEqual(["image", "json", "output", "count", "image"]);
  expect(given.values("image")).toEqual(["x.png", "y"]);
  expect([given.value("output"), given.value("model"), given.has("json")]).toEqual(["-", undefined, true]);
  expect([given.number("count"), given.number("mode")]).toEqual([-1, undefined]);
});

test("~ is the home folder in paths, not in texts", () => {
  const given = parse(command, ["~/a", "--image=~/x.png", "--model", "~", "--image", "~other/y"]);
  expect(given.values("image")).toEqual([join(homedir(), "x.png"), "~other/y"]);
  expect(join(given.value("model")!, ".")).toBe(join(homedir(), "."));
  expect(given.positionals).toEqual(["~/a"]);
  expect(parse({ ...command, positionalPaths: true }, ["~/a"]).positionals).toEqual([join(homedir(), "a")]);
});

test.each<[string[], string]>([
  [["--imag", "x"], "ocellus try: expected a known option, got --imag — did you mean --image?"],
  [["-image", "x"], "got -image — did you mean --image?"],
  [["--max-tokens", "3"], "got --max-tokens — did you mean --max-new-tokens?"],
  [["--max_new_tokens=3"], "got --max_new_tokens — did you mean --max-new-tokens?"],
  [["-Is it?", "x"], "put -- before a text that begins with a dash"],
  [["--banana"], "got --banana — run `ocellus try --help`"],
  [["--image"], "expected a value after --image, got none"],
  [["--image="], "expected a value after --image, got an empty one"],
  [["--image", "--json"], "expected a value after --image, got the option --json"],
  [["--json=yes"], "expected --json alone, got the value yes — leave out =yes"],
  [["--model", "a", "--model=b"], "expected --model once, got it twice (a, b)"],
  [["--mode", "pda"], "--mode: expected auto or pad, got pda — did you mean pad?"],
  [["x", "--", "--image", "y"], "expected options before --, got --image after it"],
  [["x", "y", "z"], "expected at most 2 arguments besides options, got x y z"],
])("%j", (args, message) => {
  expect(() => parse(command, args)).toThrow(OptionError);
  expect(() => parse(command, args)).toThrow(message);
});

test("numbers", () => {
  const given = (text: string) => parse(command, [`--count=${text}`]);
  expect(given("8").count("count")).toBe(8);
  expect(given("0").count("count", 0)).toBe(0);
  for (const text of ["0", "-3", "1.5", "many", " ", "1e99"]) {
    expect(() => given(text).count("count")).toThrow(`ocellus try, --count: expected a whole number above 0, got`);
  }
  expect(given("0.7").number("count")).toBe(0.7);
  expect(() => given("0,7").number("count")).toThrow("expected a number, got 0,7 — give for example 0.7, with a point");
});
