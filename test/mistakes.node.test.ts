import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OcellusError } from "../src/base/errors.js";
import { runGiven } from "../src/cli/commands.js";
import { Interruption } from "../src/cli/interruption.js";
import type { SessionInput } from "../src/models/chat/conversation.js";
import type { GenerateOptions } from "../src/models/chat/generate-options.js";
import { LlavaOneVision, type LoadOptions } from "../src/models/llava-onevision.js";
import type { Device } from "../src/runtime/device.js";
import { checkpointFiles, TINY } from "./support/checkpoint.js";
import { TINY_FOLDER } from "./support/damaged.js";
import { checkGivenBack, sharedDevice } from "./support/device.js";

// What people write who come from elsewhere, or in a hurry. The message of each mistake names the mend.

const PICTURE = join(TINY_FOLDER, "examples/00-shapes.png");
const CLIP = join(TINY_FOLDER, "examples/12-clip.mp4");
const ID = "llava-hf/llava-onevision-qwen2-0.5b-ov-hf";
const BASE64 = (await readFile(PICTURE)).toString("base64");

let folder: string;
let device: Device;
let model: LlavaOneVision;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus-mistakes-"));
  await writeFile(join(folder, "model.gguf"), "GGUF");
  await writeFile(join(folder, "text.json"), "{}");
  device = await sharedDevice();
  model = await LlavaOneVision.load(await checkpointFiles(TINY), { device });
});
afterAll(async () => {
  model.dispose();
  await checkGivenBack(device);
  await rm(folder, { recursive: true });
});

/** Values that no type allows. */
const wrong = (value: unknown): never => value as never;

async function message(of: () => unknown): Promise<string> {
  try {
    await of();
  } catch (error) {
    if (error instanceof OcellusError) return error.message;
    throw error;
  }
  return "no error";
}

describe("LlavaOneVision.load", () => {
  const load = (location: unknown, options: unknown = {}) =>
    LlavaOneVision.load(wrong(location), options as LoadOptions);

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ["nothing", () => load(undefined), /got undefined — give for example "llava-hf\/.*check the variable/],
    ["a promise", () => load(Promise.resolve(ID)), /got a Promise — await it first/],
    ["options first", () => load({ dtype: "q8" }), /the location comes first, then options/],
    [
      "a folder that is missing",
      () => load("models/nope", { offline: true, cacheFolder: folder }),
      /or the folder models\/nope, .* and no such folder — .*; for a folder, check the path/,
    ],
    ["./ before it", () => load("./models/nope"), /create the folder, or give models\/nope, without \.\//],
    ["one word", () => load("llava"), /expected a folder, or a hub id \(org\/name\).*such as llava-hf\//],
    ["~", () => load("~/models/llava"), /give the whole path: shells replace ~/],
    ["a file of the checkpoint", () => load(join(TINY_FOLDER, "model.safetensors")), /— give its folder, /],
    ["GGUF", () => load(join(folder, "model.gguf")), /GGUF.* — .*safetensors/],
    ["a folder of something else", () => load(join(TINY_FOLDER, "examples")), /— .*(folder|checkpoint)/],
    ["dtype fp16", () => load(TINY_FOLDER, { dtype: "fp16", device }), /did you mean `f16`\?/],
    ["dtype int8 of a part", () => load(TINY_FOLDER, { dtype: { vision: "int8" }, device }), /did you mean `q8`\?/],
    ["a dtype as options", () => load(TINY_FOLDER, "q8"), /expected options as an object, got "q8" — pass/],
    ["quantization", () => load(TINY_FOLDER, { quantization: "q4" }), /did you mean `dtype`\?/],
    ["cacheDtype fp8", () => load(TINY_FOLDER, { cacheDtype: "int8", device }), /did you mean `q8`\?/],
    ["a misspelt option", () => load(TINY_FOLDER, { onprogress: () => {} }), /did you mean `onProgress`\?/],
    [
      "a revision of a folder",
      () => load(TINY_FOLDER, { revision: "main" }),
      /leave the revision out, or give org\/name/,
    ],
    ["a page of the hub", () => load(`https://huggingface.co/datasets/a/b`), /give the id of a model, org\/name/],
  ])("%s", async (_, mistake, mend) => {
    expect(await message(mistake)).toMatch(mend);
  });
});

describe("session.generate", () => {
  const ask = async (input: unknown, options: unknown = {}): Promise<unknown> => {
    using session = model.createSession();
    return await session.generate(input as SessionInput, { maxNewTokens: 1, ...(options as GenerateOptions) }).result;
  };
  const image = (value: unknown) => ask([{ type: "image", image: value }]);
  const video = (part: object) => ask([{ type: "video", ...part }]);
  const parts = (...content: unknown[]) => ask([{ role: "user", content }]);
  const options = (given: unknown) => ask("x", given);

  test.each<[string, () => unknown, RegExp]>([
    ["no question", () => ask(undefined), /pass "What is this\?"/],
    ["one message, not in a list", () => ask({ role: "user", content: "x" }), /pass .*\[\{ role: "user"/],
    ["role bot", () => ask([{ role: "bot", content: "x" }]), /did you mean "assistant"\?/],
    ["role tool", () => ask([{ role: "tool", content: "x" }]), /the model has no tools/],
    [
      "an answer at the end",
      () =>
        ask([
          { role: "user", content: "x" },
          { role: "assistant", content: "y" },
        ]),
      /end the list with the user/,
    ],
    [
      "OpenAI's image_url",
      () => parts({ type: "image_url", image_url: { url: "x" } }),
      /write \{ type: "image", image: url \}/,
    ],
    ["a part with url", () => parts({ type: "image", url: "x.png" }), /did you mean `image`\?/],
    ["a text with value", () => parts({ type: "text", value: "x" }), /write \{ type: "text", text: "…" \}/],
    [
      "images beside the content",
      () => ask([{ role: "user", content: "x", images: ["a"] }]),
      /put pictures into the content/,
    ],
    ["ShareGPT's turns", () => ask([{ from: "human", value: "x" }]), /a message is \{ role: "user", content \}/],
    ["words for parts", () => ask(["x"]), /pass \{ type: "text", text: "…" \}/],
    ["an image that is missing", () => image("nope.jpg"), /check the path; relative paths start at the current folder/],
    ["an image that is a number", () => image(42), /expected a path, a URL, .*, got 42/],
    ["an image that is a promise", () => image(readFile(PICTURE)), /got a Promise — await it first/],
    ["an image that is a response", () => image(new Response("x")), /await response\.blob\(\)/],
    ["an image in base64", () => image(BASE64), /image 1: .* base64 text .* data: URL, `data:image\/png;base64,/],
    ["an image read as text", async () => image(await readFile(PICTURE, "utf8")), /read the file without an encoding/],
    ["~ in a path", () => image("~/photo.jpg"), /give the whole path: .* homedir\(\)/],
    ["a text file for an image", () => image(join(folder, "text.json")), /— .*(PNG|picture)/],
    ["a clip for an image", () => image(CLIP), /type: "video"|--video/],
    ["an image for a clip", () => video({ video: PICTURE }), /type: "image"|--image/],
    ["a clip in base64", () => video({ video: BASE64 }), /base64 text .* data: URL/],
    ["no frames", () => video({ video: CLIP, frames: 0 }), /leave it out for 16 frames/],
    ["num_frames", () => video({ video: CLIP, num_frames: 4 }), /did you mean `frames`\?/],
    ["max_tokens", () => options({ max_tokens: 3 }), /did you mean `maxNewTokens`\?/],
    ["maxTokens", () => options({ maxTokens: 3 }), /did you mean `maxNewTokens`\?/],
    ["top_p", () => options({ top_p: 0.5 }), /did you mean `topP`\?/],
    ["stopSequences", () => options({ stopSequences: ["x"] }), /did you mean `stop`\?/],
    ["top-p without a temperature", () => options({ topP: 0.5 }), /set temperature/],
    ["a temperature in quotes", () => options({ temperature: "0.7" }), /expected a number from 0 to 100, got "0\.7"/],
    ["a regular expression as schema", () => options({ schema: /Yes|No/ }), /give it as `regex`/],
    ["a schema with methods", () => options({ schema: { _def: {}, parse() {} } }), /z\.toJSONSchema\(schema\)/],
    ["schema as text", () => options({ schema: '{"type":"string"}' }), /expected a JSON schema as an object/],
    ["a context that is too small", () => ask("word ".repeat(40_000)), /tokens/],
  ])("%s", async (_, mistake, mend) => {
    expect(await message(mistake)).toMatch(mend);
  });

  test("reading the answer before it is complete", async () => {
    using session = model.createSession();
    const answer = await session.generate("x", { maxNewTokens: 1 });
    for (const name of ["text", "tokens", "usage", "finishReason", "timings"]) {
      expect(await message(() => answer[name as "result"])).toContain(
        `write (await session.generate(…).result).${name}`,
      );
    }
    expect(Object.keys(answer)).not.toContain("text");
    expect((await answer.result).text).toBeTypeOf("string");
  });

  test("two questions at once, and a session after its end", async () => {
    const session = model.createSession();
    const { result } = session.generate("x", { maxNewTokens: 1 });
    expect(await message(() => session.generate("y"))).toMatch(/await answer\.result first, or use another session/);
    await result;
    session.dispose();
    expect(await message(() => session.generate("x"))).toMatch(/create another/);
    expect(await message(() => model.createSession({ systemPrompt: "x" } as object))).toMatch(
      /did you mean `system`\?/,
    );
  });
});

describe("the command line", () => {
  const run = (...args: string[]) => message(() => runGiven(args, new Interruption()));

  test.each<[string, string[], RegExp]>([
    ["a misspelt command", ["aks", "x"], /did you mean `ocellus ask`\?/],
    ["no command, but an option", ["--image", "a.png", "x"], /did you mean `ocellus ask --image …`\?/],
    ["no command, but a question", ["What is this?"], /did you mean `ocellus ask "…"`\?/],
    ["a misspelt option", ["ask", "--imgae", "a.png", "x"], /did you mean --image\?/],
    ["one dash for two", ["ask", "-image", "a.png", "x"], /did you mean --image\?/],
    ["--max-tokens", ["ask", "--max-tokens", "3", "x"], /did you mean --max-new-tokens\?/],
    ["--top_p", ["ask", "--top_p", "0.5", "x"], /did you mean --top-p\?/],
    ["no value", ["ask", "x", "--image"], /run `ocellus ask --help`/],
    ["an option for a value", ["ask", "--image", "--json", "x"], /give FILE after --image/],
    ["an option twice", ["ask", "--model", "a", "--model", "b", "x"], /--model once, .*leave one out/],
    ["an option after --", ["ask", "x", "--", "--image", "a.png"], /move -- to the end/],
    ["a file for a question", ["ask", "--image", PICTURE, PICTURE], /give --image \(or --video\) before each file/],
    ["a comma for a point", ["ask", "--temperature", "0,7", "x"], /give for example 0\.7, with a point/],
    ["a missing picture", ["ask", "--model", "ocellus/tiny", "--image", "nope.png", "x"], /check the path/],
    ["a dtype of torch", ["ask", "--model", "ocellus/tiny", "--dtype", "float16", "x"], /did you mean `f16`\?/],
    [
      "a part that there is not",
      ["ask", "--model", "ocellus/tiny", "--dtype", "vison=q8", "x"],
      /did you mean `vision`\?/,
    ],
    ["an unknown template", ["ask", "--template", "chekpoint", "x"], /did you mean checkpoint\?/],
    ["a schema and any JSON", ["ask", "--schema", "a.json", "--any-json", "x"], /leave --any-json out/],
    [
      "messages and a question",
      ["ask", "--messages", "m.json", "x"],
      /put the pictures and the question into the messages/,
    ],
    ["a missing model", ["ask", "--model", "/no/such/folder", "x"], /check the path.*or give a hub id/],
    ["a model without --model", ["chat", ID], /a model goes after --model/],
    ["a batch without an output", ["batch", "in.jsonl"], /run for example: ocellus batch in\.jsonl -o out\.jsonl/],
    ["a batch into itself", ["batch", "in.jsonl", "-o", "in.jsonl"], /another for the results/],
    ["a conversion without dtype", ["convert", ID, "small"], /for example `ocellus convert/],
    ["a port that is none", ["serve", "--port", "http"], /leave it out for 8080/],
    ["a path for an origin", ["serve", "--cors", "https://a.example/page"], /without a path or a slash/],
    ["a workload that is none", ["bench", "matmull"], /`ocellus bench --list` prints the names/],
    ["a shell that is none", ["completion", "fihs"], /did you mean fish\?/],
  ])("%s", async (_, args, mend) => {
    expect(await run(...args)).toMatch(mend);
  });

  test("a port in use", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as { port: number };
    expect(await run("serve", "--model", "ocellus/tiny", "--port", `${port}`)).toMatch(
      /a port that another program uses — stop it, or give another port/,
    );
    other.close();
  });
});
