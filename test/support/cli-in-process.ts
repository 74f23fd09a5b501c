import { vi } from "vitest";
import { failureOf, runGiven } from "../../src/cli/commands.js";
import { Interruption } from "../../src/cli/interruption.js";
import type { Outcome } from "./cli.js";

/**
 * Runs the command line in this process, one command at a time: for commands that need no process of their own, whose start takes longer
 * than they do. Standard input is not theirs; `ocellus` of `cli.ts` runs the built program.
 */
export async function ocellusHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  let [stdout, stderr] = ["", ""];
  const written = [
    vi.spyOn(process.stdout, "write").mockImplementation((text) => {
      stdout += String(text);
      return true;
    }),
    vi.spyOn(process.stderr, "write").mockImplementation((text) => {
      stderr += String(text);
      return true;
    }),
  ];
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  try {
    await runGiven(args, new Interruption());
    return { code: Number(process.exitCode ?? 0), stdout, stderr };
  } catch (error) {
    const { status, text } = failureOf(error, false);
    return { code: status, stdout, stderr: stderr + text };
  } finally {
    process.exitCode = undefined;
    vi.unstubAllEnvs();
    for (const spy of written) spy.mockRestore();
  }
}
