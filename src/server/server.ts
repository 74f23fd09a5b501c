import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { SourceError } from "../base/errors.js";
import { App, type AppOptions, PROBES } from "./app.js";
import type { Backend } from "./backend.js";
import { LONGEST_MS } from "./deadline.js";
import { serverPackages } from "./packages.js";
import { answerInTurns } from "./turns.js";

/** Connections on which nothing happens for this time longer than a request may take are closed. */
const IDLE_MS = 30_000;
/** Time for the last responses to be sent. */
const SENT_MS = 1000;

export interface ServerOptions extends AppOptions {
  readonly host: string;
  readonly port: number;
}

export interface RunningServer {
  readonly url: string;
  readonly app: App;
  /** Rejects new requests, waits up to the grace period for running ones, aborts the rest, and stops the backend. */
  close(graceSeconds: number): Promise<void>;
}

const LISTEN_FAULTS: Readonly<Record<string, { got: string; remedy: string }>> = {
  EADDRINUSE: { got: "a port that another program uses", remedy: "stop it, or give another port (0 for any free one)" },
  EACCES: { got: "no permission", remedy: "give a port from 1024 on" },
  EADDRNOTAVAIL: { got: "an address that this machine does not have", remedy: "give 127.0.0.1, or 0.0.0.0 for all" },
  ENOTFOUND: { got: "a host name that does not resolve", remedy: "give an address, such as 127.0.0.1" },
};

function notListening(cause: NodeJS.ErrnoException, { host, port }: ServerOptions): SourceError {
  const known = LISTEN_FAULTS[cause.code ?? ""] ?? { got: cause.message, remedy: "check host and port" };
  return new SourceError({ where: `${host}:${port}`, expected: "to listen there", ...known, cause });
}

/**
 * Listens immediately, and accepts requests once the backend has loaded its model. Throws MissingPackageError, and errors of listening
 * and of the backend's start.
 */
export async function startServer(backend: Backend, options: ServerOptions): Promise<RunningServer> {
  const packages = await serverPackages();
  const app = new App(packages, backend, options);
  const server = packages.serve({ fetch: app.hono.fetch, overrideGlobalObjects: false }) as Server;
  answerInTurns(server, PROBES);
  server.timeout = Math.min(options.timeoutSeconds * 1000 + IDLE_MS, LONGEST_MS);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(notListening(cause, options)));
    server.listen(options.port, options.host, () => resolve());
  });
  const { address, family, port } = server.address() as AddressInfo;
  const close = async (graceSeconds: number): Promise<void> => {
    app.refuse("the server is stopping");
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    let abortedMs = Number.POSITIVE_INFINITY;
    const grace = setTimeout(() => {
      app.abort();
      abortedMs = performance.now();
    }, graceSeconds * 1000);
    // A model that does not notice the abort is ended below.
    const isBusy = (): boolean => app.queue.active > 0 || app.queue.length > 0;
    while (isBusy() && performance.now() - abortedMs < SENT_MS) await new Promise((resolve) => setTimeout(resolve, 20));
    clearTimeout(grace);
    const drained = setTimeout(() => server.closeAllConnections(), SENT_MS);
    server.closeIdleConnections();
    await closed;
    clearTimeout(drained);
    await backend.stop();
  };
  try {
    await backend.start(app);
  } catch (error) {
    await close(0);
    throw error;
  }
  return { url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`, app, close };
}
