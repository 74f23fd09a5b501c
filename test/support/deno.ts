import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import { lavapipeDriver } from "./lavapipe.js";

/** The installed Deno, by name: OCELLUS_DENO, else one in PATH; undefined if there is none. */
export function denoPath(): string | undefined {
  const name = process.env.OCELLUS_DENO || "deno";
  return spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0 ? name : undefined;
}

/** What is missing for a check in Deno on lavapipe, as a sentence; undefined if nothing is. */
export function missingForDeno(): string | undefined {
  if (!denoPath()) return "Deno is not installed (npm install deno; OCELLUS_DENO names it)";
  return lavapipeDriver() ? undefined : "lavapipe is not installed (scripts/ci/with-lavapipe.sh)";
}

/** Runs a program in Deno with lavapipe as the only adapter; returns its standard output, and prints its errors. */
export async function runInDeno(program: string, args: readonly string[] = []): Promise<string> {
  const { VK_DRIVER_FILES: _, OCELLUS_ADAPTER: __, ...env } = process.env;
  const run = promisify(execFile)(denoPath()!, ["run", "--allow-all", "--no-lock", program, ...args], {
    env: { ...env, VK_ICD_FILENAMES: lavapipeDriver() },
    maxBuffer: 2 ** 26,
  });
  run.child.stderr?.on("data", (text) => console.log(String(text).trimEnd()));
  return (await run).stdout;
}
