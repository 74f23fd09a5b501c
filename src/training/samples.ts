import { ContextOverflowError, OptionError, PromptError, shown } from "../base/errors.js";
import { blanks } from "../models/llava-onevision/literal-text.js";
import type { ChatMessage, PreparedMedium, Processor, ProcessorOptions } from "../models/llava-onevision/processor.js";
import type { TokensContent } from "../scoring/records.js";
import type { Supervision } from "./language-step.js";
import { atRecord } from "./record-faults.js";

/** A message of a record; the last one is the assistant's, a text or token ids. */
export type TrainingMessage = ChatMessage | { role: "assistant"; content: readonly TokensContent[] };

/** A conversation to learn from. */
export interface TrainingRecord {
  readonly messages: readonly TrainingMessage[];
  /** Where it comes from, for messages: file and line. */
  readonly where?: string;
  /** Reads pictures that stay in a file until they are needed, as those of Parquet: returns the messages with their bytes. */
  readonly load?: () => Promise<readonly TrainingMessage[]>;
}

/**
 * Which tokens are supervised: "answer", the assistant's answers and the `<|im_end|>` after each; "llava-next", what the family's training
 * code supervises: whole turns of the assistant, and every `<|im_start|>`, `<|im_end|>` and line feed.
 */
export type Labels = "answer" | "llava-next";

export interface SampleOptions extends Pick<ProcessorOptions, "template" | "imageMode" | "signal"> {
  readonly labels?: Labels | undefined;
}

/** A record, ready for the GPU. */
export interface Sample {
  readonly inputIds: readonly number[];
  readonly media: readonly PreparedMedium[];
  readonly supervision: Supervision;
}

/** Throws PromptError unless a record ends with an answer of the assistant. Reads no media. */
export function checkRecord({ messages, where = "record" }: TrainingRecord): void {
  const last = Array.isArray(messages) ? messages.at(-1) : undefined;
  const fault = (expected: string, got: string): PromptError =>
    new PromptError({ where, expected, got, remedy: 'end it with { "role": "assistant", "content": "…" }' });
  if (last?.role !== "assistant") throw fault("an answer as the last message", last ? `one of ${last.role}` : "none");
  if (messages.length < 2) throw fault("a question before the answer", "none");
  const parts = typeof last.content === "string" ? [{ type: "text", text: last.content } as const] : last.content;
  if (!Array.isArray(parts)) throw fault("a text, or a list of parts", shown(parts));
  const isText = parts.length > 0 && parts.every((part) => part.type === "text" && typeof part.text === "string");
  const isTokens = parts.length === 1 && parts[0]!.type === "tokens";
  if (!isText && !isTokens) throw fault("an answer of text, or of tokens alone", shown(parts.map(({ type }) => type)));
  const tokens = isTokens ? (parts[0] as TokensContent).tokens : [];
  if (!Array.isArray(tokens) || tokens.some((id) => !Number.isInteger(id) || id < 0)) {
    throw fault("tokens as a list of ids", shown(tokens));
  }
}

/** The messages before the answer, with all pictures and clips. */
export async function questionOf({ messages, load }: TrainingRecord): Promise<ChatMessage[]> {
  return (load ? await load() : messages).slice(0, -1) as ChatMessage[];
}

/** Prepares a record. Throws PromptError, MediaError, SourceError, which name the record; ContextOverflowError, AbortedError. */
export async function prepareSample(
  processor: Processor,
  record: TrainingRecord,
  { labels = "answer", ...options }: SampleOptions,
): Promise<Sample> {
  checkRecord(record);
  const { tokenizer, config } = processor;
  const answer = record.messages.at(-1)!.content;
  const prompt = await questionOf(record)
    .then((question) => processor.prepare(question, options))
    .catch((error: unknown) => {
      throw atRecord(error, record.where);
    });
  const { start, end, lineFeed } = markersOf(processor);
  const answerIds = idsOf(answer, (text) => tokenizer.encode(text, blanks(text)));
  const ids = [...prompt.inputIds, ...answerIds, end, ...(labels === "llava-next" ? [lineFeed] : [])];
  if (ids.length > config.text.maxPositions) {
    throw new ContextOverflowError(
      {
        where: record.where ?? "record",
        expected: `at most ${config.text.maxPositions} tokens`,
        got: `${ids.length}`,
        remedy: "leave the record out, or train with fewer frames or smaller pictures",
      },
      ids.length,
      config.text.maxPositions,
    );
  }
  const supervised = new Array<boolean>(ids.length).fill(false);
  supervised.fill(true, prompt.inputIds.length, prompt.inputIds.length + answerIds.length + 1);
  for (const [at, id] of ids.entries()) {
    if (id !== start) continue;
    const body = bodyOf(ids, at, (id) => tokenizer.decode([id]));
    const last = ids.indexOf(end, body.first);
    // The last turn's answer is known already: its text may have any form.
    if (body.role === "assistant" && last >= 0 && last < prompt.inputIds.length)
      supervised.fill(true, body.first, last + 1);
    if (body.role === "assistant" && labels === "llava-next") supervised.fill(true, at, body.first);
  }
  if (labels === "llava-next") {
    for (const [i, id] of ids.entries()) if (id === start || id === end || id === lineFeed) supervised[i] = true;
  }
  // What comes first is predicted by no row.
  const places = ids.flatMap((_, i) => (i > 0 && supervised[i] ? [i] : []));
  return {
    inputIds: ids,
    media: prompt.media,
    supervision: { rows: places.map((i) => i - 1), ids: places.map((i) => ids[i]!) },
  };
}

function idsOf(content: TrainingMessage["content"], encode: (text: string) => number[]): readonly number[] {
  if (typeof content === "string") return encode(content);
  const [first] = content;
  if (first?.type === "tokens") return first.tokens;
  return encode(content.map((part) => (part.type === "text" ? part.text : "")).join(""));
}

interface Markers {
  readonly start: number;
  readonly end: number;
  readonly lineFeed: number;
}

function markersOf({ tokenizer }: Processor): Markers {
  const [start, end] = ["<|im_start|>", "<|im_end|>"].map((token) => tokenizer.idOf(token));
  const [lineFeed] = tokenizer.encode("\n");
  if (start !== undefined && end !== undefined && lineFeed !== undefined) return { start, end, lineFeed };
  throw new OptionError({
    where: "training, tokenizer",
    expected: "the tokens <|im_start|> and <|im_end|>",
    got: "a tokenizer without them",
    remedy: "train a checkpoint of LLaVA-OneVision",
  });
}

/** The role of the turn whose `<|im_start|>` is at `at`, and where its text begins: after the line feed of its header. */
function bodyOf(ids: readonly number[], at: number, decode: (id: number) => string): { role: string; first: number } {
  let header = "";
  let first = at + 1;
  while (first < ids.length && first < at + LONGEST_HEADER && !header.includes("\n")) header += decode(ids[first++]!);
  return { role: header.trim(), first };
}

/** Tokens of a header, such as "assistant", a space and a line feed. */
const LONGEST_HEADER = 16;
