import { describe, expect, it } from "vitest";
import { CheckpointError, PromptError } from "../../../src/base/errors.js";
import { canvasSizes, planAnyres } from "../../../src/io/pictures/anyres.js";
import { Tokenizer } from "../../../src/io/text/tokenizer.js";
import { templateFromCheckpoint } from "../../../src/models/llava-onevision/jinja-template.js";
import { padImageTokens, planImage, videoTokens } from "../../../src/models/llava-onevision/packing.js";
import {
  ChatTemplate,
  expandPrompt,
  type Medium,
  type Message,
  mediaOf,
  placeholderIds,
  renderPrompt,
} from "../../../src/models/llava-onevision/prompt.js";
import { failure } from "../../support/failure.js";
import { readFixture, readFixtureJson } from "../../support/fixture.js";

interface GoldenCase {
  prompt_style: "hf" | "orig";
  messages: Message<{ image: string }, { frames: string[] }>[];
  prompt: string;
  prompt_ids: number[];
  input_ids: number[];
  media: Medium[];
  spans: object[];
}

interface GoldenConfig {
  image_token_index: number;
  video_token_index?: number;
}

/** Tokenizer, template and placeholder ids of a checkpoint folder under test/data. */
async function open(folder: string) {
  const [tokenizer, tokenizerConfig, addedTokens, json, config] = await Promise.all(
    ["tokenizer", "tokenizer_config", "added_tokens", "chat_template", "config"].map((name) =>
      readFixtureJson<unknown>(`${folder}/${name}.json`),
    ),
  );
  const made = new Tokenizer({ tokenizer, tokenizerConfig, addedTokens });
  const { image_token_index, video_token_index } = config as GoldenConfig;
  return {
    tokenizer: made,
    template: templateFromCheckpoint({ json, tokenizerConfig }),
    ids: placeholderIds(made, { imageTokenIndex: image_token_index, videoTokenIndex: video_token_index }),
    config: config as GoldenConfig & Record<string, unknown>,
  };
}

const { models } = await readFixtureJson<{ models: Record<string, string[]> }>("goldens/index.json");

describe.each(Object.entries(models))("golden prompts of %s", (model, names) => {
  it.each(names)("%s", async (name) => {
    const { tokenizer, template, ids } = await open(`goldens/${model}`);
    const golden = await readFixtureJson<GoldenCase>(`goldens/${model}/cases/${name}.json`);
    const text = renderPrompt(golden.messages, golden.prompt_style === "orig" ? ChatTemplate.onevision : template);
    expect(text).toBe(golden.prompt);
    const { promptIds, inputIds, spans } = expandPrompt(text, golden.media, tokenizer, ids);
    expect(promptIds).toEqual(golden.prompt_ids);
    expect(inputIds).toEqual(golden.input_ids);
    expect(spans).toEqual(golden.spans);
    expect(mediaOf(golden.messages).map((part) => part.type)).toEqual(golden.media.map((medium) => medium.kind));
  });
});

interface Example {
  files: string[];
  video: boolean;
  frames: number | null;
  turns: { question: string; prompt_length: number }[];
}

describe("prompt lengths of the tiny checkpoint's examples", async () => {
  const folder = "../../models/tiny";
  const { tokenizer, template, ids, config } = await open(folder);
  const grids = canvasSizes(config.image_grid_pinpoints as number[][]);
  const tile = (config.vision_config as { image_size: number }).image_size;
  const cells = tile / (config.vision_config as { patch_size: number }).patch_size;
  const { examples } = await readFixtureJson<{ examples: Example[] }>(`${folder}/examples/examples.json`);

  async function tokensOf(file: string): Promise<number> {
    const png = await readFixture(`${folder}/examples/${file}`);
    const header = new DataView(png.buffer, png.byteOffset);
    const [width, height] = [header.getUint32(16), header.getUint32(20)];
    return planImage(width, height, planAnyres(width, height, grids, tile), cells, 9).tokens;
  }

  it.each(examples.map((example, i) => [i, example] as const))("%i", async (_, { files, video, frames, turns }) => {
    const media: Medium[] = [];
    for (const file of files) {
      if (video) media.push({ kind: "video", tokens: videoTokens(frames ?? 0, cells) });
      else media.push({ kind: "image", tokens: files.length > 1 ? padImageTokens(cells) : await tokensOf(file) });
    }
    const parts = media.map(({ kind }) => ({ type: kind }));
    for (const { question, prompt_length } of turns) {
      const messages: Message[] = [{ role: "user", content: [...parts, { type: "text", text: question }] }];
      const { inputIds } = expandPrompt(renderPrompt(messages, template), media, tokenizer, ids);
      expect(inputIds.length, question).toBe(prompt_length);
    }
  });
});

describe("message checks", () => {
  const user = { role: "user", content: "x" };
  it.each<[string, unknown, string]>([
    ["no list", undefined, "messages: expected a list"],
    ["an empty list", [], "got an empty list"],
    ["no object", ["hello"], "messages[0]: expected an object"],
    [
      "an unknown role",
      [{ role: "asistant", content: "x" }, user],
      'messages[0].role: expected "system" or "user" or "assistant", got asistant — did you mean "assistant"?',
    ],
    ["a role of another library", [{ role: "model", content: "x" }, user], 'did you mean "assistant"?'],
    ["no role", [{ content: "x" }], "messages[0].role"],
    ["no content", [{ role: "user" }], "messages[0].content: expected text or a list of parts, got undefined"],
    ["no parts", [{ role: "user", content: [] }], "messages[0].content"],
    ["a string as part", [{ role: "user", content: ["x"] }], "messages[0].content[0]"],
    ["an unknown type", [{ role: "user", content: [{ type: "image_url" }] }], 'write { type: "image", image: url }'],
    ["another unknown type", [{ role: "user", content: [{ type: "vidoe" }] }], 'did you mean "video"?'],
    [
      "text that is a number",
      [{ role: "user", content: [{ type: "text", text: 3 }] }],
      "content[0].text: expected a string, got 3",
    ],
    ["no text", [{ role: "user", content: [{ type: "text" }] }], "messages[0].content[0].text"],
    ["no user", [{ role: "system", content: "x" }], "at least one user message"],
    [
      "an answer at the end",
      [user, { role: "assistant", content: "y" }],
      "messages[1].role: expected user in the last message",
    ],
  ])("%s", (_, messages, part) => {
    const error = failure(PromptError, () => renderPrompt(messages as Message[], ChatTemplate.onevision));
    expect(error.message).toContain(part);
    expect(error.code).toBe("PROMPT");
  });
});

describe("placeholders", async () => {
  const { tokenizer, template, ids } = await open("goldens/hf-05b-like");
  const ask = (...content: Extract<Message["content"], readonly unknown[]>) => [{ role: "user" as const, content }];

  it("match clips and pictures by kind where the template does, else by order", () => {
    const media: Medium[] = [
      { kind: "video", tokens: 3 },
      { kind: "image", tokens: 2 },
    ];
    const messages = ask({ type: "video" }, { type: "image" }, { type: "text", text: "x" });
    const hoisted = expandPrompt(renderPrompt(messages, template), media, tokenizer, ids);
    expect(hoisted.spans.map(({ kind, length }) => [kind, length])).toEqual([
      ["image", 2],
      ["video", 3],
    ]);
    const inOrder = expandPrompt(renderPrompt(messages, ChatTemplate.onevision), media, tokenizer, ids);
    expect(inOrder.spans.map(({ kind, length }) => [kind, length])).toEqual([
      ["video", 3],
      ["image", 2],
    ]);
    for (const { inputIds, spans } of [hoisted, inOrder]) {
      for (const { kind, start, length } of spans) {
        expect(inputIds.slice(start, start + length)).toEqual(new Array(length).fill(ids[kind]));
      }
    }
  });

  it("typed by a user are refused, with the numbers", () => {
    const messages = ask({ type: "image" }, { type: "text", text: "What does <image> mean?" });
    const error = failure(PromptError, () =>
      expandPrompt(renderPrompt(messages, template), [{ kind: "image", tokens: 4 }], tokenizer, ids),
    );
    expect(error.message).toContain("1 picture and 0 clips, got 2 <image> and 0 <video>");
    expect(error.message).toContain("take the literal <image> or <video> out");
    const alone = renderPrompt(ask({ type: "text", text: "<video>" }), template);
    expect(() => expandPrompt(alone, [], tokenizer, ids)).toThrow(PromptError);
  });

  it("that are missing are refused", () => {
    const media: Medium[] = [
      { kind: "image", tokens: 4 },
      { kind: "image", tokens: 4 },
    ];
    const error = failure(PromptError, () => expandPrompt("a <image>", media, tokenizer, ids));
    expect(error.message).toContain("2 pictures and 0 clips, got 1 <image> and 0 <video>");
    expect(() => expandPrompt("<video>", [{ kind: "image", tokens: 4 }], tokenizer, ids)).toThrow(PromptError);
  });

  it("take their ids from the config, else from the tokenizer", async () => {
    expect(ids).toEqual({ image: 598, video: 599 });
    expect(placeholderIds(tokenizer, {})).toEqual({ image: 598, video: 599 });
    const error = failure(CheckpointError, () => placeholderIds(tokenizer, { imageTokenIndex: 151646 }));
    expect(error.message).toContain("config.json: image_token_index: expected 598 for <image>, got 151646");

    const lmms = (await open("goldens/lmms-7b-like")).tokenizer;
    expect(lmms.idOf("<image>")).toBeUndefined();
    expect(placeholderIds(lmms, { imageTokenIndex: 598 })).toEqual({ image: 598, video: 599 });
    expect(failure(CheckpointError, () => placeholderIds(lmms, {})).message).toContain("image_token_index");
    const taken = failure(CheckpointError, () => placeholderIds(lmms, { imageTokenIndex: 597 }));
    expect(taken.message).toContain("which is <|im_end|>");
  });
});
