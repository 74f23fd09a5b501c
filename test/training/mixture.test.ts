import { expect, test } from "vitest";
import { readMixture } from "../../src/training/mixture.js";

const mixture = (...strategies: string[]) =>
  readMixture(
    `datasets:\n${strategies.map((own) => `  - json_path: a.json\n    sampling_strategy: ${own}\n`).join("")}`,
    "mix.yaml",
    7,
  );

test.each([
  ["all", [0, 1, 2, 3, 4, 5, 6]],
  ["first:3", [0, 1, 2]],
  ["first:30%", [0, 1, 2]], // 2.1, rounded up
  ["end:2", [5, 6]],
  ["end:15%", [5, 6]],
  ["first:100", [0, 1, 2, 3, 4, 5, 6]],
] as const)("%s of seven records", async (strategy, expected) => {
  const [file] = await mixture(strategy);
  expect([file!.path, file!.choose(7)]).toEqual(["a.json", expected]);
});

test("random choices are those of the seed, in the order of the file, and differ from file to file", async () => {
  const [one, other] = await mixture("random:20", "random:10%");
  const chosen = one!.choose(200);
  expect(new Set(chosen).size).toBe(20);
  expect(chosen).toEqual([...chosen].sort((a, b) => a - b));
  expect((await mixture("random:20"))[0]!.choose(200)).toEqual(chosen);
  expect(other!.choose(200).length).toBe(20);
  expect(other!.choose(200)).not.toEqual(chosen);
});

test("all records of a file without a strategy", async () => {
  const [file] = await readMixture("datasets: [{ json_path: b.parquet }]", "mix.yaml", 0);
  expect([file!.path, file!.choose(2)]).toEqual(["b.parquet", [0, 1]]);
});

test.each([
  ["datasets: [", /^mix\.yaml: expected YAML, got .* at line 1/],
  ["datasets: a.json", /^mix\.yaml: expected a list `datasets` of files, got "a.json"/],
  ["- a.json", /^mix\.yaml: expected a list `datasets`/],
  ["datasets: []", /^mix\.yaml: expected a list `datasets`/],
  ["datasets: [{ json_path: a.json }]\nseed: 1", /^mix\.yaml: expected datasets, got the key seed/],
  ["datasets: [a.json]", /^mix\.yaml, dataset 1: expected json_path and sampling_strategy, got "a.json"/],
  ["datasets: [{ json_path: a.json, weight: 2 }]", /^mix\.yaml, dataset 1: .* got the key weight/],
  ["datasets: [{ json_path: 1 }]", /^mix\.yaml, dataset 1, json_path: expected the path of a file, got 1/],
])("%j is refused by name", async (text, message) => {
  await expect(readMixture(text, "mix.yaml", 0)).rejects.toThrow(message);
});

test.each(["first", "first:", "first:0", "first:0%", "end:101%", "random:-1", "first:1.5", "middle:3", "all:3"])(
  "the strategy %s is refused by name",
  async (strategy) => {
    await expect(mixture("all", JSON.stringify(strategy))).rejects.toThrow(
      `mix.yaml, dataset 2, sampling_strategy: expected all, first:N, end:N or random:N, where N is a number or a percentage, got "${strategy}"`,
    );
  },
);
