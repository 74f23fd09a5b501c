import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ocellus, ROOT } from "../support/cli.js";
import { ocellusHere } from "../support/cli-in-process.js";
import { DamagedCheckpoint, TINY_FOLDER } from "../support/damaged.js";

// What is wrong with the input is said in one line on standard error, with the file's name; the exit code is 1, or 2 for the command line.

const PICTURE = join(TINY_FOLDER, "examples/00-shapes.png");
const UP = "language_model.model.layers.0.mlp.up_proj.weight";
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ocellus faults "));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs a command that must fail with a message that holds every one of `parts`; in a process of its own unless `run` is another. */
async function refused(
  args: string[],
  parts: readonly string[],
  { env = {}, status = 1, run = ocellus }: { env?: Record<string, string>; status?: number; run?: typeof ocellus } = {},
): Promise<void> {
  const { code, stdout, stderr } = await run(args, env);
  // Where no model is given, a note comes first.
  const lines = stderr
    .trimEnd()
    .split("\n")
    .filter((line) => !/^No model was given|^wrong\. A real model/.test(line));
  for (const part of parts) expect(stderr).toContain(part);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^ocellus(: (?!ocellus)| )/);
  expect(stdout).toBe("");
  expect(code).toBe(status);
}

const refusedHere = (args: string[], parts: readonly string[]) => refused(args, parts, { run: ocellusHere });

const JSON_FILES = [
  "config.json",
  "preprocessor_config.json",
  "processor_config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "added_tokens.json",
  "chat_template.json",
];

interface Damage {
  what: string;
  damage: (checkpoint: DamagedCheckpoint) => Promise<unknown>;
  /** Parts of the message besides the folder. */
  said: string[];
}

const DAMAGES: Damage[] = [
  ...JSON_FILES.map((file) => ({
    what: `${file} cut off`,
    damage: (c: DamagedCheckpoint) => c.write(file, '{ "a": [1,'),
    said: [file, "line 1, column"],
  })),
  ...JSON_FILES.map((file) => ({
    what: `${file} with a list in place of an object`,
    damage: (c: DamagedCheckpoint) => c.write(file, "[3]"),
    said: [`${file}: expected`],
  })),
  {
    what: "no config.json",
    damage: (c) => rm(c.file("config.json")),
    said: ["expected config.json, got no such file"],
  },
  { what: "no tokenizer", damage: (c) => rm(c.file("tokenizer.json")), said: ["expected tokenizer.json"] },
  { what: "no weights", damage: (c) => rm(c.file("model.safetensors")), said: ["expected model.safetensors or"] },
  {
    what: "another model",
    damage: (c) => c.edit("config.json", (json) => Object.assign(json, { model_type: "llama" })),
    said: ["config.json: model_type", '"llama"'],
  },
  {
    what: "truncated weights",
    damage: (c) => truncate(c.file("model.safetensors"), 1_000_000),
    said: ["model.safetensors: tensor", "truncated"],
  },
  {
    what: "weights of four bytes",
    damage: (c) => truncate(c.file("model.safetensors"), 4),
    said: ["model.safetensors: expected a safetensors file of at least 8 bytes"],
  },
  {
    what: "a header longer than the file",
    damage: async (c) => {
      const bytes = await readFile(c.file("model.safetensors"));
      bytes.writeBigUInt64LE(2n ** 60n, 0);
      await c.write("model.safetensors", bytes);
    },
    said: ["model.safetensors: header: expected a length within", "1152921504606846976 bytes"],
  },
  {
    what: "overlapping tensors",
    damage: (c) =>
      c.editHeader((header) => {
        const { data_offsets: offsets } = header[UP]!;
        offsets[0] -= 64;
        offsets[1] -= 64;
      }),
    said: [`model.safetensors: tensor ${UP}`, "an overlap of 64 bytes"],
  },
  {
    what: "an offset beyond the end",
    damage: (c) =>
      c.editHeader((header) => {
        const { data_offsets: offsets } = header[UP]!;
        offsets[0] += 1e9;
        offsets[1] += 1e9;
      }),
    said: [`model.safetensors: tensor`, "expected"],
  },
  {
    what: "a wrong shape",
    damage: (c) => c.editHeader((header) => header[UP]!.shape.reverse()),
    said: [`tensor ${UP}`, "model.safetensors has shape [256, 640], wanted [640, 256]"],
  },
  {
    what: "a wrong dtype",
    damage: (c) =>
      c.editHeader((header) => {
        header[UP]!.dtype = "I16";
      }),
    said: [`tensor ${UP}`, "dtype I16"],
  },
  {
    what: "an unknown dtype",
    damage: (c) =>
      c.editHeader((header) => {
        header[UP]!.dtype = "F12";
      }),
    said: [`model.safetensors: tensor ${UP}: dtype`, '"F12"'],
  },
  {
    what: "a renamed tensor, which is missing and left over",
    damage: (c) =>
      c.editHeader((header) => {
        header["language_model.model.layers.0.extra"] = header[UP]!;
        delete header[UP];
      }),
    said: [`tensor ${UP} [640, 256] is missing`, "tensor language_model.model.layers.0.extra in", "is not used"],
  },
  {
    what: "a missing shard",
    damage: async (c) => {
      await c.shard();
      await rm(c.file("model.safetensors"));
      await rm(c.file("model-00002-of-00002.safetensors"));
    },
    said: ["missing: model-00002-of-00002.safetensors"],
  },
  {
    what: "a truncated shard",
    damage: async (c) => {
      await c.shard();
      await rm(c.file("model.safetensors"));
      await truncate(c.file("model-00002-of-00002.safetensors"), 500_000);
    },
    said: ["model-00002-of-00002.safetensors: tensor", "truncated"],
  },
  {
    what: "an index that is cut off",
    damage: async (c) => {
      await rm(c.file("model.safetensors"));
      await c.write("model.safetensors.index.json", '{"weight_map": {');
    },
    said: ["model.safetensors.index.json: line 1, column"],
  },
];

describe("checkpoints", () => {
  test.each(DAMAGES.map((damage, i) => ({ ...damage, at: `checkpoint ${i}` })))(
    "$what",
    async ({ damage, said, at }) => {
      const checkpoint = await DamagedCheckpoint.in(join(folder, at));
      await damage(checkpoint);
      await refusedHere(["ask", "--model", checkpoint.folder, "What is it?"], [checkpoint.folder, ...said]);
      await rm(checkpoint.folder, { recursive: true });
    },
  );

  test("a place that is none", async () => {
    await refusedHere(
      ["ask", "--model", join(folder, "nowhere"), "What?"],
      [join(folder, "nowhere"), "expected a folder"],
    );
  });
});

describe("pictures", () => {
  const photo = (cut?: number) =>
    readFile(join(ROOT, "test/data/media/images/photo_chelsea.jpg")).then((b) => b.subarray(0, cut));
  const shapes = (change: (bytes: Buffer) => Uint8Array) => readFile(PICTURE).then(change);
  test.each<[string, string, () => Promise<string | Uint8Array>, string]>([
    ["text", "text.png", async () => "not a picture", "not a picture"],
    ["no bytes", "empty.png", async () => "", "no bytes at all"],
    [
      "a truncated PNG",
      "cut.png",
      () => shapes((bytes) => bytes.subarray(0, bytes.length >> 1)),
      "the picture is cut off",
    ],
    ["a truncated JPEG", "cut.jpg", () => photo(9000), "cut off"],
    ["a PNG of no pixels", "zero.png", () => shapes((bytes) => bytes.fill(0, 16, 24)), "got 0×0"],
  ])("%s", async (_, name, bytes, said) => {
    const path = join(folder, name);
    await writeFile(path, await bytes());
    await refusedHere(["ask", "--image", path, "What is it?"], [path, said]);
  });

  test("a missing file and a folder", async () => {
    await refusedHere(
      ["ask", "--image", "nowhere.png", "What?"],
      ["nowhere.png: expected a readable file, got nothing"],
    );
    await refusedHere(["ask", "--image", folder, "What?"], [folder, "got a folder"]);
  });
});

describe("messages", () => {
  const image = { type: "image", image: PICTURE };
  const said = (text: string) => ({ type: "text", text });
  test.each<[string, unknown, string]>([
    ["an object", {}, "messages: expected a list of at least one message"],
    [
      "an unknown role",
      [{ role: "bot", content: "x" }],
      'messages[0].role: expected "system" or "user" or "assistant"',
    ],
    ["no content", [{ role: "user" }], "messages[0].content"],
    ["an unknown part", [{ role: "user", content: [{ type: "imag" }] }], 'did you mean "image"?'],
    [
      "a picture without a file",
      [{ role: "user", content: [{ type: "image" }] }],
      "image 1: expected a part with `image`",
    ],
    [
      "a picture that is a number",
      [{ role: "user", content: [{ type: "image", image: 3 }] }],
      "image 1: expected a path",
    ],
    [
      "an answer at the end",
      [
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
      ],
      "messages[1].role",
    ],
  ])("%s", async (name, messages, text) => {
    const path = join(folder, `${name}.json`);
    await writeFile(path, JSON.stringify(messages));
    await refusedHere(["ask", "--messages", path], [path, text]);
  });

  test.each<[string, unknown, string]>([
    ["more placeholders than pictures", [image, said("<image> again")], "got 2 <image>"],
    ["a placeholder without a picture", "<image> what?", "0 pictures and 0 clips, got 1 <image>"],
  ])("%s, where texts are parsed", async (name, content, text) => {
    const path = join(folder, `${name}.json`);
    await writeFile(path, JSON.stringify([{ role: "user", content }]));
    await refusedHere(["ask", "--messages", path, "--special-tokens", "parse"], [path, text]);
  });

  test("a file that is not JSON, and none", async () => {
    const path = join(folder, "broken.json");
    await writeFile(path, '[{ "role":');
    await refusedHere(["ask", "--messages", path], [`${path}: expected a JSON file with messages`]);
    await refusedHere(["ask", "--messages", join(folder, "none.json")], [join(folder, "none.json")]);
  });
});

describe.concurrent("the command line and the adapter", () => {
  test.each([
    [["ask"], "expected a question"],
    [["ask", "--template", "chatml", "What?"], "--template: expected checkpoint or onevision, got chatml"],
    [["doctr"], "did you mean `ocellus doctor`?"],
    [["serve", "--port", "70000"], "--port: expected a whole number from 0 to 65535, got 70000"],
    [["serve", "--cors", "https://page.example/"], "--cors: expected an origin such as https://example.com, or *"],
  ])("%j", async (args, text) => {
    await refused(args, [text], { status: 2 });
  });

  test("a file that cannot be written", async () => {
    const args = ["ask", "--taps", "/nowhere/taps.safetensors", "--max-new-tokens", "1", "What?"];
    await refused(args, ["/nowhere/taps.safetensors"]);
  });

  test("no adapter", async () => {
    const env = { OCELLUS_ADAPTER: "system", VK_DRIVER_FILES: "/dev/null" };
    await refused(["ask", "What?"], ["WebGPU in Node: expected an adapter (system)", "got none"], { env });
    await refused(["ask", "What?"], ["OCELLUS_ADAPTER", '"metal"'], { env: { OCELLUS_ADAPTER: "metal" }, status: 2 });
  });

  test("--debug adds the stack", async () => {
    const { code, stderr } = await ocellus(["ask", "--image", "nowhere.png", "What?", "--debug"]);
    expect(code).toBe(1);
    expect(stderr).toContain("nowhere.png: expected a readable file");
    expect(stderr).toMatch(/^ {4}at /m);
  });
});
