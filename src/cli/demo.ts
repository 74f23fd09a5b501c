import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { freshDrawing, KINDS } from "../drawings/fresh.js";
import type { ContentPart } from "../models/chat/conversation.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import type { Arguments, Command } from "./command.js";
import type { Interruption } from "./interruption.js";
import { terminalPictures } from "./terminal-picture.js";
import { tinyCheckpoint, tinyExamples } from "./tiny-checkpoint.js";

/** Answers questions about bundled pictures, as the reference implementation does, and about drawings made on the spot. */
export const demo: Command = {
  name: "demo",
  usage: "[options]",
  about: `Asks the embedded toy about bundled pictures and clips, and about drawings made on the
spot: shapes, numbers, charts, tables, numbered marks, changes, screenshots, clips.`,
  options: {
    drawings: { value: "N", help: "fresh drawings, one question each (20)" },
    seed: { value: "N", help: "seed of the first (random); the next has the next number" },
  },
  examples: ["ocellus demo", "ocellus demo --drawings 100 --seed 7"],
  run: show,
};

/** One example of the checkpoint: pictures, questions, and what the reference implementation answers. */
interface Example {
  readonly kind: string;
  readonly files: readonly string[];
  readonly video: boolean;
  /** Frames of the clip; the reference used every one. */
  readonly frames: number | null;
  readonly turns: readonly { readonly question: string; readonly reference_answer: string }[];
}

/** The kinds of examples shown, in order, one of each. */
const SHOWN = ["shapes", "number", "chart", "table", "marks", "pair", "clip"];
/** Columns of a picture in the terminal, and of one of several. */
const COLUMNS = { one: 36, several: 18 } as const;
/** Frames of a clip that the terminal shows. */
const FRAMES = 4;

async function show(given: Arguments, { signal }: Interruption): Promise<void> {
  const drawings = given.count("drawings", 0) ?? 20;
  const seed = given.count("seed", 0) ?? Math.floor(Math.random() * 1e6);
  const started = performance.now();
  const out = process.stdout;
  const model = await LlavaOneVision.load(tinyCheckpoint(), { signal });
  try {
    out.write(`adapter  ${model.device.facts.name}\n`);
    out.write(`model    the embedded tiny checkpoint, loaded in ${seconds(performance.now() - started)}\n`);
    const { same, asked } = await answerExamples(model, signal);
    const right = await answerDrawings(model, drawings, seed, signal);
    out.write(`\n${same} of ${asked} answers about bundled pictures equal the reference's.\n`);
    if (drawings > 0) {
      const last = seed + drawings - 1;
      out.write(`${right} of the last ${drawings} fresh drawings answered right (seeds ${seed} to ${last}).\n`);
    }
    out.write(`All in ${seconds(performance.now() - started)}.\n`);
    if (same !== asked) process.exitCode = 1;
  } finally {
    model.dispose();
  }
}

/** Asks the questions of the bundled examples, and compares with the reference implementation. */
async function answerExamples(model: LlavaOneVision, signal: AbortSignal): Promise<{ same: number; asked: number }> {
  const out = process.stdout;
  const { examples } = JSON.parse(await readFile(join(tinyExamples(), "examples.json"), "utf8")) as {
    examples: Example[];
  };
  let same = 0;
  let asked = 0;
  for (const kind of SHOWN) {
    const example = examples.find((e) => e.kind === kind);
    if (!example) continue;
    out.write(`\n${example.files.join(", ")}\n`);
    const media = example.files.map((file): ContentPart => {
      const path = join(tinyExamples(), file);
      return example.video
        ? { type: "video", video: path, ...(example.frames !== null && { frames: example.frames }) }
        : { type: "image", image: path };
    });
    for (const { question, reference_answer: expected } of example.turns) {
      const { text, details } = await ask(model, media, question, signal);
      const equal = text === expected;
      if (equal) same++;
      asked++;
      out.write(equal ? "   (as the reference)\n" : `   (the reference says: ${expected})\n`);
      out.write(`    ${details}\n`);
    }
  }
  return { same, asked };
}

/** Draws and asks one question each; returns how many answers are right. */
async function answerDrawings(
  model: LlavaOneVision,
  count: number,
  firstSeed: number,
  signal: AbortSignal,
): Promise<number> {
  const out = process.stdout;
  const inColor = out.isTTY && out.getColorDepth() === 24;
  let right = 0;
  for (let i = 0; i < count; i++) {
    const seed = firstSeed + i;
    const kind = KINDS[i % KINDS.length]!;
    const { pictures, clips, turns } = freshDrawing(kind, seed);
    const { question, answer } = turns[seed % turns.length]!;
    out.write(`\na fresh drawing: ${kind}, seed ${seed}\n`);
    if (inColor) {
      const rows = clips.length > 0 ? clips.map((frames) => frames.slice(0, FRAMES)) : [pictures];
      for (const row of rows) out.write(`${terminalPictures(row, row.length > 1 ? COLUMNS.several : COLUMNS.one)}\n`);
    }
    const media: ContentPart[] = [
      ...pictures.map((image) => ({ type: "image" as const, image })),
      ...clips.map((video) => ({ type: "video" as const, video, frames: video.length })),
    ];
    const { text } = await ask(model, media, question, signal);
    if (text === answer) right++;
    out.write(text === answer ? "   (right)\n" : `   (wrong: ${answer})\n`);
  }
  return right;
}

/** Asks in a session of its own, and writes question and answer as it comes. */
async function ask(
  model: LlavaOneVision,
  media: readonly ContentPart[],
  question: string,
  signal: AbortSignal,
): Promise<{ text: string; details: string }> {
  const out = process.stdout;
  out.write(`  ${question}\n  > `);
  const session = model.createSession();
  try {
    const content = [...media, { type: "text" as const, text: question }];
    const answer = session.generate([{ role: "user", content }], { signal });
    for await (const piece of answer) out.write(piece.text);
    const { text, usage, timings } = await answer.result;
    const details =
      `${usage.promptTokens} + ${usage.completionTokens} tokens · vision ${timings.vision.toFixed(2)} s · ` +
      `prefill ${timings.prefill.toFixed(2)} s · decode ${timings.decode.toFixed(2)} s`;
    return { text, details };
  } finally {
    session.dispose();
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
