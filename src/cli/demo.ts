import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LlavaOneVision } from "../models/llava-onevision.js";
import type { Command } from "./command.js";
import { tinyCheckpoint, tinyExamples } from "./tiny-checkpoint.js";

/** Answers the bundled questions and compares each answer with the reference implementation's. */
export const demo: Command = {
  name: "demo",
  usage: "",
  about: `Asks the embedded toy about bundled pictures: shapes, a number, a chart, a table,
numbered marks, what changed between two pictures, and a clip.`,
  options: {},
  examples: ["ocellus demo"],
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
const KINDS = ["shapes", "number", "chart", "table", "marks", "pair", "clip"];

async function show(): Promise<void> {
  const started = performance.now();
  const out = process.stdout;
  const { examples } = JSON.parse(await readFile(join(tinyExamples(), "examples.json"), "utf8")) as {
    examples: Example[];
  };
  const model = await LlavaOneVision.load(tinyCheckpoint());
  try {
    out.write(`adapter  ${model.device.facts.name}\n`);
    out.write(`model    the embedded tiny checkpoint, loaded in ${seconds(performance.now() - started)}\n`);
    let same = 0;
    let asked = 0;
    for (const kind of KINDS) {
      const example = examples.find((e) => e.kind === kind);
      if (!example) continue;
      out.write(`\n${example.files.join(", ")}\n`);
      for (const turn of example.turns) {
        const session = model.createSession();
        out.write(`  ${turn.question}\n  > `);
        const media = example.files.map((file) => {
          const path = join(tinyExamples(), file);
          return example.video
            ? { type: "video" as const, video: path, ...(example.frames !== null && { frames: example.frames }) }
            : { type: "image" as const, image: path };
        });
        const answer = session.generate([{ role: "user", content: [...media, { type: "text", text: turn.question }] }]);
        for await (const piece of answer) out.write(piece.text);
        const { text, usage, timings } = await answer.result;
        const equal = text === turn.reference_answer;
        same += equal ? 1 : 0;
        asked++;
        out.write(equal ? "   (as the reference)\n" : `   (the reference says: ${turn.reference_answer})\n`);
        out.write(
          `    ${usage.promptTokens} + ${usage.completionTokens} tokens · vision ${timings.vision.toFixed(2)} s · ` +
            `prefill ${timings.prefill.toFixed(2)} s · decode ${timings.decode.toFixed(2)} s\n`,
        );
        session.dispose();
      }
    }
    out.write(`\n${same} of ${asked} answers equal the reference's, in ${seconds(performance.now() - started)}.\n`);
    if (same !== asked) process.exitCode = 1;
  } finally {
    model.dispose();
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
