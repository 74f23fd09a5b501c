import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../support/cli.js";

/** Runs a line of bash, where `O` is the command line; returns the statuses of its pipe, and standard error. */
function bash(line: string): Promise<{ statuses: string; stderr: string }> {
  const env = { ...process.env, MAIN: join(ROOT, "dist/cli/main.js"), NODE: process.execPath };
  const whole = `O() { "$NODE" "$MAIN" "$@"; }; ${line}; echo "statuses \${PIPESTATUS[@]}"`;
  return new Promise((resolve) => {
    execFile("bash", ["-c", whole], { env, cwd: ROOT }, (_, stdout, stderr) => {
      resolve({ statuses: /statuses (.*)/.exec(stdout)?.[1] ?? "", stderr });
    });
  });
}

test("a reader who has enough ends the command quietly", async () => {
  for (const line of ["(sleep 1; O completion bash) | true", "O ask --model ocellus/tiny Hello! | true"]) {
    expect(await bash(line), line).toEqual({ statuses: "0 0", stderr: "" });
  }
});

test("a reader of standard error who is gone changes nothing", async () => {
  const { statuses } = await bash("(sleep 1; O ask --image none.png What?) 2>&1 >/dev/null | true");
  expect(statuses).toBe("1 0");
});

test.skipIf(!existsSync("/dev/full"))("a full disk is an error with a name", async () => {
  const { statuses, stderr } = await bash("O --help > /dev/full");
  expect(stderr).toMatch(/^ocellus: standard output: expected to write, got ENOSPC.*\n$/);
  expect(statuses).toBe("1");
});
