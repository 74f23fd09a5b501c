import { open, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
};

/** Serves the first of the folders that has a file, with byte ranges, as web servers do. */
export async function serveFolders(folders: readonly string[]): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(async ({ url = "/", method, headers }, response) => {
    const name = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
    for (const folder of folders) {
      const path = join(folder, name);
      const found = await stat(path).catch(() => undefined);
      if (!found?.isFile()) continue;
      const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "");
      const start = Number(range?.[1] ?? 0);
      const end = Math.min(Number(range?.[2] || found.size - 1), found.size - 1) + 1;
      response.writeHead(range ? 206 : 200, {
        "content-type": TYPES[extname(path)] ?? "application/octet-stream",
        "content-length": end - start,
        "accept-ranges": "bytes",
        ...(range && { "content-range": `bytes ${start}-${end - 1}/${found.size}` }),
      });
      if (method === "HEAD" || end <= start) {
        response.end();
        return;
      }
      const file = await open(path);
      file.createReadStream({ start, end: end - 1 }).pipe(response);
      return;
    }
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http://localhost:${port}/`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
