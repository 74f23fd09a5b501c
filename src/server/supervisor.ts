import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { causeMessage } from "../base/cause-message.js";
import { AbortedError, WorkerError } from "../base/errors.js";
import {
  type Asked,
  type Asking,
  type Backend,
  type BackendEvents,
  type Ended,
  LostError,
  NOTHING,
  type Reply,
} from "./backend.js";
import { ID, NUMBER, type ProcessMessage, type Start } from "./messages.js";

/** Losses count for this time. */
const LOSS_MS = 60_000;
/** Time in which a process must notice that a request has ended, and in which one must end whose socket has failed. */
const NOTICE_MS = 30_000;
/** Time in which a process must end that was asked to. */
const END_MS = 3000;
/** Pause before the model is loaded again after loading has failed. */
const PAUSE_MS = 1000;
/** Longest temporary folder in which a socket's path is short enough for every system. */
const LONGEST_FOLDER = 60;

export interface SupervisorOptions extends Omit<Start, "socket"> {
  /** The module of the process, which calls `runModelProcess`. */
  readonly entry: URL;
  /** Losses of the process within a minute after which it is started again; one more is the last. */
  readonly restarts: number;
  /** Milliseconds in which a process must notice that a request has ended (30,000). */
  readonly noticeMs?: number;
}

/** Loading failed in the process, which has described it: the status for this process's exit, and what to print. */
export class LoadFailure extends Error {
  constructor(
    readonly status: number,
    readonly text: string,
  ) {
    super(text.trimEnd());
  }
}

/** A process with a model. */
interface Running {
  readonly child: ChildProcess;
  readonly socket: string;
  readonly startedMs: number;
  /** Settles when the process has ended. */
  readonly gone: Promise<LostError>;
  /** Requests that have not ended, by number. */
  readonly asked: Map<number, (ended: Ended) => void>;
  ready: boolean;
  /** Whether its loss was reported. */
  announced: boolean;
  /** Why it was ended, or what it reported before its end. */
  reason?: string;
  failure?: LoadFailure;
}

/**
 * Runs a model in a process of its own, and starts another if that ends or loses its device. Requests go there as HTTP over a socket in
 * a private folder.
 */
export class Supervisor implements Backend {
  #folder: string | undefined;
  #running: Running | undefined;
  #events: BackendEvents | undefined;
  #stopping = false;
  /** Whether a process has loaded the model, ever. */
  #loaded = false;
  #number = 0;
  #losses: number[] = [];
  #pause: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: SupervisorOptions) {}

  /** Throws LoadFailure, WorkerError if the process ends while it loads, and AbortedError after `stop`. */
  async start(events: BackendEvents): Promise<void> {
    this.#events = events;
    if (this.#stopping) throw new AbortedError("loading the model", undefined);
    if (process.platform !== "win32") {
      const folder = tmpdir().length <= LONGEST_FOLDER ? tmpdir() : "/tmp";
      // Only this user may enter it.
      this.#folder = mkdtempSync(join(folder, "ocellus-"));
    }
    return new Promise((resolve, reject) => this.#spawn(resolve, reject));
  }

  ask({ id, path, body }: Asked, signal: AbortSignal): Asking {
    const running = this.#running;
    if (!running?.ready) {
      const reply = Promise.reject(new LostError("the model is being loaded"));
      return { reply, ended: Promise.resolve(NOTHING) };
    }
    const number = this.#number++;
    const ended = new Promise<Ended>((resolve) => running.asked.set(number, resolve));
    const length = body.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const asking = request({
      socketPath: running.socket,
      path,
      method: "POST",
      // One connection per request: to close it is to abort.
      agent: false,
      headers: { "content-type": "application/json", "content-length": length, [NUMBER]: number, [ID]: id },
    });
    let notice: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    const abort = (): void => {
      asking.destroy();
      if (isOver) return;
      const late = (): void => this.#kill(running, "it did not notice the end of a request");
      notice = setTimeout(late, this.options.noticeMs ?? NOTICE_MS);
    };
    signal.addEventListener("abort", abort, { once: true });
    // Its answer may be read for longer.
    asking.once("close", () => signal.removeEventListener("abort", abort));
    ended.then(() => {
      isOver = true;
      clearTimeout(notice);
    });
    const reply = new Promise<Reply>((resolve, reject) => {
      const broke = (error: unknown): unknown => this.#broken(running, signal, error).then(reject);
      asking.on("error", broke);
      asking.on("response", (response) => {
        // From here on the body has the errors.
        asking.off("error", broke).on("error", () => {});
        resolve({
          status: response.statusCode ?? 500,
          contentType: response.headers["content-type"] ?? "application/json",
          body: this.#body(response, running, signal),
        });
      });
    });
    // Not by `end` alone: its empty write fails when the answer was faster, and takes the answer along.
    for (const [i, piece] of body.entries()) asking.write(piece, () => i === body.length - 1 && asking.end());
    if (length === 0) asking.end();
    if (signal.aborted) abort();
    return { reply, ended };
  }

  /** Ends the process; in-flight requests fail. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#pause);
    const running = this.#running;
    if (running) {
      if (running.child.connected) running.child.disconnect();
      const late = setTimeout(() => running.child.kill("SIGKILL"), END_MS);
      await running.gone;
      clearTimeout(late);
    }
    this.#removeFolder();
  }

  #removeFolder(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  async *#body(response: IncomingMessage, running: Running, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of response) yield piece as Uint8Array;
    } catch (error) {
      throw await this.#broken(running, signal, error);
    }
  }

  /** Why a connection to the process broke: the request was aborted, or the process has ended or must. */
  async #broken(running: Running, signal: AbortSignal, error: unknown): Promise<unknown> {
    if (signal.aborted) return signal.reason;
    const late = setTimeout(() => this.#kill(running, `its connection broke: ${causeMessage(error)}`), NOTICE_MS);
    const lost = await running.gone;
    clearTimeout(late);
    return signal.aborted ? signal.reason : lost;
  }

  #kill(running: Running, reason: string): void {
    running.reason ??= reason;
    running.child.kill("SIGKILL");
  }

  /** Starts a process; the callbacks are for the first. */
  #spawn(loaded?: () => void, failed?: (error: Error) => void): void {
    const { entry, parallel, maxPixels, remoteMedia, settings } = this.options;
    const name = `model-${randomUUID()}`;
    const socket =
      this.#folder === undefined ? `\\\\.\\pipe\\ocellus-${name}` : join(this.#folder, `${name.slice(0, 14)}.sock`);
    // Standard output is the server's.
    const child = fork(fileURLToPath(entry), [], { stdio: ["ignore", 2, 2, "ipc"], serialization: "json" });
    // The channel's end tells it the same, unless it blocks.
    const exit = (): void => {
      child.kill("SIGKILL");
      this.#removeFolder();
    };
    process.once("exit", exit);
    const asked = new Map<number, (ended: Ended) => void>();
    const gone = new Promise<LostError>((resolve) => {
      let how: string | undefined;
      const end = (): void => {
        process.off("exit", exit);
        if (this.#running === running) resolve(this.#ended(running, how ?? "it ended", failed));
      };
      child.once("exit", (status, signal) => {
        how = signal ? `it was ended by ${signal}` : `it ended with status ${status}`;
        if (running.ready) this.#announce(running, running.reason ?? how);
        // After its last message, which may arrive later.
        if (child.connected) child.once("disconnect", end);
        else end();
      });
      child.on("error", (error) => {
        how ??= error.message;
        if (child.pid === undefined) end();
      });
    });
    const running: Running = {
      child,
      socket,
      asked,
      gone,
      startedMs: performance.now(),
      ready: false,
      announced: false,
    };
    this.#running = running;
    child.on("message", (message) => this.#receive(running, message as ProcessMessage, loaded));
    const start: Start = { socket, parallel, maxPixels, remoteMedia, settings };
    // An error is followed by the exit.
    child.send(start, () => {});
  }

  #receive(running: Running, message: ProcessMessage, loaded: (() => void) | undefined): void {
    const events = this.#events!;
    switch (message.kind) {
      case "ready": {
        running.ready = true;
        this.#loaded = true;
        events.ready({
          pid: running.child.pid ?? 0,
          seconds: (performance.now() - running.startedMs) / 1000,
          adapter: message.adapter,
        });
        loaded?.();
        break;
      }
      case "failed":
        running.failure = new LoadFailure(message.status, message.text);
        break;
      case "lost":
        // At once, and not when the process has ended.
        this.#announce(running, message.reason);
        this.#kill(running, message.reason);
        break;
      case "ended":
        running.asked.get(message.number)?.(message.ended);
        running.asked.delete(message.number);
        break;
      case "memory":
        events.memory(message.use);
        break;
      case "error":
        events.error(message.error);
        break;
      case "progress":
        events.progress(message.progress);
        break;
    }
  }

  /** Tells once that a process is lost, before its requests are. */
  #announce(running: Running, reason: string): void {
    if (running.announced || this.#stopping || !this.#loaded) return;
    running.announced = true;
    running.ready = false;
    this.#events!.lost(reason);
  }

  /** A process has ended; starts another. `failed` is called instead if the model was never loaded. */
  #ended(running: Running, how: string, failed: ((error: Error) => void) | undefined): LostError {
    const reason = running.reason ?? running.failure?.message ?? how;
    const wasLoaded = running.ready || running.announced;
    this.#announce(running, reason);
    for (const end of running.asked.values()) end(NOTHING);
    running.asked.clear();
    this.#running = undefined;
    if (!this.#loaded) {
      failed?.(this.#stopping ? new AbortedError("loading the model", undefined) : (running.failure ?? died(reason)));
    } else if (!this.#stopping) this.#again(reason, wasLoaded);
    return new LostError(reason);
  }

  #again(reason: string, atOnce: boolean): void {
    const now = performance.now();
    this.#losses = [...this.#losses.filter((then) => now - then < LOSS_MS), now];
    if (this.#losses.length > this.options.restarts) {
      this.#events!.failed(died(`${this.#losses.length} ends within a minute, the last because ${reason}`));
    } else if (atOnce) this.#spawn();
    else this.#pause = setTimeout(() => this.#spawn(), PAUSE_MS);
  }
}

function died(got: string): WorkerError {
  return new WorkerError({
    where: "ocellus serve",
    expected: "the model's process to run until the server ends it",
    got,
    remedy:
      "look at the lines above, at the memory of this machine and at its GPU's driver, then start the server again",
  });
}
