import { describe, expect, test } from "vitest";
import { CheckpointError, OptionError } from "../../src/base/errors.js";
import type { NamedBlob } from "../../src/io/checkpoint/checkpoint.js";
import { LlavaOneVision, type LoadOptions } from "../../src/models/llava-onevision.js";
import { checkpointFiles, TINY } from "../support/checkpoint.js";
import { useDevice } from "../support/device.js";
import {
  asLmms,
  asTransformers5,
  type Dialect,
  filesWith,
  headOf,
  RENAMES,
  renamed,
  retyped,
  tinyConfig,
  tinyTensors,
} from "../support/dialects.js";
import { answerOf, exampleOf, messagesOf } from "../support/examples.js";

// The same model in every file layout, and its weights held in every type.

const held = useDevice();
const tensors = await tinyTensors();
const config = await tinyConfig();

const MAX_NEW_TOKENS = 12;

/** A small picture, and one in tiles: every part of the model takes part. */
const asked = await Promise.all(
  ["02-number.png", "01-shapes.png"].map(async (file) => {
    const example = exampleOf(file);
    const turn = example.turns[0]!;
    return { messages: await messagesOf(example, turn), tokens: turn.reference_tokens.slice(0, MAX_NEW_TOKENS) };
  }),
);

/** Loads, answers the first `count` questions, and gives everything back. */
async function answers(
  files: NamedBlob[],
  count: number,
  dtype?: LoadOptions["dtype"],
): Promise<(readonly number[])[]> {
  const model = await LlavaOneVision.load(files, { device: held.device, ...(dtype !== undefined && { dtype }) });
  const tokens: (readonly number[])[] = [];
  for (const { messages } of asked.slice(0, count))
    tokens.push(await answerOf(model, messages, { maxNewTokens: MAX_NEW_TOKENS }));
  model.dispose();
  expect(held.device.pool.liveBytes).toBe(0);
  return tokens;
}

const reference = (count: number) => asked.slice(0, count).map(({ tokens }) => tokens);

/** The config that comes with a spelling of names. */
const CONFIG: Record<Dialect, object> = {
  "llava-hf on disk": config,
  "in memory since transformers 4.52": config,
  "in memory since transformers 5": asTransformers5(config),
  "saved by transformers 5": asTransformers5(config),
  "lmms-lab": asLmms(config),
};
const DIALECTS = Object.keys(RENAMES) as Dialect[];

describe.each(DIALECTS)("%s", (dialect) => {
  const own = CONFIG[dialect] as typeof config;
  const flat = dialect === "lmms-lab";
  /** The Hub's two layouts in every form; of the other spellings, names alone differ. */
  const isLayout = flat || dialect === "llava-hf on disk";
  const untied = {
    ...own,
    tie_word_embeddings: false,
    ...(!flat && { text_config: { ...(own.text_config as object), tie_word_embeddings: false } }),
  };

  test("f16 in one file", async () => {
    expect(await answers(await filesWith({ tensors: renamed(tensors, dialect), config: own }), 1)).toEqual(
      reference(1),
    );
  });

  if (isLayout) {
    test("f32 in shards, with a head stored beside a tied table", async () => {
      const named = renamed([...tensors, headOf(tensors)], dialect).map((tensor) => retyped(tensor, "F32"));
      expect(await answers(await filesWith({ tensors: named, config: own, shards: 3 }), 1)).toEqual(reference(1));
    });

    test("bf16 with a head of its own", async () => {
      const named = renamed([...tensors, headOf(tensors)], dialect).map((tensor) => retyped(tensor, "BF16"));
      const [got] = await answers(await filesWith({ tensors: named, config: untied }), 1);
      // Three bits less of every weight: an answer, not always the same.
      expect(got!.length).toBeGreaterThan(2);
    });
  }

  test("unknown tensors are rejected, and no memory is leaked", async () => {
    const odd = { name: "model.odd.weight", dtype: "F16" as const, shape: [2], bytes: new Uint8Array(4) };
    const named = renamed(tensors, dialect);
    const load = async (parts: typeof named) =>
      LlavaOneVision.load(await filesWith({ tensors: parts, config: own }), { device: held.device });
    const extra = load([...named, odd]);
    await expect(extra).rejects.toThrow(CheckpointError);
    await expect(extra).rejects.toThrow(/tensor model\.odd\.weight in model\.safetensors is not used/);
    const bias = named.find(({ name }) => name.endsWith("layers.1.self_attn.k_proj.bias"))!;
    await expect(load(named.filter((tensor) => tensor !== bias))).rejects.toThrow(`tensor ${bias.name} [`);
    expect(held.device.pool.liveBytes).toBe(0);
  });
});

test("parts of different spellings in one checkpoint", async () => {
  const from = (dialect: Dialect, part: RegExp) =>
    renamed(
      tensors.filter(({ name }) => part.test(name)),
      dialect,
    );
  const mixed = [
    ...from("lmms-lab", /^language_model/),
    ...from("saved by transformers 5", /^vision_tower/),
    ...from("in memory since transformers 5", /^multi_modal/),
    ...from("llava-hf on disk", /^image_newline/),
  ];
  expect(mixed).toHaveLength(tensors.length);
  expect(await answers(await filesWith({ tensors: mixed }), 1)).toEqual(reference(1));
});

test("f16 with a head of its own answers as with the table", async () => {
  const untied = { ...config, text_config: { ...(config.text_config as object), tie_word_embeddings: false } };
  const files = await filesWith({ tensors: [...tensors, headOf(tensors)], config: untied });
  expect(await answers(files, 1)).toEqual(reference(1));
});

test("tensors of different types in one checkpoint", async () => {
  const types = ["F16", "F32"] as const;
  const mixed = tensors.map((tensor, i) => retyped(tensor, types[i % 2]!));
  expect(await answers(await filesWith({ tensors: mixed }), 2)).toEqual(reference(2));
  const whole = { ...tensors[0]!, dtype: "I16" as const };
  await expect(
    LlavaOneVision.load(await filesWith({ tensors: [whole, ...tensors.slice(1)] }), { device: held.device }),
  ).rejects.toThrow(`tensor ${whole.name} in model.safetensors has dtype I16, wanted F32, F16 or BF16`);
});

describe("dtype", () => {
  const load = async (dtype: unknown) =>
    LlavaOneVision.load(await checkpointFiles(TINY), { device: held.device, dtype: dtype as "auto" });

  test.each(["auto", "f32", "f16", "q8"] as const)("%s gives the reference's tokens", async (dtype) => {
    expect(await answers(await checkpointFiles(TINY), 2, dtype)).toEqual(reference(2));
  });

  test.each(["bf16", "q4"] as const)("%s gives text", async (dtype) => {
    for (const tokens of await answers(await checkpointFiles(TINY), 1, dtype)) {
      expect(tokens.length).toBeGreaterThan(0);
      for (const token of tokens) expect(token).toBeLessThan(640);
    }
  });

  test("fewer bits take less memory, by part", async () => {
    const bytes = async (dtype: unknown): Promise<number> => {
      const model = await load(dtype);
      const live = held.device.pool.liveBytes;
      model.dispose();
      return live;
    };
    const [f32, f16, q8, q4] = [await bytes("f32"), await bytes("auto"), await bytes("q8"), await bytes("q4")];
    expect(f32).toBeGreaterThan(1.8 * f16);
    expect(f16).toBeGreaterThan(1.6 * q8);
    expect(q8).toBeGreaterThan(1.3 * q4);
    const parts = { vision: "q8", projector: "q8", language: "q8", embed: "q8" };
    expect(await bytes(parts)).toBe(q8);
    for (const part of Object.keys(parts)) {
      const one = await bytes({ [part]: "q8" });
      expect(one, part).toBeLessThan(f16);
      expect(one, part).toBeGreaterThan(q8);
    }
  });

  test("by part gives the reference's tokens", async () => {
    const dtype = { vision: "q8", language: "f32", embed: "f16" } as const;
    expect(await answers(await checkpointFiles(TINY), 2, dtype)).toEqual(reference(2));
  });

  test.each([["q5"], [""], [16], [null], [{ vision: "int8" }], [{ visoin: "q8" }]])("%j is refused", async (dtype) => {
    const outcome = await load(dtype).catch((error: unknown) => error);
    if (outcome instanceof LlavaOneVision) outcome.dispose();
    expect(outcome instanceof OptionError, String(outcome)).toBe(true);
    expect(held.device.pool.liveBytes).toBe(0);
  });
});
