import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

test("the example that ranks pictures finds the picture itself first", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["examples/nearest-picture.mjs"], { cwd: ROOT });
  const lines = stdout.trim().split("\n");
  expect(lines).toHaveLength(5);
  expect(lines[0]).toBe("1.0000 00-shapes.png");
  const similarities = lines.map((line) => Number(line.split(" ")[0]));
  expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
});
