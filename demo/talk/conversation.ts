import { computed, effect, signal } from "@preact/signals";
import type { Answer, AnswerProgress, AnswerResult, ChatMessage } from "ocellus";
import type { WorkerSession } from "ocellus/worker";
import { isCode } from "../fault.js";
import { type Attachment, partOf } from "./media.js";
import { model, recover } from "./model.js";

/** What the model has said so far, and how it went. */
export interface Reply {
  readonly phase: "waiting" | "working" | "writing" | "done" | "failed";
  /** The pieces as they came, a token each. */
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
  /** The question as the model gets it. */
  readonly message: ChatMessage;
  readonly reply: Reply;
}

export interface Settings {
  readonly maxNewTokens: number;
  /** 0 takes the most probable token each time. */
  readonly temperature: number;
}

export const settings = signal<Settings>({ maxNewTokens: 256, temperature: 0 });
export const turns = signal<readonly Turn[]>([]);
export const busy = computed(() => turns.value.some(({ reply }) => !ENDED.includes(reply.phase)));
/** Tokens of the context that the conversation takes. */
export const usedTokens = computed(
  () => turns.value.findLast(({ reply }) => reply.result)?.reply.result?.usage.totalTokens,
);

const ENDED: readonly Reply["phase"][] = ["done", "failed"];
const WAITING: Reply = { phase: "waiting", pieces: [] };

let session: WorkerSession | undefined;
let answer: Answer | undefined;
let named = 0;
/** The turn that the session answered last: what it looked at can be asked for. */
export const answered = signal<number | undefined>(undefined);

// A session belongs to its model; the conversation is the page's own, and goes on with the next one.
effect(() => {
  const loaded = model.value;
  session = loaded?.createSession();
  answered.value = undefined;
  return () => {
    session?.dispose();
    session = undefined;
  };
});

/** The session of the model that is loaded. */
export function currentSession(): WorkerSession | undefined {
  return session;
}

/** The messages of all turns before `end` that were answered. */
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

/** Answers a turn once more; what came after it is forgotten. */
export async function retry(id: number): Promise<void> {
  const at = turns.value.findIndex((turn) => turn.id === id);
  forget(turns.value.slice(at + 1));
  turns.value = turns.value.slice(0, at + 1).map((turn, i) => (i === at ? { ...turn, reply: WAITING } : turn));
  await answerTo(id);
}

/** Ends the answer where it is. */
export function stop(): void {
  answer?.stop();
}

/** Begins another conversation, in a session of its own: an answer that is running may take a moment to end. */
export function clear(): void {
  const old = session;
  forget(turns.value);
  turns.value = [];
  answered.value = undefined;
  session = model.value?.createSession();
  old?.dispose();
}

/** Gives the files of turns back that are no longer shown. */
function forget(gone: readonly Turn[]): void {
  for (const { url } of gone.flatMap(({ media }) => media)) URL.revokeObjectURL(url);
}

/** Tells the turn that it has another reply, unless it was cleared away. */
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
    // What was said stays, and the question can be asked again once the model is back.
    if (isCode(error, "DEVICE_LOST", "WORKER") && own === session) await recover();
  } finally {
    if (answer && own === session) answer = undefined;
  }
}
