import type { UrlOptions } from "../../src/io/bytes/source.js";

/** How the server answers; every field may be changed between requests. */
export interface Behaviour {
  /** False: the whole file with status 200 whatever is asked for. */
  ranges?: boolean;
  contentRange?: boolean;
  contentLength?: boolean;
  contentType?: string;
  etag?: string;
  /** Bytes by which the answered range lies off the one asked for. */
  shift?: number;
}

export interface SeenRequest {
  readonly url: string;
  readonly method: string;
  readonly range: string | null;
  readonly authorization: string | null;
}

/** Stands in for `fetch` and one file on a server, with the faults a real one may have. */
export class RangeServer {
  readonly requests: SeenRequest[] = [];
  /** What the next requests meet in place of an answer: a status, a broken connection, or silence until the abort. */
  failures: (number | "network" | "hang")[] = [];
  /** Bodies of the next answers end after so many bytes. */
  cutAfterBytes: number[] = [];

  constructor(
    public bytes: Uint8Array,
    readonly behaviour: Behaviour = {},
  ) {}

  get options(): UrlOptions {
    return { fetch: this.fetch, retryDelayMilliseconds: 1 };
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const headers = new Headers(init?.headers);
    const method = init?.method ?? "GET";
    const range = headers.get("range");
    this.requests.push({ url: String(input), method, range, authorization: headers.get("authorization") });
    if (init?.signal?.aborted) throw init.signal.reason;
    const failure = this.failures.shift();
    if (failure === "network") throw new TypeError("connection reset");
    if (failure === "hang") {
      return new Promise((_, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      });
    }
    if (failure !== undefined) return new Response("no", { status: failure });
    return this.answer(method, range);
  };

  private answer(method: string, range: string | null): Response {
    const { ranges = true, contentRange = true, contentLength = true, contentType, etag, shift = 0 } = this.behaviour;
    const total = this.bytes.length;
    const headers = new Headers();
    if (contentType) headers.set("content-type", contentType);
    if (etag) headers.set("etag", etag);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    const start = Number(first ?? 0) + shift;
    const end = Math.min(Number(last ?? total - 1) + shift, total - 1) + 1;
    const partial = ranges && range !== null;
    if (partial && start >= total) {
      headers.set("content-range", `bytes */${total}`);
      return new Response(null, { status: 416, headers });
    }
    const body = partial ? this.bytes.slice(start, end) : this.bytes.slice();
    if (contentLength) headers.set("content-length", String(body.length));
    if (partial && contentRange) headers.set("content-range", `bytes ${start}-${end - 1}/${total}`);
    if (method === "HEAD") return new Response(null, { headers });
    return new Response(stream(body.slice(0, this.cutAfterBytes.shift() ?? body.length)), {
      status: partial ? 206 : 200,
      headers,
    });
  }
}

/** A body in pieces of a prime size, so that no boundary falls on a round number. */
function stream(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + 8191));
      at += 8191;
    },
  });
}
