import { type IncomingMessage, request } from "node:http";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Answer } from "../../src/models/chat/answer.js";
import type { ChatModel, ChatSession } from "../../src/models/chat/chat-model.js";
import { Bodies } from "../../src/server/bodies.js";
import { Refusal } from "../../src/server/refusal.js";
import type { RunningServer } from "../../src/server/server.js";
import { serveHere } from "../support/server-here.js";

// Bodies of any transfer encoding within bounds of size, time and number; host names; HEAD and Expect.

const never = {
  generate: () =>
    Answer.start(
      () => new Promise(() => {}),
      () => {},
    ),
  dispose: () => {},
};
const model = { createSession: () => never as unknown as ChatSession } as unknown as ChatModel;
let server: RunningServer;
beforeAll(async () => {
  server = await serveHere(async () => ({ model, name: "idle" }), {
    name: "idle",
    parallel: 2,
    queue: 2,
    timeoutSeconds: 1,
    maxBodyBytes: 1000,
    bodyIdleMs: 200,
    hosts: ["model.example"],
    maxPixels: 1_000_000,
  });
});
afterAll(() => server?.close(0));

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: IncomingMessage["headers"];
}

/** A request with a body in pieces, which makes Node send it chunked unless a length is given; without an end if `open`. */
function send(
  path: string,
  options: { method?: string; headers?: Record<string, string>; pieces?: readonly string[]; open?: boolean } = {},
): Promise<Reply> {
  const { method = "POST", headers = {}, pieces = [], open = false } = options;
  return new Promise((resolve, reject) => {
    const asked = request(`${server.url}${path}`, {
      method,
      headers: { ...(method === "POST" && { "content-type": "application/json" }), ...headers },
    });
    asked.on("error", reject);
    asked.on("response", (response) => {
      let text = "";
      response.on("data", (data) => {
        text += data;
      });
      response.on("end", () => resolve({ status: response.statusCode!, text, headers: response.headers }));
    });
    asked.on("continue", () => asked.end(pieces.join("")));
    if (headers.expect) return asked.flushHeaders();
    for (const piece of pieces) asked.write(piece);
    if (open) asked.flushHeaders();
    else asked.end();
  });
}

const CHAT = "/v1/chat/completions";

test("a body in chunks is read as one with a length", async () => {
  const pieces = ['{"messages": [{"role": "us', 'er", "content": "H\u00e4"', '}], "nonsense": 1}'];
  const { status, text } = await send(CHAT, { pieces });
  expect([status, JSON.parse(text).error.code]).toEqual([400, "unknown_parameter"]);
});

test("a body over the limit is refused, by its length before it is read", async () => {
  expect(await send(CHAT, { pieces: ["x".repeat(600), "x".repeat(600)] })).toMatchObject({ status: 413 });
  expect(await send(CHAT, { headers: { "content-length": "5000" }, open: true })).toMatchObject({ status: 413 });
});

test("a body in thousands of tiny chunks is refused", async () => {
  const pieces = Array.from({ length: 5000 }, () => Buffer.from("[").subarray(0, 1));
  const bodies = new Bodies({ most: 1e6, total: 1e6, idleMs: 1000 });
  const refused = await bodies.read(Readable.from(pieces), 0, new AbortController().signal).catch((error) => error);
  expect(refused).toBeInstanceOf(Refusal);
  expect(refused.reply).toMatchObject({ status: 400, body: { error: { code: "small_chunks" } } });
  expect(bodies.heldBytes).toBe(0);
});

test("pictures with too many pixels in all are refused before they are decoded", async () => {
  // The header of a PNG is enough to know its size.
  const header = Buffer.alloc(33);
  Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13]).copy(header);
  header.write("IHDR", 12);
  header.writeUInt32BE(700, 16);
  header.writeUInt32BE(1000, 20);
  header.set([8, 2], 24);
  const part = { type: "image_url", image_url: { url: `data:image/png;base64,${header.toString("base64")}` } };
  const messages = [{ role: "user", content: [part, part] }];
  const { status, text } = await send(CHAT, { pieces: [JSON.stringify({ messages })] });
  const { code, param, message } = JSON.parse(text).error;
  expect([status, code, param]).toEqual([413, "too_many_pixels", "messages[0].content[1].image_url.url"]);
  expect(message).toContain("--max-pixels");
});

test("a body that stops coming ends the request", async () => {
  const { status, text } = await send(CHAT, { pieces: ['{"messages":'], open: true });
  expect([status, JSON.parse(text).error.code]).toEqual([408, "request_timeout"]);
});

test("a client that waits for permission to send gets it", async () => {
  const { status, text } = await send(CHAT, { headers: { expect: "100-continue" }, pieces: ["no JSON"] });
  expect([status, JSON.parse(text).error.code]).toEqual([400, "invalid_json"]);
});

test("HEAD has the headers of GET and no body", async () => {
  const got = await send("/health", { method: "GET" });
  const head = await send("/health", { method: "HEAD" });
  expect([head.status, head.text]).toEqual([got.status, ""]);
  expect(head.headers["content-type"]).toBe(got.headers["content-type"]);
});

test.each([
  ["model.example", 200],
  ["MODEL.example:8080", 200],
  ["localhost:1", 200],
  ["127.0.0.1", 200],
  ["[::1]:80", 200],
  ["attacker.example", 403],
  ["127.0.0.1.attacker.example", 403],
])("a request to the host %s: %i", async (host, status) => {
  const reply = await send("/health", { method: "GET", headers: { host } });
  expect(reply.status).toBe(status);
  if (status === 403) expect(reply.text).toContain("--allow-host");
});

test("bodies of requests count together until they are released", async () => {
  const bodies = new Bodies({ most: 100, total: 150, idleMs: 1000 });
  const body = (text: string) =>
    bodies.read(Readable.from([Buffer.from(text)]), text.length, new AbortController().signal);
  const first = await body("a".repeat(90));
  expect(bodies.heldBytes).toBe(90);
  const refused = await body("b".repeat(90)).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(Refusal);
  expect((refused as Refusal).reply.status).toBe(429);
  expect(bodies.heldBytes).toBe(90);
  first.release();
  first.release();
  expect(bodies.heldBytes).toBe(0);
  expect(Buffer.concat((await body("b".repeat(90))).bytes).toString()).toBe("b".repeat(90));
});

test("chunks of any size are kept in few pieces", async () => {
  const bodies = new Bodies({ most: 2 ** 20, total: 2 ** 20, idleMs: 1000 });
  const bytes = Buffer.from(Array.from({ length: 600_000 }, (_, i) => i % 251));
  for (const [size, length] of [
    [7, 28_000],
    [150, bytes.length],
    [5000, bytes.length],
    [bytes.length, bytes.length],
  ] as const) {
    const sent = bytes.subarray(0, length);
    const pieces = function* () {
      for (let at = 0; at < length; at += size) yield sent.subarray(at, at + size);
    };
    const read = await bodies.read(Readable.from(pieces()), 0, new AbortController().signal);
    expect(read.bytes.length).toBeLessThan(5);
    expect(Buffer.concat(read.bytes).equals(sent)).toBe(true);
    read.release();
  }
});

test("chunks with memory of their own are kept without a copy, in their order among small ones", async () => {
  const bodies = new Bodies({ most: 2 ** 20, total: 2 ** 20, idleMs: 1000 });
  const large = Buffer.from(Uint8Array.from({ length: 70_000 }, (_, i) => i % 251).buffer);
  const small = Buffer.from("abcdef").subarray(1, 3);
  const read = await bodies.read(Readable.from([small, small, large, small, large]), 0, new AbortController().signal);
  expect(Buffer.concat(read.bytes).equals(Buffer.concat([small, small, large, small, large]))).toBe(true);
  expect(read.bytes.filter(({ buffer }) => buffer === large.buffer)).toHaveLength(2);
  expect(read.bytes).toHaveLength(4);
});

test("a body whose client leaves, before or while it is read, is refused and its bytes are not held", async () => {
  const bodies = new Bodies({ most: 100, total: 150, idleMs: 1000 });
  for (const begun of [false, true]) {
    const body = new Readable({ read: () => {} });
    if (!begun) body.destroy();
    const read = bodies.read(body, 0, new AbortController().signal).catch((error: unknown) => error);
    if (begun) {
      body.push("half of");
      await new Promise(setImmediate);
      expect(bodies.heldBytes).toBe(7);
      body.destroy();
    }
    expect(((await read) as Refusal).reply.status).toBe(499);
    expect(bodies.heldBytes).toBe(0);
  }
});
