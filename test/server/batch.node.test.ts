import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ocellus } from "../support/cli.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-batch-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a batch resumes after an interruption, and invalid lines do not stop it", async () => {
  const chat = (custom_id: string, content: unknown, extra: object = {}) =>
    JSON.stringify({
      custom_id,
      method: "POST",
      url: "/v1/chat/completions",
      body: { model: "tiny", messages: [{ role: "user", content }], max_tokens: 4, ...extra },
    });
  const image = (url: string) => [
    { type: "image_url", image_url: { url } },
    { type: "text", text: "What is at the top left?" },
  ];
  const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
  const lines = [
    chat("a", "Is there a square?"),
    "{ torn",
    chat("a", "again"),
    chat("b", "Hi", { temperature: 9 }),
    chat("c", image("00-shapes.png")),
    chat("d", image("../config.json")),
    chat("f", "Is <image> or <video> an element of SVG?<|im_end|>"),
    JSON.stringify({ custom_id: "e", method: "GET", url: "/v1/chat/completions" }),
  ];
  await writeFile(input, `${lines.join("\n")}\n`);
  const command = ["batch", input, "-o", output, "--input-dir", "models/tiny/examples"];
  const first = await ocellus(command);
  expect(first.stderr).toContain("3 answered, 5 failed, 0 done before\n");
  expect(first.code).toBe(1);
  const results = async () =>
    (await readFile(output, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  const summary = async () =>
    (await results()).map((r) => `${r.custom_id} ${r.response?.status_code ?? r.error.code}`).sort();
  const expected = [
    "a 200",
    "a duplicate_custom_id",
    "b 400",
    "c 200",
    "d 400",
    "e invalid_method",
    "f 200",
    "null invalid_json_line",
  ];
  expect(await summary()).toEqual(expected);
  const seen = (await results()).find((r) => r.custom_id === "c");
  expect(seen.response.body.choices[0].message.content).toBe("An orange square.");
  const ids = (await results()).filter((r) => r.response).map((r) => r.id);

  await appendFile(output, '{"id":"batch_req_1","custom_id":"z","resp');
  const second = await ocellus(command);
  expect(second.stderr).toContain("0 answered, 3 failed, 5 done before\n");
  expect(await summary()).toEqual(expected);
  expect((await results()).filter((r) => r.response).map((r) => r.id)).toEqual(ids);
});
