import { computed, effect, signal } from "@preact/signals";
import type { Answer, AnswerProgress, AnswerResult, ChatMessage } from "ocellus";
import type { WorkerSession } from "ocellus/worker";
import { isCode } from "../fault.js";
import { type Attachment, partOf } from "./media.js";
import { model, recover } from "./model.js";

/** The answer of the model so far, and its state. */
export interface Reply {
  readonly phase: "waiting" | "working" | "writing" | "done" | "failed";
  /** The streamed pieces, one token each. */
  readonly pieces: readonly string[];
  readonly progress?: AnswerProgress;
  /** Seconds from the question to the first token. */
  readonly firstTokenSeconds?: number;
  readonly result?: AnswerResult;
  readonly error?: unknown;
}

/** A question with its answer. */
export interface Turn {
  readonly id: number;
  readonly text: string;
  readonly media: readonly Attachment[];
  /** The question as sent to the model. */
  readonly message: ChatMessage;
  readonly reply: Reply;
}

export interface Settings {
  readonly maxNewTokens: number;
  /** Sampling temperature; 0 means greedy decoding. */
  readonly temperature: number;
}

export const settings = signal<Settings>({ maxNewTokens: 256, temperature: 0 });
export const turns = signal<readonly Turn[]>([]);
export const busy = computed(() => turns.value.some(({ reply }) => !ENDED.includes(reply.phase)));
/** Number of tokens of the conversation in the context. */
export const usedTokens = computed(
  () => turns.value.findLast(({ reply }) => reply.result)?.reply.result?.usage.totalTokens,
);

const ENDED: readonly Reply["phase"][] = ["done", "failed"];
const WAITING: Reply = { phase: "waiting", pieces: [] };

let session: WorkerSession | undefined;
let answer: Answer | undefined;
let named = 0;
/** The turn that the session answered last; only this one has an attention map. */
export const answered = signal<number | undefined>(undefined);

// A session belongs to its model; the page owns the conversation and continues it with the next model.
effect(() => {
  const loaded = model.value;
  session = loaded?.createSession();
  answered.value = undefined;
  return () => {
    session?.dispose();
    session = undefined;
  };
});

/** The session of the loaded model. */
export function currentSession(): WorkerSession | undefined {
  return session;
}

/** The messages of all answered turns before `end`. */
export function history(end = turns.value.length): ChatMessage[] {
  return turns.value.slice(0, end).flatMap(({ message, reply }) => {
    const text = reply.result?.text;
    return text === undefined ? [] : [message, { role: "assistant" as const, content: text }];
  });
}

/** Asks a question, with pictures and clips before it. */
export async function ask(text: string, media: readonly Attachment[]): Promise<void> {
  const content = [...media.map(partOf), ...(text === "" ? [] : [{ type: "text" as const, text }])];
  const turn: Turn = { id: ++named, text, media, message: { role: "user", content }, reply: WAITING };
  turns.value = [...turns.value, turn];
  await answerTo(turn.id);
}

/** Answers a turn once more; later turns are deleted. */
export async function retry(id: number): Promise<void> {
  const at = turns.value.findIndex((turn) => turn.id === id);
  release(turns.value.slice(at + 1));
  turns.value = turns.value.slice(0, at + 1).map((turn, i) => (i === at ? { ...turn, reply: WAITING } : turn));
  await answerTo(id);
}

/** Ends the answer early. */
export function stop(): void {
  answer?.stop();
}

/** Begins a new conversation in a new session, because a running answer may take a moment to end. */
export function clear(): void {
  const old = session;
  release(turns.value);
  turns.value = [];
  answered.value = undefined;
  session = model.value?.createSession();
  old?.dispose();
}

/** Releases the object URLs of deleted turns. */
function release(gone: readonly Turn[]): void {
  for (const { url } of gone.flatMap(({ media }) => media)) URL.revokeObjectURL(url);
}

/** Changes the reply of a turn, unless the turn was deleted. */
function update(id: number, change: Partial<Reply>): void {
  turns.value = turns.value.map((turn) => (turn.id === id ? { ...turn, reply: { ...turn.reply, ...change } } : turn));
}

async function answerTo(id: number): Promise<void> {
  const own = session;
  const at = turns.value.findIndex((turn) => turn.id === id);
  const turn = turns.value[at];
  if (!own || !turn) return;
  const asked = performance.now();
  const { maxNewTokens, temperature } = settings.value;
  answered.value = undefined;
  try {
    const running = own.generate([...history(at), turn.message], {
      maxNewTokens,
      ...(temperature > 0 && { temperature }),
      onProgress: (progress) => update(id, progress.stage === "decode" ? { progress } : { phase: "working", progress }),
    });
    answer = running;
    const pieces: string[] = [];
    for await (const { text, token } of running) {
      if (token !== undefined || text !== "") pieces.push(text);
      const first = pieces.length === 1 && { firstTokenSeconds: (performance.now() - asked) / 1000 };
      update(id, { phase: "writing", pieces: [...pieces], ...first });
    }
    const result = await running.result;
    update(id, { phase: "done", result });
    answered.value = id;
  } catch (error) {
    if (!turns.value.some((turn) => turn.id === id)) return;
    update(id, { phase: "failed", error });
    // The conversation stays, and the question can be asked again once the model is loaded again.
    if (isCode(error, "DEVICE_LOST", "WORKER") && own === session) await recover();
  } finally {
    if (answer && own === session) answer = undefined;
  }
}
