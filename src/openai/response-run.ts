import type { AnswerResult } from "../models/chat/answer.js";
import type { AnswerRun } from "./answer-runs.js";
import { logprobsOf } from "./chat-run.js";
import type { AskedResponse } from "./responses-request.js";
import type { ModelResponse, OutputMessage, OutputText, ResponseEvent } from "./responses-wire.js";

/** An event without its number. */
type Unnumbered<T> = T extends unknown ? Omit<T, "sequence_number"> : never;

/**
 * A running response, read in the format of OpenAI's Responses API: complete, or as events.
 * @example
 * ```ts
 * const run = await responses.start({ input: "Hello!" });
 * console.log((await run.response()).output[0]?.content[0]?.text);
 * ```
 */
export class ResponseRun {
  /** The session's result: usage, timings, seed. */
  readonly result: Promise<AnswerResult>;
  /** The same as a list, as completions with several choices have it. */
  readonly results: Promise<AnswerResult[]>;
  readonly id = newId("resp");
  readonly #messageId = newId("msg");
  readonly #createdAt = Math.floor(Date.now() / 1000);

  constructor(
    private readonly run: AnswerRun,
    private readonly model: string,
    /** What the request asked for. */
    readonly asked: AskedResponse,
  ) {
    this.result = run.answers[0].then(({ result }) => result);
    this.results = this.result.then((result) => [result]);
    // Readers of `result` or of the events get the error there.
    this.results.catch(() => {});
  }

  /** Returns the complete response. */
  async response(): Promise<ModelResponse> {
    return this.#ended(await this.result);
  }

  /** The answer as an item of the conversation. */
  async message(): Promise<OutputMessage> {
    return this.#message(await this.result);
  }

  /** Streams the events; leaving the loop early aborts generation. */
  async *events(): AsyncGenerator<ResponseEvent, void, void> {
    let sequence_number = 0;
    const numbered = (event: Unnumbered<ResponseEvent>): ResponseEvent =>
      ({ ...event, sequence_number: sequence_number++ }) as ResponseEvent;
    const place = { item_id: this.#messageId, output_index: 0, content_index: 0 } as const;
    let whole = false;
    try {
      yield numbered({ type: "response.created", response: this.#object() });
      yield numbered({ type: "response.in_progress", response: this.#object() });
      const begun: OutputMessage = { ...this.#heading(), status: "in_progress", content: [] };
      yield numbered({ type: "response.output_item.added", output_index: 0, item: begun });
      yield numbered({ type: "response.content_part.added", ...place, part: outputText("") });
      for await (const { text, logprob } of await this.run.answers[0]) {
        if (text === "" && !logprob) continue;
        const { content } = logprobsOf(logprob ? [logprob] : []);
        yield numbered({ type: "response.output_text.delta", ...place, delta: text, logprobs: content });
      }
      const result = await this.result;
      const item = this.#message(result);
      const part = item.content[0]!;
      const { text, logprobs } = part;
      yield numbered({ type: "response.output_text.done", ...place, text, logprobs });
      yield numbered({ type: "response.content_part.done", ...place, part });
      yield numbered({ type: "response.output_item.done", output_index: 0, item });
      yield numbered({ type: `response.${statusOf(result)}`, response: this.#ended(result) });
      whole = true;
    } finally {
      if (!whole) this.run.abort();
    }
  }

  #heading(): Pick<OutputMessage, "id" | "type" | "role"> {
    return { id: this.#messageId, type: "message", role: "assistant" };
  }

  #message(result: AnswerResult): OutputMessage {
    const { content } = logprobsOf(result.logprobs ?? []);
    return {
      ...this.#heading(),
      status: statusOf(result),
      content: [{ ...outputText(result.text), logprobs: content }],
    };
  }

  #ended(result: AnswerResult): ModelResponse {
    const { promptTokens, reusedTokens, completionTokens, totalTokens } = result.usage;
    const status = statusOf(result);
    return {
      ...this.#object(),
      status,
      incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
      output: [this.#message(result)],
      usage: {
        input_tokens: promptTokens,
        input_tokens_details: { cached_tokens: reusedTokens },
        output_tokens: completionTokens,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: totalTokens,
      },
    };
  }

  #object(): ModelResponse {
    const { asked } = this;
    return {
      id: this.id,
      object: "response",
      created_at: this.#createdAt,
      status: "in_progress",
      error: null,
      incomplete_details: null,
      instructions: asked.instructions ?? null,
      max_output_tokens: asked.options.maxNewTokens ?? null,
      metadata: asked.metadata,
      model: this.model,
      output: [],
      parallel_tool_calls: true,
      previous_response_id: asked.previous ?? null,
      store: asked.store,
      temperature: asked.options.temperature ?? 0,
      text: { format: asked.format },
      tool_choice: "auto",
      tools: [],
      top_p: asked.options.topP ?? 1,
      truncation: "disabled",
      usage: null,
    };
  }
}

/** An answer that its limit of tokens cut is incomplete. */
function statusOf({ finishReason }: AnswerResult): "incomplete" | "completed" {
  return finishReason === "length" ? "incomplete" : "completed";
}

function outputText(text: string): OutputText {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function newId(prefix: string): string {
  return `${prefix}_${crypto.randomUUID().replaceAll("-", "")}`;
}
