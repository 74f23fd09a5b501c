import { writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { OcellusError, OptionError, SourceError } from "../base/errors.js";
import { writeSafetensors } from "../io/safetensors.js";
import type { GenerateOptions } from "../models/chat/generate-options.js";
import type { Tap } from "../models/chat/taps.js";
import { checkMessages, type Message } from "../models/llava-onevision/messages.js";
import type { ChatMessage, ImageContent, TextContent, VideoContent } from "../models/llava-onevision/processor.js";
import { LlavaOneVision, type LoadOptions } from "../models/llava-onevision.js";
import { ANSWER_HELP, ANSWER_OPTIONS, answerOptions, oneOf } from "./answer-options.js";
import { type Arguments, parse } from "./arguments.js";
import { isStandardInput, isStream, mediaInput, readJson, readText } from "./input-file.js";
import { dtypeOption, hubOptions } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";
import { tinyCheckpoint } from "./tiny-checkpoint.js";

const HELP = `ocellus ask [options] ["question"]

  --model WHERE           checkpoint folder, hub id (org/name) or URL (the embedded tiny one if not given)
  --revision NAME         branch, tag or commit of the hub id (main)
  --refresh               resolve the branch on the hub again, even if it is cached
  --offline               load the hub id from the cache folder only (HF_HUB_CACHE, HF_HOME)
  --image FILE            a picture, path or URL; may be given several times, in order
  --video FILE            a clip; pictures and clips keep the order of the flags
  --frames N              frames sampled from each clip, evenly spaced (16)
  --fps N                 sampling rate in frames per second, instead of --frames
  --track N               video track of each clip, counted from 0 (the first enabled one)
  --messages FILE.json    a whole conversation: [{ "role", "content": [{ "type": "image", "image": PATH },
                          { "type": "text", "text": … }] }], paths relative to that file; a clip is
                          { "type": "video", "video": PATH } or { "type": "video", "frames": [PATH, …] }
  --image-mode MODE       auto (one picture: anyres, several: pad), anyres (tiles) or pad (squares)
  --template NAME         checkpoint (its own chat template) or onevision (the prompt format of training)
  --orientation NAME      apply or ignore the EXIF orientation of pictures
  --dtype TYPE            storage dtype of weights: auto, f32, f16, bf16, q8, q4; or by part: vision=q8,language=q4
                          (parts: vision, projector, language, embed)
  --cache-dtype TYPE      storage dtype of the KV cache: auto (f32), f32, f16 or q8
  --system TEXT           system prompt
${ANSWER_HELP}
  --json                  one object on standard output: text, tokens, promptTokens, usage, timings (seconds), adapter, finishReason
  --taps OUT.safetensors  write every named intermediate of the prompt's forward pass, f32
  --debug                 stack traces

Every FILE that is read may be a pipe, a FIFO or a process substitution; one of them, or the question, may be - for standard input.
Text files are UTF-8. The answer goes to standard output, progress and notes to standard error.
`;

const OPTIONS = {
  model: { type: "string" },
  revision: { type: "string" },
  refresh: { type: "boolean" },
  offline: { type: "boolean" },
  image: { type: "string", multiple: true },
  video: { type: "string", multiple: true },
  frames: { type: "string" },
  fps: { type: "string" },
  track: { type: "string" },
  messages: { type: "string" },
  "image-mode": { type: "string" },
  template: { type: "string" },
  orientation: { type: "string" },
  dtype: { type: "string" },
  "cache-dtype": { type: "string" },
  system: { type: "string" },
  ...ANSWER_OPTIONS,
  json: { type: "boolean" },
  taps: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

/** Answers one question or conversation. */
export async function ask(args: string[]): Promise<void> {
  const given = parse("ask", args, OPTIONS);
  if (given.has("help")) {
    process.stdout.write(HELP);
    return;
  }
  try {
    await answer(given);
  } catch (cause) {
    const file = given.value("messages");
    const inMessages = cause instanceof OcellusError && /^(messages|prompt|image|video)\b/.test(cause.fault.where);
    if (file === undefined || !inMessages) throw cause;
    throw new OcellusError(cause.code, {
      ...cause.fault,
      where: `${isStandardInput(file) ? "standard input" : file}: ${cause.fault.where}`,
    });
  }
}

async function answer(given: Arguments): Promise<void> {
  const messages = await conversation(given);
  const options = await generateOptions(given);
  const tapsFile = given.value("taps");
  const json = given.has("json");
  const abort = new AbortController();
  process.once("SIGINT", () => abort.abort());
  const line = new ProgressLine(process.stderr);
  const model = await LlavaOneVision.load(given.value("model") ?? tinyCheckpoint(), {
    signal: abort.signal,
    ...dtypeOption(given),
    ...cacheDtypeOption(given),
    ...hubOptions(given),
    onDownload: (p) => line.bytes(`downloading ${p.file}:`, p.allLoadedBytes, p.allTotalBytes, p.bytesPerSecond),
    onProgress: (p) => line.bytes("loading", p.loadedBytes, p.totalBytes),
  }).finally(() => line.clear());
  try {
    line.clear();
    const system = given.value("system");
    const running = model.createSession(system === undefined ? {} : { system }).generate(messages, {
      ...options,
      signal: abort.signal,
      onProgress: (p) => (p.stage === "decode" ? line.clear() : line.count(p.stage, p.done, p.total)),
      ...(tapsFile !== undefined && { onTaps: (taps: Tap[]) => writeTaps(tapsFile, taps) }),
    });
    for await (const piece of running) {
      line.clear();
      if (!json) process.stdout.write(piece.text);
    }
    const { text, tokens, promptTokens, usage, timings, finishReason, seed } = await running.result;
    const adapter = model.device.facts.name;
    if (json)
      process.stdout.write(
        `${JSON.stringify({ text, tokens, promptTokens, usage, timings, adapter, finishReason, ...(seed !== undefined && { seed }) })}\n`,
      );
    else process.stdout.write("\n");
    if (finishReason === "length")
      process.stderr.write(`(ended at ${tokens.length} tokens; --max-new-tokens allows more)\n`);
  } finally {
    line.clear();
    model.dispose();
  }
}

async function generateOptions(given: Arguments): Promise<GenerateOptions> {
  const options = await answerOptions(given, "ask");
  const imageMode = oneOf(given, "ask", "image-mode", ["auto", "anyres", "pad"] as const);
  if (imageMode) options.imageMode = imageMode;
  const template = oneOf(given, "ask", "template", ["checkpoint", "onevision"] as const);
  if (template) options.template = template;
  const orientation = oneOf(given, "ask", "orientation", ["apply", "ignore"] as const);
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
  const question = given.positionals.join(" ");
  if (file !== undefined) {
    if (media.length > 0 || question !== "") {
      throw new OptionError({
        where: "ocellus ask",
        expected: "either --messages or pictures and a question",
        got: "both",
        remedy: "put the pictures and the question into the messages file",
      });
    }
    return readMessages(file);
  }
  if (question === "") {
    throw new OptionError({
      where: "ocellus ask",
      expected: "a question",
      got: "none",
      remedy: 'run for example: ocellus ask --image photo.jpg "What is in this picture?"',
    });
  }
  const parts: (ImageContent | VideoContent | TextContent)[] = [];
  for (const { name, value } of media) {
    const input = await mediaInput(value!, `--${name}`);
    parts.push(name === "image" ? { type: "image", image: input } : clipPart(input, given));
  }
  const text = question === "-" ? (await readText("-", "the question")).replace(/[\r\n]+$/, "") : question;
  return [{ role: "user", content: [...parts, { type: "text", text }] }];
}

/** Builds the message part of a `--video`, with `--frames`, `--fps` and `--track`. */
function clipPart(video: string | Uint8Array, given: Arguments): VideoContent {
  const frames = given.count("frames");
  const fps = given.value("fps");
  const track = given.count("track", 0);
  return {
    type: "video",
    video,
    ...(frames !== undefined && { frames }),
    ...(fps !== undefined && { fps: Number(fps) }),
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
    return mediaInput(path === "-" || isAbsolute(path) ? path : join(folder, path), "a message");
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
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: "check the folder and its permissions",
      cause,
    });
  }
}
