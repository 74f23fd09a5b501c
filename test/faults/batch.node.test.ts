import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { LlavaOneVision } from "../../src/models/llava-onevision.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { ocellusHere } from "../support/cli-in-process.js";
import { sharedDevice } from "../support/device.js";
import { FileFaults } from "../support/file-faults.js";

// Every file operation of `ocellus batch` on its results fails once: the command says so and exits with an error, or has all answers; after
// another run there is one answer to every request, as always.

let model: LlavaOneVision;
let parent: string;
let faults: FileFaults;
let input: string;
beforeAll(async () => {
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device: await sharedDevice() });
  // One model for all runs, which the command disposes each time.
  const kept = new Proxy(model, {
    get: (of, name) => {
      if (name === "dispose") return () => {};
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
  vi.spyOn(LlavaOneVision, "load").mockResolvedValue(kept);
  parent = await mkdtemp(join(tmpdir(), "ocellus-batch-faults-"));
  input = join(parent, "in.jsonl");
  const request = (custom_id: string, content: string): string => {
    const body = { messages: [{ role: "user", content }], max_tokens: 2 };
    return JSON.stringify({ custom_id, method: "POST", url: "/v1/chat/completions", body });
  };
  await writeFile(input, `${["a", "b", "c"].map((id) => request(id, `Hello ${id}!`)).join("\n")}\n`);
  faults = await FileFaults.within(parent);
});
afterAll(async () => {
  faults?.restore();
  vi.restoreAllMocks();
  model?.dispose();
  await rm(parent, { recursive: true });
});

const run = (output: string) => ocellusHere(["batch", input, "-o", output, "--parallel", "1"]);

/** The answers by id; every line must be whole. */
async function answers(output: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const line of (await readFile(output, "utf8")).trimEnd().split("\n")) {
    const { custom_id, response } = JSON.parse(line) as {
      custom_id: string;
      response: { body: { choices: { message: { content: string } }[] } };
    };
    expect(found).not.toHaveProperty(custom_id);
    found[custom_id] = response.body.choices[0]!.message.content;
  }
  return found;
}

it("and no answer is lost, doubled or torn", async () => {
  faults.failAt(undefined);
  const first = await run(join(parent, "whole.jsonl"));
  expect(first.code, first.stderr).toBe(0);
  const count = faults.count;
  const wanted = await answers(join(parent, "whole.jsonl"));
  expect(Object.keys(wanted)).toEqual(["a", "b", "c"]);
  const outcomes = new Map<string, number>();
  for (let at = 0; at < count; at++) {
    const output = join(parent, `${at}.jsonl`);
    faults.failAt(at);
    const { code, stderr } = await run(output);
    const injected = `${at}: ${faults.injected}`;
    if (code !== 0) expect(stderr, injected).toMatch(/expected .*, got .* — /s);
    outcomes.set(`exit ${code}`, (outcomes.get(`exit ${code}`) ?? 0) + 1);
    faults.failAt(undefined);
    const again = await run(output);
    expect(again.code, `after ${injected}: ${again.stderr}`).toBe(0);
    expect(await answers(output), injected).toEqual(wanted);
  }
  const said = Array.from(outcomes, ([outcome, times]) => `${times} ${outcome}`).join(", ");
  console.log(`files of a batch: ${count} points, ${said}`);
});
