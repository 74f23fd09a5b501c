import { bytesSource } from "../../src/io/bytes/source.js";
import type { NamedBlob } from "../../src/io/checkpoint/checkpoint.js";
import { openSafetensors } from "../../src/io/checkpoint/safetensors.js";
import type { JsonObject, JsonValue } from "../../src/io/text/json.js";
import { readFixture, readFixtureJson } from "./fixture.js";

/** Shapes of all tensors of a checkpoint folder; `folder` is relative to `test/data`. */
export async function shapesOf(folder: string): Promise<Map<string, readonly number[]>> {
  const sharded = folder.endsWith("lmms-7b-like");
  const files = sharded ? [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`) : ["model.safetensors"];
  const shapes = new Map<string, readonly number[]>();
  for (const file of files) {
    const { entries } = await openSafetensors(bytesSource(await readFixture(`${folder}/${file}`), file));
    for (const entry of entries.values()) shapes.set(entry.name, entry.shape);
  }
  return shapes;
}

/** The embedded checkpoint, relative to `test/data` as the other folders here. */
export const TINY = "../../models/tiny";

const SHARED_FILES = [
  "added_tokens.json",
  "chat_template.json",
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

/** A whole checkpoint folder as a list of files, which loads alike in Node and in a browser. */
export async function checkpointFiles(folder: string): Promise<NamedBlob[]> {
  const sharded = folder.endsWith("lmms-7b-like");
  const own = sharded
    ? ["model.safetensors.index.json", ...[1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`)]
    : ["processor_config.json", "model.safetensors"];
  return Promise.all(
    [...SHARED_FILES, ...own].map(
      async (name) => new File([new Uint8Array(await readFixture(`${folder}/${name}`))], name),
    ),
  );
}

/** The files of the LoRA adapter of a golden checkpoint. */
export async function adapterFiles(folder: string): Promise<NamedBlob[]> {
  return Promise.all(
    ["adapter_config.json", "adapter_model.safetensors"].map(
      async (name) => new File([new Uint8Array(await readFixture(`goldens/adapters/${folder}/${name}`))], name),
    ),
  );
}

/** The config files of a checkpoint folder and its shapes, as `parseConfig` takes them. */
export interface ConfigFiles {
  config: JsonObject;
  preprocessor: JsonValue | undefined;
  processor: JsonValue | undefined;
  generation: JsonValue | undefined;
  tensorShapes: Map<string, readonly number[]>;
}

export async function configFilesOf(folder: string): Promise<ConfigFiles> {
  const hasProcessor = !folder.endsWith("lmms-7b-like");
  return {
    config: await readFixtureJson<JsonObject>(`${folder}/config.json`),
    preprocessor: await readFixtureJson<JsonValue>(`${folder}/preprocessor_config.json`),
    processor: hasProcessor ? await readFixtureJson<JsonValue>(`${folder}/processor_config.json`) : undefined,
    generation: await readFixtureJson<JsonValue>(`${folder}/generation_config.json`),
    tensorShapes: await shapesOf(folder),
  };
}
