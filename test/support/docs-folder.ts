import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TensorData, writeSafetensors } from "../../src/io/safetensors.js";
import { ROOT } from "./cli.js";

/** The checkpoint that the pages name; here it is the embedded one. */
export const HUB_ID = "llava-hf/llava-onevision-qwen2-0.5b-ov-hf";
const TINY = join(ROOT, "models/tiny");
const EXAMPLES = join(TINY, "examples");

/** Files that the pages speak of, and what stands for them. */
const STAND_INS: Readonly<Record<string, string>> = {
  // A drawing: files are told by their bytes, not by their names.
  "photo.jpg": join(EXAMPLES, "00-shapes.png"),
  "before.png": join(EXAMPLES, "09-pair-1.png"),
  "after.png": join(EXAMPLES, "09-pair-2.png"),
  "clip.mp4": join(EXAMPLES, "12-clip.mp4"),
  "pictures/one.png": join(EXAMPLES, "01-shapes.png"),
  "pictures/two.png": join(EXAMPLES, "02-number.png"),
  "pictures/three.png": join(EXAMPLES, "04-chart.png"),
};
const CONVERSATION = [
  {
    role: "user",
    content: [
      { type: "image", image: "photo.jpg" },
      { type: "text", text: "What do you see?" },
    ],
  },
];
const REQUEST = {
  custom_id: "greeting",
  method: "POST",
  url: "/v1/chat/completions",
  body: { messages: [{ role: "user", content: "Hello!" }] },
};

/** A reader's project: a folder in which the pages' programs and commands run, with no network. */
export class DocsFolder {
  readonly path = mkdtempSync(join(tmpdir(), "ocellus-docs-"));
  /** For programs and commands that run here: the hub's cache has the checkpoint, and is all that is asked. */
  readonly env: Readonly<Record<string, string>>;

  constructor() {
    this.write("package.json", JSON.stringify({ name: "reader", private: true, type: "module" }));
    this.write("conversation.json", JSON.stringify(CONVERSATION));
    this.write("in.jsonl", `${JSON.stringify(REQUEST)}\n`);
    for (const [name, source] of Object.entries(STAND_INS)) {
      mkdirSync(join(this.path, name, ".."), { recursive: true });
      cpSync(source, join(this.path, name));
    }
    for (const name of ["my-lora", "another-lora"]) this.#adapter(name);
    mkdirSync(join(this.path, "models"));
    symlinkSync(TINY, join(this.path, "models", HUB_ID.split("/")[1]!));
    this.#installed();
    const cache = join(this.path, "hub");
    const repository = join(cache, `models--${HUB_ID.replace("/", "--")}`);
    const commit = "0".repeat(40);
    mkdirSync(join(repository, "refs"), { recursive: true });
    mkdirSync(join(repository, "snapshots"));
    writeFileSync(join(repository, "refs/main"), commit);
    symlinkSync(TINY, join(repository, "snapshots", commit));
    this.env = { HF_HUB_CACHE: cache, HF_HUB_OFFLINE: "1" };
  }

  write(name: string, text: string): string {
    const path = join(this.path, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  /** A LoRA adapter of one of the embedded checkpoint's projections. */
  #adapter(name: string): void {
    const module = "base_model.model.model.language_model.layers.0.self_attn.q_proj";
    const tensor = (half: string, shape: [number, number]): TensorData => {
      const values = Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => (i % 7) / 1000);
      return { name: `${module}.${half}.weight`, dtype: "F32", shape, bytes: new Uint8Array(values.buffer) };
    };
    this.write(`${name}/adapter_config.json`, JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 2, bias: "none" }));
    const parts = writeSafetensors([tensor("lora_A", [2, 256]), tensor("lora_B", [256, 2])]);
    writeFileSync(join(this.path, name, "adapter_model.safetensors"), Buffer.concat(parts));
  }

  dispose(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** What `npm install` would put there. */
  #installed(): void {
    const modules = join(this.path, "node_modules");
    for (const scope of ["@huggingface", "@ai-sdk"]) mkdirSync(join(modules, scope), { recursive: true });
    symlinkSync(ROOT, join(modules, "ocellus"));
    const names = [
      "openai",
      "ai",
      "@ai-sdk/openai",
      "zod",
      "vite",
      "mp4box",
      "@huggingface/jinja",
      "@huggingface/tokenizers",
    ];
    for (const name of names.filter((name) => existsSync(join(ROOT, "node_modules", name)))) {
      symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
    }
  }
}

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
