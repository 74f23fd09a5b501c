import { stat, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { causeMessage } from "../base/cause-message.js";
import { OcellusError, OptionError, SourceError } from "../base/errors.js";
import { writeSafetensors } from "../io/safetensors.js";
import type { AnswerUsage } from "../models/chat/answer.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import type { Tap } from "../models/chat/taps.js";
import { checkMessages, type Message } from "../models/llava-onevision/messages.js";
import type { ChatMessage, ImageContent, TextContent, VideoContent } from "../models/llava-onevision/processor.js";
import { LlavaOneVision, type LoadOptions } from "../models/llava-onevision.js";
import { ANSWER_OPTIONS, answerOptions, TEMPLATE_OPTION } from "./answer-options.js";
import type { Arguments, Command } from "./command.js";
import {
  expandHome,
  isStandardInput,
  isStandardInputTaken,
  isStream,
  mediaInput,
  readJson,
  textOfStandardInput,
} from "./input-file.js";
import type { Interruption } from "./interruption.js";
import { CACHE_DTYPES, MODEL_OPTIONS, modelLocation, openOptions } from "./model-options.js";
import { note } from "./note.js";
import { ProgressLine } from "./progress-line.js";

const NOTES = `Every FILE that is read may be a pipe, a FIFO or a process substitution. One of
them, or the question, may be - for standard input. Without a question, standard
input is the question unless it is a terminal. Text files are UTF-8. The answer
goes to standard output, progress and notes to standard error.

--messages: [{ "role": "user", "content": [{ "type": "image", "image": PATH },
{ "type": "text", "text": "…" }] }], paths relative to that file. A clip is
{ "type": "video", "video": PATH } or { "type": "video", "frames": [PATH, …] }.

--json prints one object: text; tokens and promptTokens, lists of token ids;
usage, counts as in OpenAI's API; timings in seconds; adapter; finishReason; seed.`;

/** Answers one question or conversation. */
export const ask: Command = {
  name: "ask",
  usage: '[options] "question"',
  about: "Answers a question about pictures and clips, in the order in which they are given.",
  options: {
    image: { value: "FILE", help: "a picture: path, URL or -; may be given several times", multiple: true, path: true },
    video: { value: "FILE", help: "a clip, likewise", multiple: true, path: true },
    frames: { value: "N", help: "frames sampled from each clip, evenly spaced (16)" },
    fps: { value: "N", help: "frames per second, instead of --frames", rare: true },
    track: { value: "N", help: "video track of each clip, from 0 (the first enabled one)", rare: true },
    messages: { value: "FILE.json", help: "a whole conversation, see --help-all", path: true },
    ...MODEL_OPTIONS,
    "cache-dtype": {
      value: "TYPE",
      help: "storage dtype of the KV cache: auto (f32), f32, f16 or q8",
      offers: CACHE_DTYPES,
      rare: true,
    },
    system: { value: "TEXT", help: "system prompt" },
    "image-mode": {
      value: "MODE",
      help: "anyres (tiles), pad (squares) or auto (one picture: anyres, several: pad)",
      choices: ["auto", "anyres", "pad"],
      rare: true,
    },
    ...TEMPLATE_OPTION,
    orientation: {
      value: "NAME",
      help: "apply or ignore the EXIF orientation of pictures",
      choices: ["apply", "ignore"],
      rare: true,
    },
    ...ANSWER_OPTIONS,
    json: { help: "print text, token ids, usage and timings as one object" },
    taps: {
      value: "OUT.safetensors",
      help: "write every named intermediate of the prompt's forward pass, f32",
      path: true,
      rare: true,
    },
  },
  mostPositionals: Number.POSITIVE_INFINITY,
  examples: [
    'ocellus ask --image photo.jpg "What is in this picture?"',
    'ocellus ask --video clip.mp4 --frames 8 "What happens?"',
    'curl -s https://example.com/a.jpg | ocellus ask --image - "What is this?"',
  ],
  notes: NOTES,
  async run(given, interruption) {
    try {
      await answer(given, interruption);
    } catch (cause) {
      const file = given.value("messages");
      const inMessages = cause instanceof OcellusError && /^(messages|prompt|image|video)\b/.test(cause.fault.where);
      if (file === undefined || !inMessages) throw cause;
      throw new OcellusError(cause.code, {
        ...cause.fault,
        where: `${isStandardInput(file) ? "standard input" : file}: ${cause.fault.where}`,
      });
    }
  },
};

async function answer(given: Arguments, interruption: Interruption): Promise<void> {
  const messages = await conversation(given);
  const options = await generateOptions(given);
  const tapsFile = given.value("taps");
  const json = given.has("json");
  const location = modelLocation(given.value("model"));
  const { signal } = interruption;
  const line = new ProgressLine(process.stderr);
  const model = await LlavaOneVision.load(location, {
    onDeviceLost: "reload",
    signal,
    ...(await openOptions(given)),
    ...cacheDtypeOption(given),
    ...line.loading,
  }).finally(() => line.clear());
  try {
    line.clear();
    const system = given.value("system");
    const running = model.createSession(system === undefined ? {} : { system }).generate(messages, {
      ...options,
      signal,
      onProgress: (p) => line.answer(p),
      ...(tapsFile !== undefined && { onTaps: (taps: Tap[]) => writeTaps(tapsFile, taps) }),
    });
    for await (const piece of running) {
      line.clear();
      if (!json) process.stdout.write(piece.text);
    }
    const { text, tokens, promptTokens, usage, timings, finishReason, seed } = await running.result;
    const adapter = model.device.facts.name;
    if (json) {
      const facts = { text, tokens, promptTokens, usage: countsOf(usage), timings, adapter, finishReason };
      process.stdout.write(`${JSON.stringify(seed === undefined ? facts : { ...facts, seed })}\n`);
    } else process.stdout.write("\n");
    if (finishReason === "length") note(`(ended at ${tokens.length} tokens; --max-new-tokens allows more)`);
  } finally {
    line.clear();
    model.dispose();
  }
}

/** Usage in OpenAI's names, as `serve` reports it: `promptTokens` of the object are the ids. */
function countsOf(usage: AnswerUsage): object {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.totalTokens,
    reused_tokens: usage.reusedTokens,
    visual_tokens: usage.visualTokens,
    tiles: usage.tiles,
  };
}

async function generateOptions(given: Arguments): Promise<GenerateOptions> {
  const options = await answerOptions(given);
  const imageMode = given.value("image-mode") as GenerateOptions["imageMode"];
  if (imageMode) options.imageMode = imageMode;
  const template = given.value("template") as GenerateOptions["template"];
  if (template) options.template = template;
  const orientation = given.value("orientation") as GenerateOptions["orientation"];
  if (orientation) options.orientation = orientation;
  return options;
}

/** Reads `--cache-dtype`; the model checks the name. */
function cacheDtypeOption(given: Arguments): Pick<LoadOptions, "cacheDtype"> {
  const text = given.value("cache-dtype");
  return text === undefined ? {} : { cacheDtype: text as NonNullable<LoadOptions["cacheDtype"]> };
}

/** Reads the conversation from `--messages`, or from pictures, clips and the question. Throws OptionError, SourceError. */
async function conversation(given: Arguments): Promise<readonly ChatMessage[]> {
  const file = given.value("messages");
  const media = given.ordered.filter((option) => option.name === "image" || option.name === "video");
  if (file !== undefined) {
    if (media.length > 0 || given.positionals.length > 0) {
      throw new OptionError({
        where: given.where,
        expected: "either --messages or pictures and a question",
        got: "both",
        remedy: "put the pictures and the question into the messages file",
      });
    }
    return readMessages(file);
  }
  for (const word of given.positionals) await refuseFile(given.where, word);
  for (const name of ["frames", "fps", "track"]) {
    if (given.value(name) === undefined || media.some((option) => option.name === "video")) continue;
    throw new OptionError({
      where: `${given.where}, --${name}`,
      expected: "a --video beside it",
      got: "none",
      remedy: "give the clip as --video, or leave it out",
    });
  }
  const parts: (ImageContent | VideoContent | TextContent)[] = [];
  for (const { name, value } of media) {
    const input = await mediaInput(value!, `--${name}`);
    parts.push(name === "image" ? { type: "image", image: input } : clipPart(input, given));
  }
  const text = await question(given);
  return [{ role: "user", content: [...parts, { type: "text", text }] }];
}

/** Returns the question: the arguments, or standard input for `-` and, unless it is a terminal, without arguments. */
async function question(given: Arguments): Promise<string> {
  const words = given.positionals.join(" ");
  const isPiped = words === "" && !process.stdin.isTTY && !isStandardInputTaken();
  const text = words === "-" || isPiped ? await textOfStandardInput(words === "-") : words;
  if (text.trim() !== "") return text;
  throw new OptionError({
    where: given.where,
    expected: "a question",
    got: "none",
    remedy: 'run for example: ocellus ask --image photo.jpg "What is in this picture?"',
  });
}

/** Throws OptionError for a file in place of a word of the question, such as the second one of `--image *.png`. */
async function refuseFile(where: string, word: string): Promise<void> {
  if (word === "-" || !(await stat(word).catch(() => undefined))?.isFile()) return;
  throw new OptionError({
    where,
    expected: "a question",
    got: `the file ${word}`,
    remedy: `give --image (or --video) before each file: --image ${word}; a question with the name of a file goes in quotes as a whole`,
  });
}

/** Builds the message part of a `--video`, with `--frames`, `--fps` and `--track`. */
function clipPart(video: string | Uint8Array, given: Arguments): VideoContent {
  const frames = given.count("frames");
  const fps = given.number("fps");
  const track = given.count("track", 0);
  return {
    type: "video",
    video,
    ...(frames !== undefined && { frames }),
    ...(fps !== undefined && { fps }),
    ...(track !== undefined && { track }),
  };
}

/** Reads messages from a file. Relative media paths are resolved against the file's folder, or the current one if it is a pipe. */
async function readMessages(file: string): Promise<readonly ChatMessage[]> {
  const remedy = 'write [{ "role": "user", "content": [{ "type": "text", "text": "…" }] }]';
  const folder = (await isStream(file)) ? "." : dirname(file);
  const messages = await readJson(file, "--messages", "a JSON file with messages", remedy);
  // Validate before the model is loaded, which takes longer.
  checkMessages(messages);
  const resolve = async (path: unknown): Promise<unknown> => {
    if (typeof path !== "string" || /^(https?|data|file):/i.test(path)) return path;
    const file = expandHome(path);
    return mediaInput(file === "-" || isAbsolute(file) ? file : join(folder, file), "a message");
  };
  for (const { content } of messages) {
    if (typeof content === "string") continue;
    // Sequentially: standard input has one reader.
    for (const part of content as unknown as Record<string, unknown>[]) {
      for (const name of ["image", "video", "frames"]) {
        const value = part[name];
        if (!Array.isArray(value)) {
          if (value !== undefined) part[name] = await resolve(value);
          continue;
        }
        for (const [i, frame] of value.entries()) value[i] = await resolve(frame);
      }
    }
  }
  return messages as readonly Message[] as readonly ChatMessage[];
}

async function writeTaps(file: string, taps: readonly Tap[]): Promise<void> {
  const chunks = writeSafetensors(
    taps.map(({ name, shape, data }) => ({
      name,
      dtype: "F32" as const,
      shape: [...shape],
      bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })),
  );
  try {
    await writeFile(file, chunks);
  } catch (cause) {
    throw new SourceError({
      where: file,
      expected: "a file that can be written",
      got: causeMessage(cause),
      remedy: "check the folder and its permissions",
      cause,
    });
  }
}
