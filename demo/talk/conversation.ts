import { computed, effect, signal } from "@preact/signals";
import type { Answer, AnswerAttention, AnswerProgress, AnswerResult, AttentionOptions, ChatMessage } from "ocellus";
import type { WorkerSession } from "ocellus/worker";
import { isCode, type ShownFault, shown } from "../fault.js";
import { type Attachment, partOf } from "./media.js";
import { adapters, answering, model, recover, showReload, state } from "./model.js";
import { generateOptions, settings } from "./settings.js";

/** The parts of a result that the page shows. */
export type ReplyResult = Pick<AnswerResult, "text" | "finishReason" | "usage" | "timings">;

/** The answer of the model so far, and its state. */
export interface Reply {
  /** "interrupted": the page was closed or reloaded before the answer's end. */
  readonly phase: "waiting" | "working" | "writing" | "done" | "interrupted" | "failed";
  /** The streamed pieces, one token each. */
  readonly pieces: readonly string[];
  readonly progress?: AnswerProgress;
  /** Seconds from the question to the first token. */
  readonly firstTokenSeconds?: number;
  readonly result?: ReplyResult;
  readonly error?: ShownFault;
}

/** A question with its answer. */
export interface Turn {
  readonly id: string;
  readonly text: string;
  readonly media: readonly Attachment[];
  /** The right answer, where it is known. */
  readonly expected?: string;
  readonly reply: Reply;
}

export const turns = signal<readonly Turn[]>([]);
export const busy = computed(() => turns.value.some(({ reply }) => !hasEnded(reply)));
/** Number of tokens of the conversation in the context. */
export const usedTokens = computed(
  () => turns.value.findLast(({ reply }) => reply.result)?.reply.result?.usage.totalTokens,
);

const ENDED: readonly Reply["phase"][] = ["done", "interrupted", "failed"];
/** Whether nothing more comes of an answer by itself. */
export function hasEnded({ phase }: Reply): boolean {
  return ENDED.includes(phase);
}

const WAITING: Reply = { phase: "waiting", pieces: [] };

let session: WorkerSession | undefined;
let answer: Answer | undefined;
/** The turn that the session answered last; only this one has an attention map. */
export const answered = signal<string | undefined>(undefined);

effect(() => {
  answering.value = busy.value;
});

// A session belongs to its model; the page owns the conversation and continues it with the next model.
effect(() => {
  const loaded = model.value;
  session = loaded?.createSession({ adapters: adapters.value });
  answered.value = undefined;
  return () => {
    session?.dispose();
    session = undefined;
  };
});

/** Attention maps that are being computed: a question that is sent meanwhile ends them. */
let attending: { readonly abort: AbortController; readonly ended: Promise<unknown> } | undefined;

/** Attention maps of the last answer. Throws what `session.attention` throws; AbortedError when a question is sent. */
export async function attend(options: AttentionOptions): Promise<AnswerAttention | undefined> {
  const abort = new AbortController();
  const running = session?.attention({ ...options, signal: abort.signal });
  attending = running && { abort, ended: running.catch(() => {}) };
  return running?.finally(() => {
    if (attending?.abort === abort) attending = undefined;
  });
}

/** The session of the loaded model. */
export function currentSession(): WorkerSession | undefined {
  return session;
}

/** The question of a turn as the model gets it: pictures and clips before the text. */
export function messageOf(text: string, media: readonly Attachment[]): ChatMessage {
  return { role: "user", content: [...media.map(partOf), ...(text === "" ? [] : [{ type: "text" as const, text }])] };
}

/** The text of an answer so far. */
export function textOf({ result, pieces }: Reply): string {
  return result?.text ?? pieces.join("");
}

/** The system prompt, and the messages of all answered turns before `end`. */
export function history(end = turns.value.length): ChatMessage[] {
  const { system } = settings.value;
  const before = turns.value.slice(0, end).flatMap(({ text, media, reply }) => {
    const said = textOf(reply);
    if (reply.phase === "failed" || said === "") return [];
    return [messageOf(text, media), { role: "assistant" as const, content: said }];
  });
  return [...(system === "" ? [] : [{ role: "system" as const, content: system }]), ...before];
}

/** Asks a question, with pictures and clips before it; `expected` is the right answer, where it is known. */
export async function ask(text: string, media: readonly Attachment[], expected?: string): Promise<void> {
  forget();
  const id = crypto.randomUUID();
  const turn: Turn = { id, text, media, ...(expected !== undefined && { expected }), reply: WAITING };
  turns.value = [...turns.value, turn];
  await answerTo(turn.id);
}

/** Answers the last turn once more. */
export async function retry(id: string): Promise<void> {
  forget();
  update(id, WAITING);
  await answerTo(id);
}

/** Continues an answer that was stopped, interrupted or at its length limit. */
export async function resume(id: string): Promise<void> {
  const before = turns.value.find((turn) => turn.id === id)?.reply.pieces ?? [];
  update(id, { phase: "waiting", pieces: before });
  await answerTo(id, before);
}

/** The turn that was deleted last, and where it was. */
export const removed = signal<{ readonly turn: Turn; readonly at: number } | undefined>(undefined);

/** Deletes a turn; it can come back until something else is asked or deleted. */
export function remove(id: string): void {
  forget();
  const at = turns.value.findIndex((turn) => turn.id === id);
  const turn = turns.value[at];
  if (!turn) return;
  removed.value = { turn, at };
  turns.value = turns.value.filter((other) => other !== turn);
}

/** Brings the deleted turn back. */
export function undoRemove(): void {
  if (!removed.value) return;
  const { turn, at } = removed.value;
  removed.value = undefined;
  turns.value = [...turns.value.slice(0, at), turn, ...turns.value.slice(at)];
}

function forget(): void {
  if (removed.value) release([removed.value.turn]);
  removed.value = undefined;
}

/** The turn whose answer was stopped before it began: it waits for an attention map to end. */
let stoppedEarly: string | undefined;

/** When the running answer was asked for, by `performance.now()`. */
export let askedAt = 0;

/** Ends the answer early. */
export function stop(): void {
  if (answer) answer.stop();
  else stoppedEarly = turns.value.find(({ reply }) => !hasEnded(reply))?.id;
}

/** The figures of an answer that the model did not compute here. */
export const NOT_COMPUTED: Pick<ReplyResult, "usage" | "timings"> = {
  usage: {
    promptTokens: 0,
    visualTokens: 0,
    reusedTokens: 0,
    tiles: 0,
    completionTokens: 0,
    draftedTokens: 0,
    acceptedTokens: 0,
    totalTokens: 0,
  },
  timings: { preprocess: 0, vision: 0, prefill: 0, decode: 0, total: 0 },
};

/** Shows another conversation, in a new session, because a running answer may take a moment to end. */
export function show(next: readonly Turn[]): void {
  const old = session;
  forget();
  release(turns.value.filter((turn) => !next.includes(turn)));
  turns.value = next;
  answered.value = undefined;
  session = model.value?.createSession({ adapters: adapters.value });
  old?.dispose();
}

/** Releases the object URLs of deleted turns. */
function release(gone: readonly Turn[]): void {
  for (const { url } of gone.flatMap(({ media }) => media)) URL.revokeObjectURL(url.value);
}

/** Replaces the reply of a turn, unless the turn was deleted. */
function update(id: string, reply: Reply | ((before: Reply) => Reply)): void {
  turns.value = turns.value.map((turn) =>
    turn.id === id ? { ...turn, reply: typeof reply === "function" ? reply(turn.reply) : reply } : turn,
  );
}

/** The fault with the file's name in the place of "image 2" or "video 1", which count over all media. */
export function named(fault: ShownFault, media: readonly Attachment[]): ShownFault {
  const { detail = "" } = fault;
  const [label, kind, number] = /\b(image|video) (\d+)\b/.exec(detail) ?? [];
  if (label === undefined) return fault;
  const file = media.filter((medium) => medium.kind === kind)[Number(number) - 1]?.file.name;
  return file === undefined ? fault : { ...fault, file, detail: detail.replace(label, file) };
}

async function answerTo(id: string, before: readonly string[] = []): Promise<void> {
  const own = session;
  const at = turns.value.findIndex((turn) => turn.id === id);
  const turn = turns.value[at];
  if (!own || !turn) return;
  const asked = performance.now();
  askedAt = asked;
  answered.value = undefined;
  if (attending) {
    attending.abort.abort();
    await attending.ended;
  }
  if (stoppedEarly === id) {
    stoppedEarly = undefined;
    const result = { text: before.join(""), finishReason: "stopped" as const, ...NOT_COMPUTED };
    update(id, { phase: "done", pieces: before, result });
    return;
  }
  try {
    const running = own.generate([...history(at), messageOf(turn.text, turn.media)], {
      ...generateOptions(),
      ...(before.length > 0 && { answerPrefix: before.join("") }),
      onProgress: (progress) => {
        showReload(progress.stage === "reload" ? progress : undefined);
        update(id, (reply) =>
          progress.stage === "decode" ? { ...reply, progress } : { ...reply, phase: "working", progress },
        );
      },
    });
    answer = running;
    const pieces = [...before];
    for await (const { text, token } of running) {
      if (token !== undefined || text !== "") pieces.push(text);
      const first = pieces.length === before.length + 1 && { firstTokenSeconds: (performance.now() - asked) / 1000 };
      update(id, (reply) => ({ ...reply, phase: "writing", pieces: [...pieces], ...first }));
    }
    const { text, finishReason, usage, timings } = await running.result;
    const result = { text: before.join("") + text, finishReason, usage, timings };
    update(id, (reply) => ({ ...reply, phase: "done", result }));
    if (before.length === 0) answered.value = id;
  } catch (error) {
    const seen = turns.value.slice(0, at + 1).flatMap(({ media }) => media);
    update(id, (reply) => ({ ...reply, phase: "failed", error: named(shown(error), seen) }));
    // The conversation stays, and the question can be asked again once the model is loaded again.
    const isGone = isCode(error, "DEVICE_LOST", "WORKER") || state.value.phase === "reloading";
    if (isGone && own === session) await recover();
  } finally {
    showReload();
    if (answer && own === session) answer = undefined;
  }
}
