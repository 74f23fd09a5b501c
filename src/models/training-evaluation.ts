import { throwIfAborted } from "../base/errors.js";
import { sampleLosses } from "../training/sample-step.js";
import { prepareSample, questionOf, type TrainingRecord } from "../training/samples.js";
import type { ModelInternals } from "./chat/model-internals.js";
import { Session } from "./chat/session.js";
import type { TrainPlan } from "./training-options.js";
import type { Evaluation } from "./training-step.js";

/** Tokens that an answer may have beyond the right one's. */
const MORE_TOKENS = 8;

/** Asks each record's question, and computes the loss of its answer. `adapters`: those that are used; all if not given. */
export async function evaluate(
  internals: ModelInternals,
  records: readonly TrainingRecord[],
  plan: Pick<TrainPlan, "template" | "imageMode" | "labels" | "signal">,
  adapters?: readonly string[],
): Promise<Evaluation> {
  const { network, processor, device } = internals;
  const { tokenizer } = processor;
  const answers: { answer: string; expected: string }[] = [];
  let [sum, supervised, exact] = [0, 0, 0];
  for (const record of records) {
    throwIfAborted(plan.signal, "the evaluation");
    const sample = await prepareSample(processor, record, plan);
    const arena = device.arena("evaluation");
    try {
      const losses = await arena.run(() => sampleLosses(network, { ...sample, adapters })).read();
      sum += losses.reduce((total, loss) => total + loss, 0);
      supervised += losses.length;
    } finally {
      arena.dispose();
    }
    const expected = expectedText(record, (ids) => tokenizer.decode(ids, { skipSpecialTokens: true }));
    const session = Session.create(internals, { adapters });
    try {
      const { template, imageMode, signal } = plan;
      const { text } = await session.generate(await questionOf(record), {
        maxNewTokens: tokenizer.encode(expected).length + MORE_TOKENS,
        signal,
        ...(template && { template }),
        ...(imageMode && { imageMode }),
      }).result;
      answers.push({ answer: text, expected });
      exact += Number(text.trim() === expected.trim());
    } finally {
      session.dispose();
    }
  }
  return { loss: sum / supervised, exactMatch: exact / records.length, answers };
}

function expectedText({ messages }: TrainingRecord, decode: (ids: readonly number[]) => string): string {
  const { content } = messages.at(-1)!;
  if (typeof content === "string") return content;
  return content
    .map((part) => (part.type === "tokens" ? decode(part.tokens) : part.type === "text" ? part.text : ""))
    .join("");
}
