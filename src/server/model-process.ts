import { rmSync } from "node:fs";
import type { Server } from "node:http";
import { setPriority } from "node:os";
import { dirname } from "node:path";
import type { LoadProgress, MemoryUse } from "./backend.js";
import { Engine, type Served } from "./engine.js";
import { hiddenError } from "./hidden-error.js";
import { NUMBER, type ProcessMessage, type Start } from "./messages.js";
import { serverPackages } from "./packages.js";
import { remoteMedia } from "./remote-media.js";

/** Interval in which the bytes on the device are reported. */
const REPORT_MS = 1000;
/** After this time a process that should end does, even if loading has not noticed the abort. */
const END_MS = 2000;
/**
 * Nice value of the process: the server's own comes first where an adapter computes on the CPU and takes every core, so that /health is
 * answered in milliseconds. The adapter's threads inherit it.
 */
const NICE = 10;
/** Signals go to a terminal's whole process group; the server decides when its model ends. */
const LEFT_TO_SERVER = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A loaded model. */
export interface LoadedModel extends Served {
  /** The adapter's name. */
  readonly adapter: string;
  memory(): MemoryUse;
  /** Resolves with the reason when the device is lost. */
  readonly lost: Promise<string>;
}

export interface LoadTools {
  readonly signal: AbortSignal;
  progress(progress: LoadProgress): void;
}

/** Loads a model by the `settings` that the server was started with. */
export type LoadModel = (settings: unknown, tools: LoadTools) => Promise<LoadedModel>;

/**
 * Runs in the process that `Supervisor` forks: loads a model, answers requests that come over the socket, and ends with the server.
 * `describe` says what is printed of an error of loading, and the status.
 */
export function runModelProcess(
  load: LoadModel,
  describe: (error: unknown) => { readonly status: number; readonly text: string },
): void {
  setPriority(NICE);
  for (const name of LEFT_TO_SERVER) process.on(name, () => {});
  // Without a reader of them, as in `guardErrors` of the command line.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const send = (message: ProcessMessage, sent = () => {}): void => {
    // Without a server the process is about to end.
    if (process.connected) process.send?.(message, undefined, undefined, sent);
  };
  // Node would print the message, which may quote a request.
  process.on("uncaughtException", (error) => send({ kind: "error", error: hiddenError(error) }, () => process.exit(1)));
  const abort = new AbortController();
  let socket: string | undefined;
  let loaded: LoadedModel | undefined;
  const end = (): void => {
    if (socket !== undefined && process.platform !== "win32") rmSync(dirname(socket), { recursive: true, force: true });
    process.exit(0);
  };
  process.on("disconnect", () => {
    abort.abort();
    if (loaded) end();
    else setTimeout(end, END_MS);
  });
  process.once("message", async (message) => {
    const start = message as Start;
    socket = start.socket;
    try {
      const progress = (progress: LoadProgress): void => send({ kind: "progress", progress });
      loaded = await load(start.settings, { signal: abort.signal, progress });
      if (abort.signal.aborted) return end();
      await serveOver(start, loaded, send);
    } catch (error) {
      if (abort.signal.aborted) return end();
      send({ kind: "failed", ...describe(error) }, () => process.exit(1));
    }
  });
}

async function serveOver(start: Start, model: LoadedModel, send: (message: ProcessMessage) => void): Promise<void> {
  const { parallel, maxPixels } = start;
  model.lost.then((reason) => send({ kind: "lost", reason }));
  const engine = new Engine(
    model,
    {
      keepSessions: parallel,
      ...(maxPixels !== undefined && { maxPixels }),
      ...(start.remoteMedia && { readMedia: remoteMedia() }),
    },
    {
      error: (error) => send({ kind: "error", error }),
      lost: (error) => send({ kind: "lost", reason: error.message }),
    },
  );
  const { serve } = await serverPackages();
  const fetch = (request: Request): Promise<Response> => {
    const number = Number(request.headers.get(NUMBER));
    return engine.answer(request, (ended) => send({ kind: "ended", number, ended }));
  };
  const server = serve({ fetch, overrideGlobalObjects: false }) as Server;
  // The server bounds the time of requests.
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(start.socket, resolve);
  });
  let told = "";
  const tell = (): void => {
    const use = model.memory();
    const text = JSON.stringify(use);
    if (text !== told) send({ kind: "memory", use });
    told = text;
  };
  tell();
  setInterval(tell, REPORT_MS);
  send({ kind: "ready", adapter: model.adapter });
}
