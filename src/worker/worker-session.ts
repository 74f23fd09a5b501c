import { DisposedError, OptionError } from "../base/errors.js";
import type { AnswerResult, AnswerWriter } from "../models/chat/answer.js";
import type { AnswerAttention, AttentionOptions } from "../models/chat/answer-attention.js";
import type { ChatSession } from "../models/chat/chat-model.js";
import { Conversation, type SessionInput } from "../models/chat/conversation.js";
import {
  type AppendOptions,
  checkGenerateOptions,
  type GenerateOptions,
  type PromptOptions,
} from "../models/chat/generate-options.js";
import type { AppendResult, Measurement } from "../models/chat/measurement.js";
import type { ChatMessage } from "../models/llava-onevision/processor.js";
import type { Connection, Opening } from "./connection.js";
import type { SentMessage, SessionMethod } from "./messages.js";
import { sendOptions, Transferables } from "./transferables.js";
import { WorkerAnswer } from "./worker-answer.js";

/** Objects of the input to transfer: these buffers, bitmaps and frames are moved to the worker instead of copied. */
export interface Transfers {
  transfer?: readonly Transferable[];
}

const REFUSED = { onTaps: "leave it out: taps are not available in a worker; use LlavaOneVision" } as const;

/** Ids of sessions and media, unique per model. */
export interface Names {
  next(): number;
}

interface Asked {
  readonly call: number;
  readonly where: string;
  readonly method: SessionMethod;
  readonly input: SessionInput;
  readonly options: (GenerateOptions | AttentionOptions) & Transfers;
  readonly writer?: AnswerWriter;
}

/**
 * One conversation of a model in a worker, with the interface of `Session`. Inputs are copied at the call.
 * @example
 * ```ts
 * const session = workerModel.createSession();
 * await session.append([{ type: "image", image: file }]);
 * console.log((await session.generate("What is this?").result).text);
 * session.dispose();
 * ```
 */
export class WorkerSession implements ChatSession {
  #messages: readonly ChatMessage[];
  /** The caller's media by id. */
  #media = new Map<number, object>();
  #busy = false;
  #disposed = false;

  /** For WorkerModel only. */
  constructor(
    private readonly connection: Connection,
    private readonly session: number,
    private readonly names: Names,
    private readonly system: string | undefined,
  ) {
    this.#messages = new Conversation(system).messages;
  }

  /** The conversation so far, with the caller's pictures and clips; updated by the worker at the end of each call. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /**
   * See `Session.generate`. Throws OptionError, DisposedError and WorkerError synchronously; all other errors reject the answer.
   */
  generate(input: SessionInput, options: GenerateOptions & Transfers = {}): WorkerAnswer {
    const where = "session.generate";
    const { transfer: _, ...given } = options;
    checkGenerateOptions(where, given);
    this.#begin(where);
    const call = this.connection.name();
    return new WorkerAnswer(
      (writer) => this.#ask({ call, where, method: "generate", input, options, writer }) as Promise<AnswerResult>,
      () => {
        this.#busy = false;
      },
      () => this.connection.stop(call),
    );
  }

  /** See `Session.append`. */
  async append(input: SessionInput, options: AppendOptions & Transfers = {}): Promise<AppendResult> {
    const where = "session.append";
    this.#begin(where);
    try {
      const call = this.connection.name();
      return (await this.#ask({ call, where, method: "append", input, options })) as AppendResult;
    } finally {
      this.#busy = false;
    }
  }

  /** See `Session.measure`. */
  async measure(input: SessionInput, options: PromptOptions & Transfers = {}): Promise<Measurement> {
    const where = "session.measure";
    this.#check();
    const call = this.connection.name();
    return (await this.#ask({ call, where, method: "measure", input, options })) as Measurement;
  }

  /** See `Session.attention`. */
  async attention(options: AttentionOptions = {}): Promise<AnswerAttention> {
    const where = "session.attention";
    this.#begin(where);
    try {
      const call = this.connection.name();
      return (await this.#ask({ call, where, method: "attention", input: [], options })) as AnswerAttention;
    } finally {
      this.#busy = false;
    }
  }

  /** See `Session.clone`. */
  clone(): WorkerSession {
    this.#check();
    const session = this.names.next();
    this.connection.post({ kind: "clone", session, from: this.session });
    const other = new WorkerSession(this.connection, session, this.names, this.system);
    other.#messages = this.#messages;
    other.#media = new Map(this.#media);
    return other;
  }

  /** See `Session.reset`. */
  reset(): void {
    this.#begin("session.reset");
    this.#busy = false;
    this.connection.post({ kind: "reset", session: this.session });
    this.#messages = new Conversation(this.system).messages;
    this.#media.clear();
  }

  /** Disposes the session in the worker. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.connection.post({ kind: "end", session: this.session });
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(): void {
    this.connection.check();
    if (!this.#disposed) return;
    throw new DisposedError({
      where: "Session",
      expected: "an open session",
      got: "a disposed one",
      remedy: "create another",
    });
  }

  #begin(where: string): void {
    this.#check();
    if (this.#busy) {
      throw new OptionError({
        where,
        expected: "one answer at a time",
        got: "a second call while the first is running",
        remedy: "await answer.result first, or use another session",
      });
    }
    this.#busy = true;
  }

  async #ask(asked: Asked): Promise<unknown> {
    const { call, where, options, writer } = asked;
    const before = new Map(this.#media);
    const hooks = {
      where,
      options,
      onMessages: (sent: readonly SentMessage[], value: unknown) => this.#keep(sent, value as AnswerResult),
    };
    try {
      return await this.connection.call(call, this.#opening(asked), writer ? { ...hooks, writer } : hooks);
    } catch (error) {
      if (writer || asked.method === "append") this.#media = before;
      throw error;
    }
  }

  async #opening({ call, where, method, input, options }: Asked): Promise<Opening> {
    const sent = sendOptions(where, await withPlainStructure(where, options), REFUSED);
    const parcel = new Transferables(options);
    const given = await parcel.input(input, (part) => {
      const ref = this.names.next();
      // Measured inputs are not part of the conversation.
      if (method !== "measure") this.#media.set(ref, part);
      return ref;
    });
    const message = { kind: "ask", call, session: this.session, method, input: given, options: sent } as const;
    return { message, transfer: parcel.transfer };
  }

  /** Converts the worker's conversation, replacing media ids by the caller's media. */
  #keep(sent: readonly SentMessage[], { finishReason, tokens }: AnswerResult): void {
    const media = new Map<number, object>();
    const named = (part: object): object => {
      if (!("ref" in part)) return part;
      const given = this.#media.get(part.ref as number)!;
      media.set(part.ref as number, given);
      return given;
    };
    this.#messages = sent.map(({ role, content }) => ({
      role,
      content: typeof content === "string" ? content : content.map(named),
    })) as readonly ChatMessage[];
    // An answer that was stopped before its first token keeps the appended parts for the next question.
    if (finishReason !== "stopped" || tokens.length > 0) this.#media = media;
  }
}

/** Objects of schema libraries have functions, which cannot be sent. */
async function withPlainStructure(where: string, options: Asked["options"]): Promise<Asked["options"]> {
  if (!("schema" in options || "regex" in options)) return options;
  const { plainStructure } = await import("../models/chat/structure-options.js");
  return { ...options, ...plainStructure(where, options) };
}
