import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OPTIONAL_PACKAGES } from "../../src/base/optional-packages.js";
import { fileSource } from "../../src/io/bytes/source.js";
import { openSafetensors } from "../../src/io/checkpoint/safetensors.js";
import { ocellus } from "../support/cli.js";
import { TINY_FOLDER } from "../support/damaged.js";

const PICTURE = join(TINY_FOLDER, "examples/00-shapes.png");
const QUESTION = "What do you see?";
const ANSWER = "An orange square at the top left.";
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus cli "));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("ask writes the answer, and a note that a toy gave it", async () => {
  const { code, stdout, stderr } = await ocellus(["ask", "--image", PICTURE, QUESTION]);
  const notes = stderr.trimEnd().split("\n");
  expect(notes).toHaveLength(2);
  expect(notes[0]).toMatch(/^No model was given: the embedded toy answers\./);
  expect(notes[1]).toContain("--model llava-hf/llava-onevision-qwen2-0.5b-ov-hf");
  expect(stdout).toBe(`${ANSWER}\n`);
  expect(code).toBe(0);
});

test("ask --json writes one object; --taps a file of named tensors", async () => {
  const taps = join(folder, "taps.safetensors");
  const begun = performance.now();
  const args = ["ask", "--model", "ocellus/tiny", "--image", PICTURE, QUESTION, "--json", "--taps", taps];
  const { code, stdout, stderr } = await ocellus(args);
  const elapsed = performance.now() - begun;
  expect([code, stderr]).toEqual([0, ""]);
  const answer = JSON.parse(stdout);
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  expect(answer).toMatchObject({
    text: ANSWER,
    tokens: [472, 353, 309, 294, 260, 377, 370, 13],
    usage: { prompt_tokens: 186, visual_tokens: 171, tiles: 2, completion_tokens: 8, total_tokens: 194 },
    finishReason: "stop",
  });
  expect(answer.promptTokens).toHaveLength(186);
  expect(answer.adapter).toMatch(/\w/);
  const stages = ["preprocess", "vision", "prefill", "decode"].map((stage): number => answer.timings[stage]);
  expect(Math.min(...stages)).toBeGreaterThan(0);
  expect(stages.reduce((sum, duration) => sum + duration, 0)).toBeLessThanOrEqual(answer.timings.total * 1.001);
  expect(answer.timings.total).toBeLessThan(elapsed);
  const source = await fileSource(taps);
  const { entries } = await openSafetensors(source);
  const shapes = Object.fromEntries([...entries.values()].map(({ name, dtype, shape }) => [name, [dtype, ...shape]]));
  expect(shapes).toMatchObject({
    tiles: ["F32", 2 * 3 * 126, 126],
    "vision.patches": ["F32", 2 * 81, 216],
    "vision.blocks.3": ["F32", 2 * 81, 216],
    projector: ["F32", 2 * 81, 256],
    packed: ["F32", 171, 256],
    embeddings: ["F32", 186, 256],
    "blocks.3": ["F32", 186, 256],
    norm: ["F32", 186, 256],
    logits: ["F32", 1, 640],
  });
  await source.close();
});

test("ask --messages takes paths relative to the file, and ends at --max-new-tokens", async () => {
  const file = join(folder, "messages.json");
  const content = [
    { type: "image", image: relative(folder, PICTURE) },
    { type: "text", text: QUESTION },
  ];
  await writeFile(file, JSON.stringify([{ role: "user", content }]));
  const { code, stdout, stderr } = await ocellus(["ask", "--messages", file, "--max-new-tokens", "3"]);
  expect(stdout).toBe("An orange square\n");
  expect(stderr).toContain("ended at 3 tokens");
  expect(code).toBe(0);
});

test("demo asks about its pictures", async () => {
  const { code, stdout } = await ocellus(["demo"]);
  const [, same, asked] = /^(\d+) of (\d+) answers about bundled pictures equal the reference's/m.exec(stdout) ?? [];
  expect(Number(asked)).toBeGreaterThanOrEqual(12);
  expect(same).toBe(asked);
  expect(code).toBe(0);
});

test("doctor shows what OCELLUS_TUNING sets, and refuses what is not there", async () => {
  const set = await ocellus(["doctor"], { OCELLUS_TUNING: '{"matvec.slices":16}' });
  expect(set.code).toBe(0);
  expect(set.stdout).toMatch(/^ +OCELLUS_TUNING sets matvec\.slices = 16\.$/m);
  expect(set.stdout).toMatch(/^tuning +matvec\.slices = 16; /m);
  const wrong = await ocellus(["doctor"], { OCELLUS_TUNING: '{"matvec.slice":16}' });
  expect(wrong.code).toBe(1);
  expect(wrong.stdout).toMatch(
    /OCELLUS_TUNING: expected .*norm\.lanes.*got matvec\.slice — did you mean matvec\.slices\?/,
  );
});

test("doctor says which adapter there is, and what to do without one", async () => {
  const good = await ocellus(["doctor"]);
  expect(good.code).toBe(0);
  expect(good.stdout).toMatch(/^adapter +\S/m);
  expect(good.stdout).toContain("a kernel ran and its result is correct");
  expect(good.stdout).toMatch(/^adapters +0 .*SwiftShader.*: buffers of up to \d+ MiB$/m);
  expect(good.stdout).toMatch(/^tuning +defaults; parameters: matvec\.slices, .*norm\.lanes$/m);
  // Every optional package with its version, and the command for those that are missing.
  for (const name of Object.keys(OPTIONAL_PACKAGES))
    expect(good.stdout).toMatch(new RegExp(`^package +${name}[ :]`, "m"));
  expect(good.stdout).toMatch(/^package +webgpu \d+\.\d+\.\d+: WebGPU in Node/m);
  expect(good.stdout).toMatch(/^package +libheif-js: not installed — HEIC in Node$/m);
  expect(good.stdout).toMatch(/all that are not installed: `npm install [^`]*libheif-js/);
  const none = await ocellus(["doctor"], { OCELLUS_ADAPTER: "system", VK_DRIVER_FILES: "/dev/null" });
  expect(none.code).toBe(1);
  expect(none.stdout).toMatch(/^adapter +none/m);
  expect(none.stdout).toContain("install the GPU's Vulkan driver");
});
