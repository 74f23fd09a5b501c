import type { OcellusError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { apiError, failure } from "../openai/api-error.js";
import type { ChatCompletions } from "../openai/chat-completions.js";
import { Responses } from "../openai/responses.js";
import { answered, BATCH_URLS, BatchLines, type BatchRequest, type BatchResult } from "./batch-lines.js";

/** What a caller wants of a request while it is answered. */
export interface BatchRun {
  readonly signal: AbortSignal;
  /** Called for each piece of text that was generated, with their number so far: about a token each. */
  readonly onTokens?: (tokens: number) => void;
}

/** Runs the requests of a batch. */
export class Batch {
  readonly #lines: BatchLines;
  readonly #responses: Responses;

  constructor(
    private readonly completions: ChatCompletions,
    /** Ids that are already in the output. */
    done: ReadonlySet<string> = new Set(),
  ) {
    this.#lines = new BatchLines(done);
    // No line refers to the response of another: the order of a batch is not a promise.
    this.#responses = new Responses(completions, { keepResponses: 0 });
  }

  /**
   * Returns the result of line `number` (from 1) of the input, given its text or decoding error; undefined if it is finished. Throws
   * AbortedError, and errors that would affect all later lines, such as DeviceLostError.
   */
  async run(line: string | OcellusError, number: number, signal: AbortSignal): Promise<BatchResult | undefined> {
    const read = this.#lines.read(line, number);
    return read && "request" in read ? this.answer(read.request, { signal }) : read?.invalid;
  }

  /** Returns the result of a request. Throws as `run` does. */
  async answer({ custom_id: id, url, body }: BatchRequest, { signal, onTokens }: BatchRun): Promise<BatchResult> {
    const api = url === BATCH_URLS[0] ? "chat" : "responses";
    if (isObject(body) && body.stream) {
      return answered(
        id,
        400,
        failure(400, "stream: expected none, got true — batches do not stream", null, "stream").body,
      );
    }
    try {
      const whole = api === "chat" ? this.#completion(body, signal, onTokens) : this.#response(body, signal, onTokens);
      return answered(id, 200, await whole);
    } catch (error) {
      const { status, body: told } = apiError(error, api);
      if (signal.aborted || status === 503) throw error;
      return answered(id, status, told);
    }
  }

  async #completion(body: unknown, signal: AbortSignal, onTokens: BatchRun["onTokens"]): Promise<unknown> {
    const run = await this.completions.start(body, { signal });
    if (onTokens) void count(run.chunks(), ({ choices }) => Boolean(choices[0]?.delta.content), onTokens);
    return run.completion();
  }

  async #response(body: unknown, signal: AbortSignal, onTokens: BatchRun["onTokens"]): Promise<unknown> {
    const run = await this.#responses.start(body, { signal });
    if (onTokens) void count(run.events(), ({ type }) => type === "response.output_text.delta", onTokens);
    return run.response();
  }
}

/** Counts the pieces of a stream that have text; its error is the answer's. */
async function count<T>(pieces: AsyncIterable<T>, hasText: (piece: T) => boolean, onTokens: (tokens: number) => void) {
  let tokens = 0;
  try {
    for await (const piece of pieces) if (hasText(piece)) onTokens(++tokens);
  } catch {}
}
