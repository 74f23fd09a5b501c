import { platform } from "#platform";
import { causeMessage } from "../base/cause-message.js";
import { AbortedError, type OcellusError, OptionError, throwIfAborted, WorkerError } from "../base/errors.js";
import type { AnswerWriter } from "../models/chat/answer.js";
import type { HeldLock } from "../platform/platform.js";
import { listen, type WorkerEnd } from "./endpoint.js";
import type { Connect, SentMessage, ToPage, ToWorker } from "./messages.js";
import { receiveError } from "./sent-error.js";
import { stopBeforeTermination, terminationFlag } from "./termination.js";

/** Connection timeout: generous for slow networks; a script without `serve` would never respond. */
const CONNECT_SECONDS = 60;
/** A thread that ends closes its ports, possibly before its own "error" and "exit" events, which say why, are delivered. */
const REASON_SECONDS = 1;
/** Id of the first call, the handshake. */
const CONNECTING = 0;

/** Options and callbacks of a pending call. */
export interface CallHooks {
  /** Name of the call in error messages. */
  readonly where: string;
  /** The caller's options: its signal, and its callbacks by name. */
  readonly options: { readonly signal?: AbortSignal | undefined };
  /** For answers: receives the pieces, and signals a stop. */
  readonly writer?: AnswerWriter;
  /** Receives the session's conversation after an answer. */
  readonly onMessages?: (messages: readonly SentMessage[], value: unknown) => void;
}

/** A message that starts a call, with its transferables. */
export interface Opening {
  readonly message: ToWorker;
  readonly transfer?: Transferable[];
}

interface Pending {
  readonly hooks: CallHooks;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Error that a callback of the caller threw. */
  thrown?: { readonly error: unknown };
}

/** The page's end of a port to a worker: sends calls and settles them. */
export class Connection {
  readonly #port: MessagePort;
  readonly #pending = new Map<number, Pending>();
  readonly #deaf: (() => void)[] = [];
  /** Resolves when the worker's end of the port is closed: the model was disposed, or the worker terminated. */
  readonly #closed: Promise<void>;
  /** The error of all further calls. */
  #ended: OcellusError | undefined;
  #next = CONNECTING + 1;

  /** Connects to `serve` in the worker. Throws WorkerError, AbortedError. */
  static async open(worker: WorkerEnd, where: string, signal?: AbortSignal): Promise<Connection> {
    const lock = await platform.lifeline?.hold();
    if (signal?.aborted) lock?.release();
    throwIfAborted(signal, where);
    const { port1, port2 } = new MessageChannel();
    const connection = new Connection(port1, worker, lock);
    let stop = (): void => {};
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const connected = new Promise<unknown>((resolve, reject) => {
        connection.#pending.set(CONNECTING, { hooks: { where, options: {} }, resolve, reject });
        stop = () => connection.end(new AbortedError(where, signal?.reason));
        signal?.addEventListener("abort", stop, { once: true });
        timer = setTimeout(() => connection.end(silent(where)), CONNECT_SECONDS * 1000);
        // Node emits no event for a worker that has already terminated.
        if ("threadId" in worker && worker.threadId === -1) connection.end(gone("a terminated worker"));
        const flag = terminationFlag();
        if (flag)
          stopBeforeTermination(worker, {
            stop: () => connection.end(terminated()),
            stopped: connection.#closed,
            flag,
          });
        const connect: Connect = { ocellus: "connect", port: port2, life: lock?.name, flag };
        worker.postMessage(connect, [port2 as never]);
      });
      const life = (await connected) as string | undefined;
      connection.#pending.delete(CONNECTING);
      if (life !== undefined) platform.lifeline?.ended(life).then(() => connection.end(gone("a terminated worker")));
      return connection;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  }

  private constructor(
    port: MessagePort,
    worker: WorkerEnd,
    private readonly lock: HeldLock | undefined,
  ) {
    this.#port = port;
    this.#closed = new Promise((resolve) => {
      listen(port, "close", () => resolve());
      listen(worker, "exit", () => resolve());
    });
    const dies = (value: unknown, got: string) => this.end(gone(got, value));
    // Not removed at the end: without a message listener, Node's ports don't emit "close".
    listen(port, "message", (data) => this.#receive(data as ToPage));
    this.#deaf.push(
      listen(port, "close", () => {
        setTimeout(() => dies(undefined, "a terminated worker"), "threadId" in worker ? REASON_SECONDS * 1000 : 0);
      }),
      listen(port, "messageerror", (event) => dies(event, "a message that cannot be read")),
      listen(worker, "error", (event) => dies(event, `an error in it: ${messageOf(event)}`)),
      listen(worker, "exit", () => dies(undefined, "a terminated worker")),
    );
  }

  /** Throws the connection's error, if it has ended. */
  check(): void {
    if (this.#ended) throw this.#ended;
  }

  post(message: ToWorker, transfer: Transferable[] = []): void {
    this.#port.postMessage(message, transfer);
  }

  /** Returns a new call id. */
  name(): number {
    return this.#next++;
  }

  /** Stops an answer in the worker. */
  stop(call: number): void {
    if (this.#pending.has(call)) this.post({ kind: "stop", call });
  }

  /** Sends a call and waits for its result. `opening` is preparation in the page, before the call is sent. */
  async call(call: number, opening: Promise<Opening>, hooks: CallHooks): Promise<unknown> {
    const { where, options } = hooks;
    const { signal } = options;
    const { message, transfer } = await opening;
    throwIfAborted(signal, where);
    this.check();
    const abort = (): void => this.post({ kind: "abort", call });
    try {
      return await new Promise<unknown>((resolve, reject) => {
        this.#pending.set(call, { hooks, resolve, reject });
        try {
          this.post(message, transfer);
        } catch (cause) {
          this.#pending.delete(call);
          throw unsendable(where, cause);
        }
        if (hooks.writer?.enough.aborted) this.stop(call);
        signal?.addEventListener("abort", abort, { once: true });
      });
    } catch (error) {
      // An AbortedError of this thread, with the caller's reason.
      if (error instanceof AbortedError && signal?.aborted) throw new AbortedError(error.fault.where, signal.reason);
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Rejects all pending and later calls with `error`; the port closes when the worker closes its end. */
  end(error: OcellusError): void {
    if (this.#ended) return;
    this.#ended = error;
    for (const stop of this.#deaf) stop();
    this.post({ kind: "dispose" });
    // An open port keeps a Node process alive.
    if ("unref" in this.#port && typeof this.#port.unref === "function") this.#port.unref();
    this.lock?.release();
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }

  #receive(message: ToPage): void {
    const call = message.kind === "connected" ? CONNECTING : message.call;
    const pending = this.#pending.get(call);
    if (!pending) return;
    const { hooks, resolve, reject, thrown } = pending;
    switch (message.kind) {
      case "connected":
        resolve(message.life);
        break;
      case "piece":
        hooks.writer?.emit(message.piece);
        break;
      case "callback":
        this.#callBack(call, pending, message.name, message.values);
        break;
      case "done":
      case "failed":
        this.#pending.delete(call);
        if (message.kind === "done" && message.messages) hooks.onMessages?.(message.messages, message.value);
        if (thrown) reject(thrown.error);
        else if (message.kind === "done") resolve(message.value);
        else reject(receiveError(message.error));
    }
  }

  /** An error in a callback ends its call, as without a worker. */
  #callBack(call: number, pending: Pending, name: string, values: readonly unknown[]): void {
    if (pending.thrown) return;
    try {
      (pending.hooks.options as Record<string, (...values: readonly unknown[]) => unknown>)[name]!(...values);
    } catch (error) {
      pending.thrown = { error };
      this.post({ kind: "abort", call });
    }
  }
}

function messageOf(event: unknown): string {
  const { message } = (event ?? {}) as { message?: unknown };
  return typeof message === "string" && message !== "" ? message : "its script could not be loaded";
}

function gone(got: string, cause?: unknown): WorkerError {
  return new WorkerError({
    where: "worker",
    expected: "a running worker",
    got,
    remedy: "start another worker and load the model again",
    ...(cause !== undefined && { cause }),
  });
}

function terminated(): WorkerError {
  return gone("a terminated worker");
}

function silent(where: string): WorkerError {
  return new WorkerError({
    where,
    expected: "a response from `serve` in the worker",
    got: `none in ${CONNECT_SECONDS} seconds`,
    remedy: "call serve(self) at the top of the worker's script, before its first await",
  });
}

function unsendable(where: string, cause: unknown): OptionError {
  return new OptionError({
    where,
    expected: "values that can be sent to a worker",
    got: causeMessage(cause),
    remedy: "leave out functions and class instances",
    cause,
  });
}
