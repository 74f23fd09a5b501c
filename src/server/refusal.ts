import type { ApiError } from "../openai/api-error.js";

/** Thrown for a request that the server itself ends, and the reason of its abort; has the response. */
export class Refusal extends Error {
  constructor(
    readonly reply: ApiError,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(reply.body.error.message);
  }
}
