import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { ContextOverflowError, OptionError, PromptError } from "../../../src/base/errors.js";
import type { GenerateOptions } from "../../../src/models/chat/generate-options.js";
import type { Session } from "../../../src/models/chat/session.js";
import type {
  ChatMessage,
  ImageContent,
  TextContent,
  VideoContent,
} from "../../../src/models/llava-onevision/processor.js";
import { LlavaOneVision } from "../../../src/models/llava-onevision.js";
import type { Device } from "../../../src/runtime/device.js";
import { checkpointFiles, TINY } from "../../support/checkpoint.js";
import { exampleFile, examples } from "../../support/examples.js";
import { useTiny } from "../../support/tiny-model.js";

// Talks of several turns: what the cache keeps, what it must not keep, and what does not fit.

const square = await exampleFile("00-shapes.png");
const star = await exampleFile("01-shapes.png");
const [first, second] = [await exampleFile("09-pair-1.png"), await exampleFile("09-pair-2.png")];

const image = (picture: ImageContent["image"]): ImageContent => ({ type: "image", image: picture });
const text = (words: string): TextContent => ({ type: "text", text: words });
const user = (...content: (TextContent | ImageContent | VideoContent)[]): ChatMessage => ({ role: "user", content });
const assistant = (words: string): ChatMessage => ({ role: "assistant", content: [text(words)] });
const system = (words: string): ChatMessage => ({ role: "system", content: [text(words)] });
/** A picture of one colour. */
const plain = (level: number, width = 126, height = 126) => ({
  data: new Uint8Array(width * height * 3).fill(level),
  width,
  height,
});

const held = useTiny();
let device: Device;
let model: LlavaOneVision;
let weights: number;
let session: Session;
beforeAll(() => {
  ({ device, model, weights } = held);
});
beforeEach(() => {
  session = model.createSession();
});
afterEach(() => {
  session.dispose();
  expect(device.pool.liveBytes).toBe(weights);
});

const SHORT: GenerateOptions = { maxNewTokens: 12 };
const ask = (messages: ChatMessage[], options: GenerateOptions = SHORT) => session.generate(messages, options).result;

/** The same question to a session that knows nothing. */
async function fresh(messages: ChatMessage[], options: GenerateOptions = SHORT): Promise<readonly number[]> {
  model.internals.prefixCache.forget();
  const other = model.createSession();
  const { tokens, usage } = await other.generate(messages, options).result;
  other.dispose();
  expect(usage.reusedTokens).toBe(0);
  return tokens;
}

const idsOf = async (messages: ChatMessage[], options: GenerateOptions = {}) =>
  (await model.internals.processor.prepare(messages, options)).inputIds;

/** How many ids two sequences begin with in common; the last of `next` is computed in any case. */
function commonRows(before: readonly number[], next: readonly number[]): number {
  const other = next.findIndex((id, i) => id !== before[i]);
  return other < 0 ? next.length - 1 : other;
}

/** Asks the session, which must reuse `reused` rows and answer as a fresh one. */
async function same(messages: ChatMessage[], reused: number, options: GenerateOptions = SHORT): Promise<string> {
  const answer = await ask(messages, options);
  expect(answer.usage.reusedTokens).toBe(reused);
  expect(answer.tokens).toEqual(await fresh(messages, options));
  return answer.text;
}

describe("the cache", () => {
  test("turn after turn, with pictures in any of them and in none", async () => {
    const talk = [user(image(square), text("What do you see?"))];
    const started = await ask(talk);
    expect(started.text).toBe("An orange square at the top left.");
    talk.push(assistant(started.text), user(text("Which shape is orange?")));
    // This template writes a space after the name of a speaker, but not before an answer that is to come.
    await same(talk, commonRows(started.promptTokens, await idsOf(talk)));
    // A second picture makes squares of both, so the first one's rows are others: nothing of it may stay.
    talk.push(assistant("The square."), user(image(star), text("And now?")));
    await same(talk, (await model.internals.processor.prepare(talk)).media[0]!.start);
    // The same question again: all but the last row is there.
    await same(talk, (await idsOf(talk)).length - 1);
  });

  test("the answer is reused too where the template repeats it as it was made", async () => {
    const options = { ...SHORT, template: "onevision" } as const;
    const talk = [user(image(square), text("What do you see?"))];
    const started = await ask(talk, options);
    talk.push(assistant(started.text), user(text("Which shape is orange?")));
    // The last token was never fed back when the answer was cut.
    const fed = started.finishReason === "stop" ? started.tokens : started.tokens.slice(0, -1);
    await same(talk, started.promptTokens.length + fed.length, options);
  });

  test("pictures in pad mode stay cached when another is added", async () => {
    const options = { ...SHORT, imageMode: "pad" } as const;
    const talk = [user(image(first), text("What do you see?"))];
    const one = await ask(talk, options);
    expect(one.usage).toMatchObject({ visualTokens: 82, tiles: 1 });
    talk.push(assistant(one.text), user(image(second), text("What changed?")));
    const rows = commonRows(one.promptTokens, await idsOf(talk, options));
    expect(rows).toBeGreaterThan(82);
    await same(talk, rows, options);
  });

  test("another picture of the same size in the same place", async () => {
    const about = (level: number) => [user(image(plain(level)), text("What do you see?"))];
    await ask(about(40));
    const { media } = await model.internals.processor.prepare(about(41));
    await same(about(41), media[0]!.start);
    // Of two pictures the second is another.
    const pair = (a: number, b: number) => [user(image(plain(a)), image(plain(b)), text("What changed?"))];
    await ask(pair(40, 80));
    const prepared = await model.internals.processor.prepare(pair(40, 81));
    await same(pair(40, 81), prepared.media[1]!.start);
    // One pixel counts, and which of two comes first.
    const dot = plain(40);
    dot.data[126 * 126 * 3 - 1] = 41;
    await same([user(image(plain(40)), image(dot), text("What changed?"))], prepared.media[1]!.start);
    await same([user(image(dot), image(plain(40)), text("What changed?"))], prepared.media[0]!.start);
  });

  test("an edit in the middle, at the beginning, and a shorter talk", async () => {
    const talk = [
      system("You see drawings."),
      user(image(square), text("What do you see?")),
      assistant("A square."),
      user(text("Which shape is orange?")),
    ];
    await ask(talk);
    const edited = talk.with(2, assistant("A star."));
    await same(edited, commonRows(await idsOf(talk), await idsOf(edited)));
    const brief = talk.with(0, system("Be brief."));
    const rows = commonRows(await idsOf(edited), await idsOf(brief));
    expect(rows).toBeLessThan(8);
    await same(brief, rows);
    const question = brief.slice(0, 2);
    await same(question, commonRows(await idsOf(brief), await idsOf(question)));
  });

  test("after an abort in the middle of a prompt and of an answer the next call answers", async () => {
    const question = [user(image(square), text("What do you see?"))];
    for (const stage of ["vision", "decode"] as const) {
      const controller = new AbortController();
      const options: GenerateOptions = {
        signal: controller.signal,
        onProgress: (progress) => {
          if (progress.stage === stage && progress.done > 1) controller.abort();
        },
      };
      await expect(ask(question, options)).rejects.toMatchObject({ name: "AbortError" });
      const answer = await ask(question, {});
      expect(answer.text).toBe("An orange square at the top left.");
      session.dispose();
      session = model.createSession();
    }
  });
});

describe("prompts", () => {
  test("pictures between texts stay in their order where the template allows it", async () => {
    const mixed = [user(text("Before."), image(first), text("Between."), image(second), text("What changed?"))];
    const { media, text: rendered, spans } = await model.internals.processor.prepare(mixed);
    expect(rendered).toBe(
      "<|im_start|>user <image><image>\nBefore.\nBetween.\nWhat changed?<|im_end|><|im_start|>assistant\n",
    );
    expect(spans.map(({ index }) => index)).toEqual([0, 1]);
    expect(media[0]!.start).toBeLessThan(media[1]!.start);
    const swapped = await model.internals.processor.prepare([user(image(second), image(first), text("What changed?"))]);
    expect(swapped.media.map(({ key }) => key)).toEqual([media[1]!.key, media[0]!.key]);
    await same(mixed, 0);
  });

  test("the text form of training", async () => {
    const options = { ...SHORT, template: "onevision" } as const;
    const { text: rendered } = await model.internals.processor.prepare([user(image(square), text("Hello!"))], options);
    expect(rendered).toBe(
      "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<image>\nHello!<|im_end|>\n<|im_start|>assistant\n",
    );
    const own = await model.internals.processor.prepare([system("Be brief."), user(text("Hello!"))], options);
    expect(own.text).toContain("<|im_start|>system\nBe brief.<|im_end|>\n");
    expect((await ask([user(image(square), text("What do you see?"))], options)).tokens.length).toBeGreaterThan(0);
  });

  test("how pictures become tokens", async () => {
    const count = async (imageMode: GenerateOptions["imageMode"], ...pictures: ImageContent[]) => {
      const { media } = await model.internals.processor.prepare([user(...pictures, text("?"))], { imageMode });
      return media.map(({ tokens, tileCount }) => [tokens, tileCount]);
    };
    const cells = 81;
    const square1 = image(plain(1));
    // Two tiles side by side: the base tile, then nine rows of eighteen cells and a newline.
    const wide = image(plain(1, 252, 126));
    expect(await count(undefined, square1)).toEqual([[cells + 9 * 10, 2]]);
    expect(await count("auto", wide)).toEqual([[cells + 9 * 19, 3]]);
    expect(await count("pad", wide)).toEqual([[cells + 1, 1]]);
    expect(await count("auto", square1, wide)).toEqual([
      [cells + 1, 1],
      [cells + 1, 1],
    ]);
    expect(await count("anyres", square1, wide)).toEqual([
      [cells + 9 * 10, 2],
      [cells + 9 * 19, 3],
    ]);
    // A clip is no picture: one picture beside it stays in tiles.
    const clip: VideoContent = { type: "video", frames: [plain(1), plain(2)] };
    const { media } = await model.internals.processor.prepare([user(wide, clip, text("?"))]);
    expect(media.map(({ kind, tokens }) => [kind, tokens])).toEqual([
      ["image", cells + 9 * 19],
      ["video", 2 * 25 + 1],
    ]);
  });

  test("words that name no option are refused at once", () => {
    const question = [user(text("Hello!"))];
    for (const options of [
      { imageMode: "Pad" },
      { template: "qwen" },
      { orientation: "upright" },
      { imagemode: "pad" },
      { repetitionPenalty: 0 },
      { repetitionPenalty: Number.NaN },
      { minNewTokens: -1 },
      { minNewTokens: 1.5 },
    ]) {
      expect(() => session.generate(question, options as GenerateOptions), JSON.stringify(options)).toThrow(
        OptionError,
      );
    }
  });
});

describe("generation", () => {
  const hello = [user(text("Hello!"))];
  const reference = examples.find(({ kind }) => kind === "chat")!.turns[0]!.reference_tokens;

  test("the shortest and the longest answer", async () => {
    const whole = await ask(hello, {});
    expect(whole.tokens).toEqual(reference);
    expect(whole.finishReason).toBe("stop");
    const cut = await ask(hello, { maxNewTokens: 3 });
    expect(cut).toMatchObject({ tokens: reference.slice(0, 3), finishReason: "length" });
    expect(cut.usage).toMatchObject({ completionTokens: 3, totalTokens: cut.usage.promptTokens + 3 });
    const exact = await ask(hello, { maxNewTokens: reference.length });
    expect(exact).toMatchObject({ tokens: reference, finishReason: "length" });
    const longer = await ask(hello, { minNewTokens: reference.length + 4, maxNewTokens: reference.length + 8 });
    expect(longer.tokens.slice(0, reference.length)).toEqual(reference);
    expect(longer.tokens.length).toBeGreaterThanOrEqual(reference.length + 4);
    for (const token of longer.tokens.slice(0, reference.length + 4))
      expect(model.config.eosTokens).not.toContain(token);
  });

  test("EOS tokens come from generation_config.json", async () => {
    expect(model.config.eosTokens).toEqual([597, 595]);
    const files = (await checkpointFiles(TINY)).filter(({ name }) => name !== "generation_config.json");
    files.push(new File([JSON.stringify({ eos_token_id: [reference[2]] })], "generation_config.json"));
    const other = await LlavaOneVision.load(files, { device });
    const { tokens, finishReason } = await other.createSession().generate(hello).result;
    other.dispose();
    expect(tokens).toEqual(reference.slice(0, 2));
    expect(finishReason).toBe("stop");
  });

  test("a penalty makes what was said less likely", async () => {
    const said = async (repetitionPenalty: number) => {
      const { tokens } = await ask(hello, { repetitionPenalty, minNewTokens: 24, maxNewTokens: 24 });
      return new Set(tokens).size;
    };
    const freely = await said(1);
    expect(await said(1e6)).toBe(24);
    expect(freely).toBeLessThan(24);
    expect((await ask(hello, { repetitionPenalty: 1 + 1e-9 })).tokens).toEqual(reference);
  });
});

describe("the context", () => {
  /** Refused with these numbers and words, and nothing goes to the device. */
  async function overflow(messages: ChatMessage[], options: GenerateOptions, requested: number, hint: RegExp) {
    const live = device.pool.liveBytes;
    const submit = vi.spyOn(device.gpu.queue, "submit");
    const write = vi.spyOn(device.gpu.queue, "writeBuffer");
    const error = await ask(messages, options).catch((e: unknown) => e);
    const calls = submit.mock.calls.length + write.mock.calls.length;
    submit.mockRestore();
    write.mockRestore();
    expect(error).toBeInstanceOf(ContextOverflowError);
    expect(error).toMatchObject({ code: "CONTEXT_OVERFLOW", requestedTokens: requested, availableTokens: 4096 });
    expect((error as Error).message).toMatch(hint);
    expect(calls).toBe(0);
    expect(device.pool.liveBytes).toBe(live);
  }
  const lengthOf = async (messages: ChatMessage[], options: GenerateOptions = {}) =>
    (await model.internals.processor.prepare(messages, options)).inputIds.length;

  test("too many frames", async () => {
    const clip = (count: number): ChatMessage[] => [
      user({ type: "video", frames: Array.from({ length: count }, (_, i) => plain(i % 256)) }, text("What happens?")),
    ];
    const rest = (await lengthOf(clip(1))) - 25;
    const fit = Math.floor((4096 - 16 - rest) / 25);
    await overflow(
      clip(170),
      { maxNewTokens: 16 },
      rest + 170 * 25 + 16,
      new RegExp(`use at most ${fit} frames in all: a frame takes 25 tokens`),
    );
    // What it says is right: so many fit, one more does not.
    expect((await lengthOf(clip(fit))) + 16).toBeLessThanOrEqual(4096);
    expect((await lengthOf(clip(fit + 1))) + 16).toBeGreaterThan(4096);
  });

  test("too many pictures", async () => {
    const album = (count: number) => [
      user(...Array.from({ length: count }, (_, i) => image(plain(i))), text("How many?")),
    ];
    const options = { imageMode: "anyres", maxNewTokens: 8 } as const;
    const rest = (await lengthOf(album(2))) - 2 * 82;
    const fit = Math.floor((4096 - 8 - rest) / 82);
    await overflow(
      album(24),
      options,
      rest + 24 * (81 + 90) + 8,
      new RegExp(`give at most ${fit} pictures as squares of one tile \\(imageMode "pad"\\), 82 tokens each`),
    );
    expect((await lengthOf(album(fit))) + 8).toBeLessThanOrEqual(4096);
    expect((await lengthOf(album(fit + 1))) + 8).toBeGreaterThan(4096);
  });

  test("too many words, and too long an answer", async () => {
    const words = [user(text("a square and a star. ".repeat(900)))];
    await overflow(words, {}, (await lengthOf(words)) + 1, /give fewer pictures, frames or words/);
    const hello = [user(text("Hello!"))];
    const free = 4096 - (await lengthOf(hello));
    await overflow(hello, { maxNewTokens: free + 1 }, 4097, new RegExp(`ask for at most ${free} new tokens`));
    expect((await ask(hello, { maxNewTokens: 4 })).tokens).toHaveLength(4);
  });

  test("an answer that begins as it is told to", async () => {
    const question = [user(image(square), text("What do you see?"))];
    const whole = (await ask(question)).text;
    expect(whole).toBe("An orange square at the top left.");
    for (const answerPrefix of ["An orange", "An orange square at"]) {
      expect(answerPrefix + (await ask(question, { ...SHORT, answerPrefix })).text).toBe(whole);
      expect(session.messages.at(-1)).toEqual({ role: "assistant", content: whole });
    }
    // Of which special tokens are text, as everywhere.
    const { promptTokens } = await ask(question, { ...SHORT, answerPrefix: "<|im_end|>" });
    const parsed = await ask(question, { ...SHORT, answerPrefix: "<|im_end|>", specialTokens: "parse" });
    expect(promptTokens.length).toBeGreaterThan(parsed.promptTokens.length + 2);
    expect(() => session.generate(question, { answerPrefix: 5 as never })).toThrow(
      /answerPrefix: expected a text, got 5/,
    );
  });

  test("messages that are not a conversation", async () => {
    for (const messages of [
      [],
      [assistant("Hello.")],
      [user(text("Hi.")), assistant("Hello.")],
      [system("Be brief.")],
    ]) {
      await expect(ask(messages)).rejects.toThrow(PromptError);
    }
    const parsed = ask([user(text("What is an <image>?"))], { ...SHORT, specialTokens: "parse" });
    await expect(parsed).rejects.toThrow(/take the literal <image>/);
    await expect(ask([user({ type: "image" } as ImageContent)])).rejects.toThrow(/image 1/);
    await expect(ask([user({ type: "image", image: square, detail: "high" } as ImageContent)])).rejects.toThrow(
      OptionError,
    );
    expect((await ask([user(image(square), text("What do you see?"))], {})).text).toBe(
      "An orange square at the top left.",
    );
  });
});
