import { type ApiError, failure } from "../openai/api-error.js";

/** Bounds of the bodies of requests. */
export interface BodyBounds {
  /** Bytes of one body. */
  readonly most: number;
  /** Bytes of all bodies of requests that are read, waiting or running. */
  readonly total: number;
  /** Milliseconds until the next bytes of a body must arrive. */
  readonly idleMs: number;
}

/** A body that was read; its bytes count until `release`. */
export interface Body {
  readonly text: string;
  readonly release: () => void;
}

/** Thrown for a body that is over a bound; has the response. */
export class BodyError extends Error {
  constructor(readonly reply: ApiError) {
    super(reply.body.error.message);
  }
}

/** Reads bodies of requests, of any transfer encoding, within bounds that are checked before bytes are kept. */
export class Bodies {
  #held = 0;

  constructor(readonly bounds: BodyBounds) {}

  /** Bytes of all bodies that were not released. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Reads the body as UTF-8. Throws BodyError, or what the connection throws when it breaks. */
  async read(request: Request): Promise<Body> {
    const { most, total } = this.bounds;
    const declared = Number(request.headers.get("content-length") ?? 0);
    if (declared > most) throw tooLarge(most);
    if (this.#held + declared > total) throw tooMany(total);
    let own = 0;
    const release = (): void => {
      this.#held -= own;
      own = 0;
    };
    const decoder = new TextDecoder();
    const pieces: string[] = [];
    const reader = request.body?.getReader();
    try {
      while (reader) {
        const { done, value } = await this.#next(reader);
        if (done) break;
        own += value.byteLength;
        this.#held += value.byteLength;
        if (own > most) throw tooLarge(most);
        if (this.#held > total) throw tooMany(total);
        pieces.push(decoder.decode(value, { stream: true }));
      }
      pieces.push(decoder.decode());
      return { text: pieces.join(""), release };
    } catch (error) {
      release();
      // Not cancelled: that would close the connection before the reply is sent.
      reader?.releaseLock();
      throw error;
    }
  }

  async #next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
    const { idleMs } = this.bounds;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const reply = failure(408, `expected the next bytes of the body within ${idleMs / 1000} s`, "request_timeout");
      timer = setTimeout(() => reject(new BodyError(reply)), idleMs);
    });
    try {
      return await Promise.race([reader.read(), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function tooLarge(most: number): BodyError {
  return new BodyError(
    failure(413, `expected a body of at most ${most} bytes; \`--max-body\` sets it`, "body_too_large"),
  );
}

function tooMany(total: number): BodyError {
  const message = `expected the bodies of all requests to have at most ${total} bytes; try again later`;
  return new BodyError(failure(429, message, "bodies_full"));
}
