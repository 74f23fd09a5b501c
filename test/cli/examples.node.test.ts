import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import type { RunningServer } from "../../src/server/server.js";
import { ROOT } from "../support/cli.js";
import { serveTiny } from "../support/tiny-server.js";

// Each program of examples/ is run as its comment says; test/docs/chromium.node.test.ts opens the page.

const run = promisify(execFile);

async function output(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [`examples/${file}`, ...args], { cwd: ROOT });
  return stdout.trimEnd();
}

/** What each prints; the answers are the reference's. */
const OUTPUTS: Readonly<Record<string, RegExp>> = {
  "ai-sdk.mjs": /^bars: [1-9]$/,
  "ask.mjs": /^The star is blue\.\n\d+ tokens in \d+\.\d s$/,
  "attention-map.mjs": /^The star is blue\.\n([ .:\-=+*#%@]+\n)+[ .:\-=+*#%@]+$/,
  "compare-pictures.mjs": /^\w.*\.$/,
  "conversation.mjs":
    /^An orange square at the top left\. \(\d+ tokens, 0 of them cached\)\n.*\([1-9]\d+ tokens, [1-9]\d+ of them cached\)$/,
  "own-kernel.mjs": /^0\.3133 0\.6931 1\.3133 2\.1269$/,
  "structured-output.mjs": /^shape: (circle|square|star|triangle), color: (black|blue|green|orange|red|white)$/,
  "video.mjs": /^\w.*\.$/,
  "worker.mjs": /^.*mark 1.*\(a timer of 10 ms ran [1-9]\d* times meanwhile\)$/i,
};

describe.concurrent("programs", () => {
  test.each(Object.entries(OUTPUTS))("%s", async (file, expected) => {
    expect(await output(file)).toMatch(expected);
  });

  test("nearest-picture.mjs finds the picture itself first", async () => {
    const lines = (await output("nearest-picture.mjs")).split("\n");
    expect(lines).toHaveLength(5);
    expect(lines[0]).toBe("1.0000 00-shapes.png");
    const similarities = lines.map((line) => Number(line.split(" ")[0]));
    expect(similarities).toEqual([...similarities].sort((a, b) => b - a));
  });
});

describe("against a server", () => {
  let model: LlavaOneVision;
  let server: RunningServer;
  beforeAll(async () => {
    model = await LlavaOneVision.load(join(ROOT, "models/tiny"));
    server = await serveTiny(model);
  });
  afterAll(async () => {
    await server?.close(1);
    model?.dispose();
  });

  test("openai-client.mjs", async () => {
    expect(await output("openai-client.mjs", `${server.url}/v1`)).toBe("The star is blue.");
  });
});

test("every program is run, and is in the list of examples/README.md", () => {
  const programs = readdirSync(join(ROOT, "examples")).filter((file) => file.endsWith(".mjs"));
  const tested = [...Object.keys(OUTPUTS), "nearest-picture.mjs", "openai-client.mjs"];
  expect(programs.sort()).toEqual(tested.sort());
  const readme = readFileSync(join(ROOT, "examples/README.md"), "utf8");
  expect(programs.filter((file) => !readme.includes(`[${file}](${file})`))).toEqual([]);
});
