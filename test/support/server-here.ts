import type { ChatCompletionsOptions } from "../../src/openai/chat-completions.js";
import {
  type Asked,
  type Asking,
  type Backend,
  type BackendEvents,
  type Ended,
  LostError,
  NOTHING,
  type Reply,
} from "../../src/server/backend.js";
import { Engine, type Served } from "../../src/server/engine.js";
import { Log } from "../../src/server/log.js";
import { type RunningServer, type ServerOptions, startServer } from "../../src/server/server.js";

/** A model in the tests' own process, in place of `Supervisor`. */
export class BackendHere implements Backend {
  #engine: Engine | undefined;
  /** Rejects for every running request when the device is lost. */
  readonly #lost = new Set<(error: LostError) => void>();

  constructor(
    private readonly load: () => Promise<Served>,
    private readonly options: Omit<ChatCompletionsOptions, "name"> = {},
    private readonly gpuBytes = 0,
  ) {}

  async start(events: BackendEvents): Promise<void> {
    const ready = (): void => events.ready({ pid: process.pid, seconds: 0, adapter: "here" });
    this.#engine = new Engine(await this.load(), this.options, {
      error: (error) => events.error(error),
      lost: (error) => {
        events.lost(error.message);
        for (const fail of this.#lost) fail(new LostError(error.message));
        setTimeout(ready);
      },
    });
    ready();
    events.memory({ gpuBytes: this.gpuBytes, usedBlocks: 3, sharedBlocks: 2, preemptions: 1 });
  }

  ask({ id, path, body }: Asked, signal: AbortSignal): Asking {
    let end: (ended: Ended) => void = () => {};
    const ended = new Promise<Ended>((resolve) => {
      end = resolve;
    });
    const request = new Request(`http://model${path}`, {
      method: "POST",
      body: Buffer.concat(body),
      headers: { "x-request-id": id },
      signal,
    });
    const lost = new Promise<never>((_, reject) => {
      const fail = (error: LostError): void => {
        end(NOTHING);
        reject(error);
      };
      this.#lost.add(fail);
      ended.then(() => this.#lost.delete(fail));
    });
    lost.catch(() => {});
    const reply = Promise.race([lost, this.#engine!.answer(request, end)]).then((response): Reply => {
      signal.throwIfAborted();
      const body = unlessAborted(response.body as AsyncIterable<Uint8Array>, signal);
      return { status: response.status, contentType: response.headers.get("content-type") ?? "", body };
    });
    return { reply, ended };
  }

  async stop(): Promise<void> {}
}

/** As from a connection that an abort closes. */
async function* unlessAborted(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    signal.throwIfAborted();
    yield piece;
  }
}

export interface HereOptions extends Partial<ServerOptions>, Omit<ChatCompletionsOptions, "name"> {
  readonly gpuBytes?: number;
  /** Receives the lines of the log. */
  readonly lines?: string[];
}

/** Starts a server over a model in this process, on a free port. */
export async function serveHere(load: () => Promise<Served>, options: HereOptions = {}): Promise<RunningServer> {
  const { gpuBytes, maxPixels, readMedia, keepSessions, lines = [], ...others } = options;
  const chat = {
    ...(maxPixels !== undefined && { maxPixels }),
    ...(readMedia && { readMedia }),
    ...(keepSessions !== undefined && { keepSessions }),
  };
  return startServer(new BackendHere(load, chat, gpuBytes), {
    name: "tiny",
    host: "127.0.0.1",
    port: 0,
    parallel: 2,
    queue: 256,
    timeoutSeconds: 300,
    maxBodyBytes: 2 ** 20,
    log: new Log("json", (line) => lines.push(line)),
    ...others,
  });
}
