import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

// The server under load while its model's process is killed, its device lost and half of the requests are hostile: bench/serve-faults.mjs
// compares every answer with an undisturbed one. docs/guides/serve.md has its figures for larger numbers.

test.each(["both 4", "mixed 3 30"])("%s", async (args) => {
  const script = join(ROOT, "bench/serve-faults.mjs");
  const run = promisify(execFile)(process.execPath, [script, ...args.split(" ")], { cwd: ROOT });
  const { stdout, stderr } = await run.catch((error: { stdout: string; stderr: string }) => error);
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toMatchObject({ wrong: [], failed: false });
});
