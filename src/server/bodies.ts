import { failure } from "../openai/api-error.js";
import { Refusal } from "./refusal.js";

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
  readonly bytes: readonly Uint8Array[];
  readonly release: () => void;
}

/** Reads bodies of requests, of any transfer encoding, within bounds that are checked before bytes are kept. */
export class Bodies {
  #held = 0;

  constructor(readonly bounds: BodyBounds) {}

  /** Bytes of all bodies that were not released. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Reads the body. Throws Refusal, the signal's reason, or what the connection throws when it breaks. */
  async read(request: Request, signal: AbortSignal): Promise<Body> {
    const { most, total } = this.bounds;
    const declared = Number(request.headers.get("content-length") ?? 0);
    if (declared > most) throw tooLarge(most);
    if (this.#held + declared > total) throw tooMany(total);
    let own = 0;
    const release = (): void => {
      this.#held -= own;
      own = 0;
    };
    const bytes = new Blocks();
    const reader = request.body?.getReader();
    try {
      while (reader) {
        const { done, value } = await this.#next(reader, signal);
        if (done) break;
        own += value.byteLength;
        this.#held += value.byteLength;
        if (own > most) throw tooLarge(most);
        if (this.#held > total) throw tooMany(total);
        bytes.add(value);
      }
      return { bytes: bytes.all, release };
    } catch (error) {
      release();
      // Not cancelled: that would close the connection before the reply is sent.
      reader?.releaseLock();
      throw error;
    }
  }

  async #next(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    signal: AbortSignal,
  ): Promise<ReadableStreamReadResult<Uint8Array>> {
    const { idleMs } = this.bounds;
    let reject: (reason: unknown) => void = () => {};
    const over = new Promise<never>((_, rejectOver) => {
      reject = rejectOver;
    });
    const aborted = (): void => reject(signal.reason);
    const timer = setTimeout(() => {
      const message = `expected the next bytes of the body within ${idleMs / 1000} s`;
      reject(new Refusal(failure(408, message, "request_timeout"), CLOSE));
    }, idleMs);
    signal.addEventListener("abort", aborted, { once: true });
    try {
      signal.throwIfAborted();
      return await Promise.race([reader.read(), over]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
    }
  }
}

/** Bytes of the first block, and of the others. */
const FIRST_BLOCK = 4 * 2 ** 10;
const BLOCK = 256 * 2 ** 10;

/** Bytes copied together: chunks of one byte would take a hundred times their size. */
class Blocks {
  readonly #full: Uint8Array[] = [];
  #last = new Uint8Array(FIRST_BLOCK);
  #used = 0;

  get all(): readonly Uint8Array[] {
    return [...this.#full, this.#last.subarray(0, this.#used)];
  }

  add(piece: Uint8Array): void {
    for (let from = 0; from < piece.byteLength; ) {
      if (this.#used === this.#last.byteLength) {
        this.#full.push(this.#last);
        this.#last = new Uint8Array(BLOCK);
        this.#used = 0;
      }
      const part = piece.subarray(from, from + this.#last.byteLength - this.#used);
      this.#last.set(part, this.#used);
      this.#used += part.byteLength;
      from += part.byteLength;
    }
  }
}

/** The rest of the body is not read. */
const CLOSE = { connection: "close" };

function tooLarge(most: number): Refusal {
  const message = `expected a body of at most ${most} bytes; \`--max-body\` sets it`;
  return new Refusal(failure(413, message, "body_too_large"), CLOSE);
}

function tooMany(total: number): Refusal {
  const message = `expected the bodies of all requests to have at most ${total} bytes; try again later`;
  return new Refusal(failure(429, message, "bodies_full"), { ...CLOSE, "retry-after": "1" });
}
