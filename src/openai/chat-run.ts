import type { Answer, AnswerResult, TokenChance, TokenLogprob } from "../models/chat/answer.js";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChoiceLogprobs,
  CompletionUsage,
  FinishReason,
  TokenChanceParam,
} from "./wire.js";

/** Fields common to all objects of a completion. */
interface Heading {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/**
 * A running completion, read in OpenAI's format: complete, or in chunks.
 * @example
 * ```ts
 * const run = await completions.start({ messages: [{ role: "user", content: "Hello!" }] });
 * console.log((await run.completion()).choices[0]?.message.content);
 * ```
 */
export class ChatRun {
  /** The session's result: usage, timings, seed. */
  readonly result: Promise<AnswerResult>;
  readonly #heading: Heading;

  constructor(
    private readonly answer: Answer,
    model: string,
    /** Whether the request is streaming, with `include_usage`. */
    readonly asked: { readonly stream: boolean; readonly includeUsage: boolean; readonly logprobs: boolean },
    private readonly abort: () => void,
  ) {
    this.result = answer.result;
    const id = `chatcmpl-${crypto.randomUUID().replaceAll("-", "")}`;
    this.#heading = { id, created: Math.floor(Date.now() / 1000), model };
  }

  /** Returns the complete response. */
  async completion(): Promise<ChatCompletion> {
    const result = await this.result;
    return {
      ...this.#named("chat.completion"),
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: result.text, refusal: null },
          finish_reason: finishReason(result),
          logprobs: this.asked.logprobs ? logprobsOf(result.logprobs ?? []) : null,
        },
      ],
      usage: usageOf(result),
    };
  }

  /** Streams the chunks; leaving the loop early aborts generation. */
  async *chunks(): AsyncGenerator<ChatCompletionChunk, void, void> {
    const { includeUsage, logprobs } = this.asked;
    type Delta = ChatCompletionChunk["choices"][0]["delta"];
    const chunk = (delta: Delta, logprob?: TokenLogprob, finish: FinishReason | null = null): ChatCompletionChunk => ({
      ...this.#named("chat.completion.chunk"),
      choices: [
        { index: 0, delta, finish_reason: finish, logprobs: logprobs && logprob ? logprobsOf([logprob]) : null },
      ],
      ...(includeUsage && { usage: null }),
    });
    let whole = false;
    try {
      yield chunk({ role: "assistant", content: "" });
      for await (const { text, logprob } of this.answer) {
        if (text !== "" || (logprobs && logprob)) yield chunk({ content: text }, logprob);
      }
      const result = await this.result;
      yield chunk({}, undefined, finishReason(result));
      if (includeUsage) yield { ...this.#named("chat.completion.chunk"), choices: [], usage: usageOf(result) };
      whole = true;
    } finally {
      if (!whole) this.abort();
    }
  }

  #named<T extends string>(object: T): { id: string; object: T; created: number; model: string } {
    const { id, created, model } = this.#heading;
    return { id, object, created, model };
  }
}

function finishReason({ finishReason }: AnswerResult): FinishReason {
  return finishReason === "length" ? "length" : "stop";
}

function usageOf({ usage }: AnswerResult): CompletionUsage {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.totalTokens,
    prompt_tokens_details: { cached_tokens: usage.reusedTokens },
  };
}

function logprobsOf(tokens: readonly TokenLogprob[]): ChoiceLogprobs {
  return { content: tokens.map((token) => ({ ...chance(token), top_logprobs: token.top.map(chance) })), refusal: null };
}

function chance({ text, bytes, logprob }: TokenChance): TokenChanceParam {
  return { token: text, bytes: [...bytes], logprob };
}
