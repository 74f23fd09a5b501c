import { OptionError, PromptError, shown } from "../../base/errors.js";
import { checkOptions } from "../../base/options.js";
import type { ChatMessage, ImageContent, TextContent, VideoContent } from "../llava-onevision/processor.js";

/** A part of a message. */
export type ContentPart = TextContent | ImageContent | VideoContent;

/**
 * Input of a session: a string or parts are the next user turn; messages are a whole conversation, which replaces the earlier one.
 */
export type SessionInput = string | readonly ContentPart[] | readonly ChatMessage[];

/** Options of a session. */
export interface SessionOptions {
  /** System prompt of the session's conversations. */
  system?: string | undefined;
  /** Names of the adapters that its answers use; all that were loaded if not given, none with `[]`. */
  adapters?: readonly string[] | undefined;
}

/** Throws OptionError for an unknown option, a system prompt that is no text, and an adapter that is not loaded. */
export function checkSessionOptions(options: SessionOptions, loaded: readonly string[]): void {
  const where = "model.createSession";
  checkOptions(where, options, ["system", "adapters"]);
  const { system, adapters } = options;
  if (system !== undefined && typeof system !== "string") {
    throw new OptionError({
      where: `${where}, system`,
      expected: "a text",
      got: shown(system),
      remedy: "leave it out for none",
    });
  }
  const unknown = Array.isArray(adapters) ? adapters.find((name) => !loaded.includes(name)) : adapters;
  if (unknown === undefined) return;
  throw new OptionError({
    where: `${where}, adapters`,
    expected: loaded.length === 0 ? "no adapters: none was loaded" : `names among ${loaded.join(", ")}`,
    got: shown(unknown),
    remedy: "load the model with this adapter (`adapter`), or leave it out",
  });
}

/** The messages of a session, and the parts appended for the next question. Immutable. */
export class Conversation {
  constructor(
    readonly system: string | undefined,
    /** Without the system prompt. */
    readonly turns: readonly ChatMessage[] = [],
    readonly pending: readonly ContentPart[] = [],
  ) {}

  /** All messages, the system prompt included. */
  get messages(): readonly ChatMessage[] {
    if (this.system === undefined) return this.turns;
    return [{ role: "system", content: this.system }, ...this.turns];
  }

  /** Returns the conversation with `input` as its last user message, which begins with the appended parts. */
  asked(input: SessionInput, where: string): Conversation {
    const { system, pending } = this;
    if (isMessages(input)) {
      if (system !== undefined && input.some(({ role }) => role === "system")) {
        throw new OptionError({
          where,
          expected: "messages of user and assistant, since the session was created with `system`",
          got: "a system message",
          remedy: "leave one of the two out",
        });
      }
      const last = input.at(-1);
      if (pending.length === 0 || last?.role !== "user") return new Conversation(system, input);
      return new Conversation(system, [...input.slice(0, -1), said([...pending, ...partsIn(last.content, where)])]);
    }
    const parts = partsIn(input, where);
    return new Conversation(system, [...this.turns, said([...pending, ...parts])]);
  }

  /** Returns the conversation with `input` appended for the next question. Throws PromptError. */
  appended(input: SessionInput, where: string): Conversation {
    const { system, turns } = this.asked(input, where);
    const last = turns.at(-1);
    if (last?.role !== "user" || last.content.length === 0) {
      throw new PromptError({
        where,
        expected: "content of a user message",
        got: last ? `a message of the ${last.role}${last.content.length === 0 ? " without content" : ""}` : "nothing",
        remedy: 'pass [{ type: "image", image }] or a text',
      });
    }
    return new Conversation(system, turns.slice(0, -1), partsIn(last.content, where));
  }

  /** All messages, and as the last one the appended parts. */
  get begun(): readonly ChatMessage[] {
    return [...this.messages, said(this.pending)];
  }

  /** Returns the conversation with the model's answer added. */
  answered(text: string): Conversation {
    return new Conversation(this.system, [...this.turns, { role: "assistant", content: text }]);
  }
}

function said(parts: readonly ContentPart[]): ChatMessage {
  return { role: "user", content: parts };
}

/** Messages have a role, parts a type; anything else is rejected when the prompt is rendered. */
function isMessages(input: SessionInput): input is readonly ChatMessage[] {
  return Array.isArray(input) && input.some((item) => Object(item).role !== undefined);
}

function partsIn(input: string | readonly ContentPart[], where: string): readonly ContentPart[] {
  if (typeof input === "string") return [{ type: "text", text: input }];
  if (Array.isArray(input)) return input;
  throw new PromptError({
    where,
    expected: "a text, a list of parts or a list of messages",
    got: input === null ? "null" : typeof input,
    remedy: 'pass "What is this?", [{ type: "image", image }] or [{ role: "user", content: "…" }]',
  });
}
