import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
};

/** A server of files for a browser without remote control: its pages send what they found to `/report`, and lines to print to `/log`. */
export interface ReportServer {
  readonly url: string;
  /** Resolves with the first report, or rejects after `milliseconds`. */
  report(milliseconds: number): Promise<unknown>;
  close(): Promise<void>;
}

/** Serves `pages` by path, then the files of the folders. */
export async function serveForReport(
  pages: Readonly<Record<string, string>>,
  folders: readonly string[],
): Promise<ReportServer> {
  let receive: (text: string) => void;
  const received = new Promise<string>((resolve) => {
    receive = resolve;
  });
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url!, "http://localhost").pathname));
    if (path === "/report" || path === "/log") {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      response.end();
      const text = Buffer.concat(parts).toString();
      if (path === "/report") receive(text);
      else console.log(text);
      return;
    }
    const name = path.endsWith("/") ? `${path}index.html` : path;
    let body: string | Buffer | undefined = pages[name];
    for (const folder of folders) body ??= await readFile(join(folder, name)).catch(() => undefined);
    if (body === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}/`,
    report: async (milliseconds) => {
      const late = new Promise<never>((_, reject) => {
        setTimeout(() => reject(new Error(`no report within ${milliseconds / 1000} s`)), milliseconds).unref();
      });
      return JSON.parse(await Promise.race([received, late]));
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
