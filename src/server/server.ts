import type { AddressInfo } from "node:net";
import { SourceError } from "../base/errors.js";
import { ChatCompletions } from "../openai/chat-completions.js";
import { App, type AppOptions, type Served } from "./app.js";
import { serverPackages } from "./packages.js";
import { remoteMedia } from "./remote-media.js";

export interface ServerOptions extends AppOptions {
  readonly host: string;
  readonly port: number;
  readonly remoteMedia: boolean;
  /** Pixels of all pictures of a request; no bound of its own if not given. */
  readonly maxPixels?: number;
}

export interface RunningServer {
  readonly url: string;
  readonly app: App;
  /** Rejects new requests, waits up to the grace period for running ones, and aborts the rest. */
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
 * Listens immediately, and accepts requests once `load` resolves. Throws MissingPackageError, and errors of `load` and of
 * listening.
 */
export async function startServer(load: () => Promise<Served>, options: ServerOptions): Promise<RunningServer> {
  const packages = await serverPackages();
  const app = new App(packages, options);
  const server = packages.serve({ fetch: app.hono.fetch, overrideGlobalObjects: false }) as import("node:http").Server;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(notListening(cause, options)));
    server.listen(options.port, options.host, () => resolve());
  });
  const { address, family, port } = server.address() as AddressInfo;
  const close = async (graceSeconds: number): Promise<void> => {
    app.refuse("the server is stopping");
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const grace = setTimeout(() => app.abort(), graceSeconds * 1000);
    while (app.queue.active > 0 || app.queue.length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    clearTimeout(grace);
    // Let the last responses be sent.
    const drained = setTimeout(() => server.closeAllConnections(), 1000);
    server.closeIdleConnections();
    await closed;
    clearTimeout(drained);
  };
  try {
    const { model, name, embed } = await load();
    app.ready(
      new ChatCompletions(model, {
        name,
        keepSessions: options.parallel,
        ...(options.maxPixels !== undefined && { maxPixels: options.maxPixels }),
        ...(options.remoteMedia && { readMedia: remoteMedia() }),
      }),
      embed,
    );
  } catch (error) {
    await close(0);
    throw error;
  }
  return { url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`, app, close };
}
