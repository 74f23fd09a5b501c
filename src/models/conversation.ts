import { OptionError, PromptError } from "../runtime/errors.js";
import type { ChatMessage, ImageContent, TextContent, VideoContent } from "./llava-onevision/processor.js";

/** A part of a message. */
export type ContentPart = TextContent | ImageContent | VideoContent;

/**
 * What a session is given: words or parts are the next turn of its conversation; messages are a conversation as a whole, which
 * replaces what was said before.
 */
export type SessionInput = string | readonly ContentPart[] | readonly ChatMessage[];

/** How a conversation begins. */
export interface SessionOptions {
  /** What the model is told before every conversation of the session. */
  system?: string | undefined;
}

/** What was said in a session, and what was appended for the next question. Never changed, only followed by another. */
export class Conversation {
  constructor(
    readonly system: string | undefined,
    /** Without what `system` says. */
    readonly turns: readonly ChatMessage[] = [],
    readonly pending: readonly ContentPart[] = [],
  ) {}

  /** Everything that was said, what the model is told first among it. */
  get messages(): readonly ChatMessage[] {
    if (this.system === undefined) return this.turns;
    return [{ role: "system", content: this.system }, ...this.turns];
  }

  /** The conversation with `input` as what the user says last; parts that were appended before come first in it. */
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

  /** The conversation with `input` ahead of the next question. */
  appended(input: SessionInput, where: string): Conversation {
    const { system, turns } = this.asked(input, where);
    const last = turns.at(-1);
    if (last?.role !== "user" || last.content.length === 0) {
      throw new PromptError({
        where,
        expected: "something that the user says",
        got: last ? `a message of the ${last.role}${last.content.length === 0 ? " without content" : ""}` : "nothing",
        remedy: 'pass [{ type: "image", image }] or a text',
      });
    }
    return new Conversation(system, turns.slice(0, -1), partsIn(last.content, where));
  }

  /** Everything that was said, and as the last message what was appended. */
  get begun(): readonly ChatMessage[] {
    return [...this.messages, said(this.pending)];
  }

  /** The conversation after the model's answer. */
  answered(text: string): Conversation {
    return new Conversation(this.system, [...this.turns, { role: "assistant", content: text }]);
  }
}

function said(parts: readonly ContentPart[]): ChatMessage {
  return { role: "user", content: parts };
}

/** Messages have a role, parts a type; what has neither is refused when the prompt is made. */
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
