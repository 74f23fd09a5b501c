import type { Answer, AnswerResult, TokenChance, TokenLogprob } from "../models/chat/answer.js";
import type { AnswerRun } from "./answer-runs.js";
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
  /** The result of the first choice: usage, timings, seed. */
  readonly result: Promise<AnswerResult>;
  /** The results of all choices. */
  readonly results: Promise<AnswerResult[]>;
  readonly #heading: Heading;

  constructor(
    private readonly run: AnswerRun,
    model: string,
    /** Whether the request is streaming, with `include_usage`. */
    readonly asked: { readonly stream: boolean; readonly includeUsage: boolean; readonly logprobs: boolean },
  ) {
    this.result = run.answers[0].then(({ result }) => result);
    this.results = Promise.all(run.answers.map((answer) => answer.then(({ result }) => result)));
    // Readers of `result`, of the completion or of the chunks get the error there.
    this.result.catch(() => {});
    this.results.catch(() => {});
    const id = `chatcmpl-${crypto.randomUUID().replaceAll("-", "")}`;
    this.#heading = { id, created: Math.floor(Date.now() / 1000), model };
  }

  /** Returns the complete response. */
  async completion(): Promise<ChatCompletion> {
    const results = await this.results;
    return {
      ...this.#named("chat.completion"),
      choices: results.map((result, index) => ({
        index,
        message: { role: "assistant", content: result.text, refusal: null },
        finish_reason: finishReason(result),
        logprobs: this.asked.logprobs ? logprobsOf(result.logprobs ?? []) : null,
      })),
      usage: usageOf(results),
    };
  }

  /** Streams the chunks, choice after choice; leaving the loop early aborts generation. */
  async *chunks(): AsyncGenerator<ChatCompletionChunk, void, void> {
    const { includeUsage } = this.asked;
    let whole = false;
    try {
      for (const [index, answer] of this.run.answers.entries()) yield* this.#choice(index, await answer);
      if (includeUsage)
        yield { ...this.#named("chat.completion.chunk"), choices: [], usage: usageOf(await this.results) };
      whole = true;
    } finally {
      if (!whole) this.run.abort();
    }
  }

  async *#choice(index: number, answer: Answer): AsyncGenerator<ChatCompletionChunk, void, void> {
    const { includeUsage, logprobs } = this.asked;
    type Delta = ChatCompletionChunk["choices"][0]["delta"];
    const chunk = (delta: Delta, logprob?: TokenLogprob, finish: FinishReason | null = null): ChatCompletionChunk => ({
      ...this.#named("chat.completion.chunk"),
      choices: [{ index, delta, finish_reason: finish, logprobs: logprobs && logprob ? logprobsOf([logprob]) : null }],
      ...(includeUsage && { usage: null }),
    });
    yield chunk({ role: "assistant", content: "" });
    for await (const { text, logprob } of answer) {
      if (text !== "" || (logprobs && logprob)) yield chunk({ content: text }, logprob);
    }
    yield chunk({}, undefined, finishReason(await answer.result));
  }

  #named<T extends string>(object: T): { id: string; object: T; created: number; model: string } {
    const { id, created, model } = this.#heading;
    return { id, object, created, model };
  }
}

function finishReason({ finishReason }: AnswerResult): FinishReason {
  return finishReason === "length" ? "length" : "stop";
}

/** The prompt counts once: all choices have the same. */
function usageOf(results: readonly AnswerResult[]): CompletionUsage {
  const { promptTokens, reusedTokens } = results[0]!.usage;
  const completionTokens = results.reduce((sum, { usage }) => sum + usage.completionTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: reusedTokens },
  };
}

/** Converts the logprobs of tokens. */
export function logprobsOf(tokens: readonly TokenLogprob[]): ChoiceLogprobs {
  return { content: tokens.map((token) => ({ ...chance(token), top_logprobs: token.top.map(chance) })), refusal: null };
}

function chance({ text, bytes, logprob }: TokenChance): TokenChanceParam {
  return { token: text, bytes: [...bytes], logprob };
}
