import { OcellusError, throwIfAborted } from "../base/errors.js";
import { checkOptions } from "../base/options.js";
import type { Answer, AnswerProgress } from "../models/chat/answer.js";
import type { ChatModel, ChatSession } from "../models/chat/chat-model.js";
import { checkPromptOptions, type GenerateOptions } from "../models/chat/generate-options.js";
import type { SpecialTokens } from "../models/llava-onevision/literal-text.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import { type Lease, SessionPool } from "./session-pool.js";

/** Options of the sessions that answer requests. */
export interface AnswerRunsOptions {
  /** Sessions cached between requests, so that follow-up requests reuse the KV cache; 1 if not given. */
  keepSessions?: number;
  /** As in `PromptOptions`, for all requests; requests cannot change it. "literal" if not given. */
  specialTokens?: SpecialTokens;
}

/** What to answer. */
export interface AnswerRequest {
  /** The call, for errors. */
  readonly where: string;
  /** The conversation as the client sent it: chooses the session that has most of it in its cache. */
  readonly conversation: readonly unknown[];
  /** Reads the messages, and options that depend on them. */
  readonly read: (signal: AbortSignal) => Promise<{ messages: readonly ChatMessage[]; options?: GenerateOptions }>;
  readonly options: GenerateOptions;
  /** Number of answers; 1 if not given. */
  readonly count?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Answers that are being generated. */
export interface AnswerRun {
  /** All but the first begin when its prompt is computed, and generate together; after a failure the others reject too. */
  readonly answers: readonly [Promise<Answer>, ...Promise<Answer>[]];
  readonly abort: () => void;
}

/** Answers requests that carry the whole conversation, with sessions that are cached between them. */
export class AnswerRuns {
  readonly #pool: SessionPool;
  readonly #specialTokens: SpecialTokens;

  /** `where`: the class, for errors. Throws OptionError. */
  constructor(
    readonly model: ChatModel,
    where: string,
    { keepSessions = 1, specialTokens = "literal" }: AnswerRunsOptions,
  ) {
    checkPromptOptions(where, { specialTokens });
    this.#pool = new SessionPool(model, keepSessions);
    this.#specialTokens = specialTokens;
  }

  /** Starts the answers, and returns when the prompt is prepared, so that its errors are thrown here. */
  async start({ where, conversation, read, options, count = 1, signal }: AnswerRequest): Promise<AnswerRun> {
    throwIfAborted(signal, where);
    const abort = new AbortController();
    const forward = (): void => abort.abort(signal?.reason);
    signal?.addEventListener("abort", forward, { once: true });
    let lease: Lease | undefined;
    const forks: ChatSession[] = [];
    const end = (sound: boolean): void => {
      signal?.removeEventListener("abort", forward);
      for (const fork of forks.splice(0)) fork.dispose();
      lease?.giveBack(sound);
      lease = undefined;
    };
    try {
      const { messages, options: more } = await read(abort.signal);
      throwIfAborted(abort.signal, where);
      lease = this.#pool.take(conversation);
      const { session } = lease;
      let begin = (): void => {};
      const begun = new Promise<void>((resolve) => {
        begin = resolve;
      });
      let decode = (): void => {};
      const decoding = new Promise<void>((resolve) => {
        decode = resolve;
      });
      const progress = ({ stage }: AnswerProgress): void => {
        begin();
        if (stage === "decode") decode();
      };
      // Errors of options are thrown at once.
      const first = session.generate(messages, this.#optionsOf({ ...options, ...more }, 0, abort.signal, progress));
      const answers: [Promise<Answer>, ...Promise<Answer>[]] = [Promise.resolve(first)];
      for (let index = 1; index < count; index++) {
        // A fork has the prompt's rows of the cache.
        const next = Promise.race([decoding, first.result]).then(() => {
          const fork = session.clone();
          forks.push(fork);
          return fork.generate(messages, this.#optionsOf({ ...options, ...more }, index, abort.signal));
        });
        // Readers of the first answer get the same error.
        next.catch(() => {});
        answers.push(next);
      }
      const results = answers.map((answer) => answer.then(({ result }) => result));
      for (const result of results) result.catch((error: unknown) => abort.abort(error));
      const ended = Promise.allSettled(results).then((settled) => {
        const failed = settled.find((result) => result.status === "rejected");
        end(!failed || isHarmless(failed.reason));
      });
      await Promise.race([begun, first.result.then(() => (count === 1 ? ended : undefined))]);
      return { answers, abort: () => abort.abort() };
    } catch (error) {
      end(isHarmless(error));
      throw error;
    }
  }

  /** Answers of one request differ by their seeds. */
  #optionsOf(
    options: GenerateOptions,
    index: number,
    signal: AbortSignal,
    onProgress?: (progress: AnswerProgress) => void,
  ): GenerateOptions {
    const { seed } = options;
    return {
      ...options,
      ...(seed !== undefined && index > 0 && { seed: (seed + index) % Number.MAX_SAFE_INTEGER }),
      specialTokens: this.#specialTokens,
      signal,
      ...(onProgress && { onProgress }),
    };
  }

  /** Disposes the cached sessions. */
  dispose(): void {
    this.#pool.dispose();
  }
}

/** Checks options of a class that has runs; `others`: the names of its own. Throws OptionError. */
export function checkRunOptions(where: string, options: object, others: readonly string[]): void {
  checkOptions(where, options, ["keepSessions", "specialTokens", ...others]);
}

/** Whether an error left the session unchanged. */
function isHarmless(error: unknown): boolean {
  const codes = ["ABORTED", "OPTION", "PROMPT", "MEDIA", "SOURCE", "CONTEXT_OVERFLOW"];
  return error instanceof OcellusError && codes.includes(error.code);
}
