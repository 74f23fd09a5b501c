import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.js";
import { ocellusHere } from "../support/cli-in-process.js";

let folder: string;
const script = (shell: string): string => join(folder, `ocellus.${shell}`);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-completion-"));
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout } = await ocellusHere(["completion", shell]);
    expect(code).toBe(0);
    await writeFile(script(shell), stdout);
  }
  await writeFile(join(folder, "a photo.png"), "");
});
afterAll(() => rm(folder, { recursive: true }));

/** What bash offers for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const line = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ocellus; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const args = ["-c", line, "bash", script("bash"), "ocellus", ...words];
  const { stdout, stderr } = await promisify(execFile)("bash", args, { cwd: folder });
  expect(stderr).toBe("");
  return stdout.trimEnd().split("\n");
}

test("bash offers commands, options, values and files", async () => {
  expect(await offered("")).toEqual([
    ...Object.keys(COMMANDS).filter((name) => !name.includes(" ")),
    "--help",
    "--version",
  ]);
  expect(await offered("c")).toEqual(["chat", "convert", "completion"]);
  expect(await offered("ask", "--image", "x", "--ima")).toEqual(["--image", "--image-mode"]);
  expect(await offered("ask", "--dtype", "q")).toEqual(["q8", "q4"]);
  expect(await offered("ask", "--image-mode", "=", "pa")).toEqual(["pad"]);
  expect(await offered("ask", "--template", "=")).toEqual(["checkpoint", "onevision"]);
  expect(await offered("ask", "--image", "a")).toEqual(["a photo.png"]);
  expect(await offered("ask", "--temperature", "")).toEqual([""]);
  expect(await offered("batch", "-o", "a")).toEqual(["a photo.png"]);
  expect(await offered("bench", "rms_norm_7")).toEqual(["rms_norm_7b_row"]);
  expect(await offered("bench", "--no-")).toEqual(["--no-f16", "--no-matrices"]);
  expect(await offered("bench", "--report", "a")).toEqual(["a photo.png"]);
  expect(await offered("bench", "ser")).toEqual(["serve"]);
  expect(await offered("bench", "serve", "--pr")).toEqual(["--prompts", "--prefixes"]);
  expect(await offered("bench", "serve", "--prompts", "")).toEqual(["text", "picture"]);
  expect(await offered("serve", "--pa")).toEqual(["--parallel"]);
  expect(await offered("completion", "")).toEqual(["bash", "zsh", "fish"]);
});

test.each(["bash", "zsh", "fish"])("%s accepts its script, where it is installed", async (shell) => {
  const { error, status, stderr } = spawnSync(shell, ["-n", script(shell)], { encoding: "utf8" });
  if (shell !== "bash" && (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT") return;
  expect([status, stderr]).toEqual([0, ""]);
});

test("another shell is refused", async () => {
  const { code, stderr } = await ocellusHere(["completion", "powershell"]);
  expect(code).toBe(2);
  expect(stderr).toContain("ocellus completion: expected bash, zsh, fish, got powershell");
});
