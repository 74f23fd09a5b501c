import type { Readable } from "node:stream";
import { failure } from "../openai/api-error.js";
import { LEFT } from "./deadline.js";
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

/** Chunks of fewer bytes cost more than they bring. */
const SMALL_BYTES = 64;
/** How many of them a body may have. */
const MOST_SMALL = 4096;

/** Reads bodies of requests, of any transfer encoding, within bounds that are checked before bytes are kept. */
export class Bodies {
  #held = 0;

  constructor(readonly bounds: BodyBounds) {}

  /** Bytes of all bodies that were not released. */
  get heldBytes(): number {
    return this.#held;
  }

  /** Reads the body of a request that declared this many bytes, or 0. Throws Refusal, or the signal's reason. */
  read(request: Readable, declared: number, signal: AbortSignal): Promise<Body> {
    const { most, total, idleMs } = this.bounds;
    const bytes = new Blocks();
    let own = 0;
    let small = 0;
    const release = (): void => {
      this.#held -= own;
      own = 0;
    };
    return new Promise((resolve, reject) => {
      const over = (error?: unknown): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", aborted);
        // Not destroyed: that would close the connection before the reply is sent.
        request.off("data", add).off("end", ended).off("error", left).off("close", left).pause();
        if (error === undefined) resolve({ bytes: bytes.all, release });
        else {
          release();
          reject(error);
        }
      };
      const add = (piece: Uint8Array): void => {
        timer.refresh();
        own += piece.byteLength;
        this.#held += piece.byteLength;
        if (piece.byteLength < SMALL_BYTES && ++small > MOST_SMALL) over(tooSmall());
        else if (own > most) over(tooLarge(most));
        else if (this.#held > total) over(tooMany(total));
        else bytes.add(piece);
      };
      const ended = (): void => over();
      const left = (): void => over(LEFT);
      const aborted = (): void => over(signal.reason);
      const late = `expected the next bytes of the body within ${idleMs / 1000} s`;
      const timer = setTimeout(() => over(new Refusal(failure(408, late, "request_timeout"), CLOSE)), idleMs);
      if (declared > most) over(tooLarge(most));
      else if (this.#held + declared > total) over(tooMany(total));
      else if (signal.aborted) aborted();
      else if (request.destroyed) left();
      else {
        signal.addEventListener("abort", aborted, { once: true });
        request.on("data", add).on("end", ended).on("error", left).on("close", left);
      }
    });
  }
}

/** Bytes of the first block, and of the others. */
const FIRST_BLOCK = 4 * 2 ** 10;
const BLOCK = 256 * 2 ** 10;

/** The pieces of a body. Small ones are copied together: chunks of one byte would take a hundred times their size. */
class Blocks {
  readonly #full: Uint8Array[] = [];
  #last = new Uint8Array(0);
  #used = 0;

  get all(): readonly Uint8Array[] {
    this.#finish();
    return this.#full;
  }

  add(piece: Uint8Array): void {
    // At most half of its memory is not its own.
    if (piece.byteLength * 2 >= piece.buffer.byteLength) {
      this.#finish();
      this.#full.push(piece);
      return;
    }
    for (let from = 0; from < piece.byteLength; ) {
      if (this.#used === this.#last.byteLength) {
        this.#finish();
        this.#last = new Uint8Array(this.#full.length === 0 ? FIRST_BLOCK : BLOCK);
      }
      const part = piece.subarray(from, from + this.#last.byteLength - this.#used);
      this.#last.set(part, this.#used);
      this.#used += part.byteLength;
      from += part.byteLength;
    }
  }

  /** Ends the block that is being filled. */
  #finish(): void {
    if (this.#used > 0) this.#full.push(this.#last.subarray(0, this.#used));
    this.#last = new Uint8Array(0);
    this.#used = 0;
  }
}

/** The rest of the body is not read. */
const CLOSE = { connection: "close" };

function tooSmall(): Refusal {
  const message = `expected at most ${MOST_SMALL} chunks of under ${SMALL_BYTES} bytes; send larger ones`;
  return new Refusal(failure(400, message, "small_chunks"), CLOSE);
}

function tooLarge(most: number): Refusal {
  const message = `expected a body of at most ${most} bytes; \`--max-body\` sets it`;
  return new Refusal(failure(413, message, "body_too_large"), CLOSE);
}

function tooMany(total: number): Refusal {
  const message = `expected the bodies of all requests to have at most ${total} bytes; try again later`;
  return new Refusal(failure(429, message, "bodies_full"), { ...CLOSE, "retry-after": "1" });
}
