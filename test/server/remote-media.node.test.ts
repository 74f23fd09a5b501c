import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { remoteMedia } from "../../src/server/remote-media.js";

// A server of pictures that accepts connections and falls silent.

let server: Server;
let url: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    if (request.url === "/headers") return;
    response.writeHead(200, { "content-type": "image/png" });
    response.write(new Uint8Array(10));
    if (request.url === "/drip") setInterval(() => response.write(new Uint8Array(1)), 20).unref();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const read = remoteMedia((address) => address === "127.0.0.1", 0.2);

test.each(["/headers", "/body", "/drip"])("the deadline ends %s, also after a collection of garbage", async (path) => {
  const { signal } = new AbortController();
  const reading = read(url + path, { param: "image_url", signal });
  // A timeout that nothing refers to would be collected here.
  for (let i = 0; i < 50; i++) new Uint8Array(2e6).fill(1);
  (globalThis as { gc?: () => void }).gc?.();
  await expect(reading).rejects.toThrow(/got none within 0.2 s/);
});

test("the client's abort ends the wait with its reason", async () => {
  const controller = new AbortController();
  const reading = read(`${url}/headers`, { param: "image_url", signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  await expect(reading).rejects.toMatchObject({ name: "AbortError" });
});
