import { expect, test } from "vitest";
import { failure } from "../../src/openai/api-error.js";
import { type Asking, type Backend, LostError, NOTHING, type Reply } from "../../src/server/backend.js";
import { Queue } from "../../src/server/queue.js";
import type { Refusal } from "../../src/server/refusal.js";
import { isEvents, Relay } from "../../src/server/relay.js";

// A request's runs, with a backend whose replies are written here; null is the loss of its process.

type Pieces = readonly (string | null)[];
interface Run {
  readonly status?: number;
  readonly contentType: string;
  readonly pieces: Pieces;
}
const events = (...pieces: Pieces): Run => ({ contentType: "text/event-stream; charset=utf-8", pieces });
const json = (...pieces: Pieces): Run => ({ contentType: "application/json", pieces });

async function* bodyOf(pieces: Pieces): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    if (piece === null) throw new LostError("it was ended by SIGKILL");
    yield Buffer.from(piece);
  }
}

async function relayed(path: string, ...runs: Run[]): Promise<{ status: number; text: string; failed: string[] }> {
  const asked: number[] = [];
  const backend = {
    ask(): Asking {
      const { status = 200, contentType, pieces } = runs[asked.length]!;
      asked.push(1);
      const reply: Promise<Reply> =
        contentType === "lost"
          ? Promise.reject(new LostError("it was ended by SIGKILL"))
          : Promise.resolve({ status, contentType, body: bodyOf(pieces) });
      return { reply, ended: Promise.resolve(NOTHING) };
    },
  } as unknown as Backend;
  const queue = new Queue(1, 1);
  const silent = { begun: () => {}, ended: () => {} };
  const relay = new Relay(queue, backend, { id: "id", path, body: [] }, new AbortController().signal, silent);
  const reply = await relay.begin();
  const failed: string[] = [];
  let text = "";
  if (isEvents(reply)) {
    const describe = (error: unknown) => (error as Refusal).reply ?? failure(500, "unexpected", "internal_error");
    for await (const piece of relay.stream(reply, describe, ({ body }) => failed.push(body.error.code!))) {
      text += Buffer.from(piece).toString();
    }
  } else text = reply.bytes.toString();
  expect(asked).toHaveLength(runs.length);
  expect(queue.active).toBe(0);
  return { status: reply.status, text, failed };
}

const CHAT = "/v1/chat/completions";

test("a reply is passed on, complete or as events", async () => {
  expect(await relayed(CHAT, json('{"a":', "1}"))).toEqual({ status: 200, text: '{"a":1}', failed: [] });
  expect((await relayed(CHAT, events("data: 1\n", "\ndata: 2\n\n"))).text).toBe("data: 1\n\ndata: 2\n\n");
});

test("a loss before anything was sent: the reply of the second run", async () => {
  expect((await relayed(CHAT, { contentType: "lost", pieces: [] }, json("{}"))).text).toBe("{}");
  expect((await relayed(CHAT, json('{"half', null), json("{}"))).text).toBe("{}");
  // A comment and half an event are nothing yet.
  const again = await relayed(CHAT, events(": working\n\n", "data: 1", null), events("data: 2\n\n"));
  expect(again).toEqual({ status: 200, text: ": working\n\ndata: 2\n\n", failed: [] });
});

test("a loss after an event: one of the error", async () => {
  const chat = await relayed(CHAT, events("data: 1\n\n", "data: half", null));
  expect(chat.failed).toEqual(["model_lost"]);
  expect(JSON.parse(chat.text.split("data: ")[2]!).error).toMatchObject({ code: "model_lost" });
  const response = await relayed("/v1/responses", events("event: x\ndata: 1\n\n", null));
  expect(response.text).toMatch(/^event: x\ndata: 1\n\nevent: error\ndata: {"type":"error","sequence_number":1,/);
});

test("two losses: an error, as a response or an event", async () => {
  const lost: Run = { contentType: "lost", pieces: [] };
  const twice = await relayed(CHAT, lost, lost).catch((error: Refusal) => error);
  expect(twice).toMatchObject({ reply: { status: 500 }, headers: { "x-should-retry": "false" } });
  const stream = await relayed(CHAT, events(": working\n\n", null), events(": working\n\n", null));
  expect(stream.failed).toEqual(["model_lost"]);
  expect(stream.text).toContain("ended twice");
});

test("a second run that is refused after the status line was sent: an event", async () => {
  const { body, status } = failure(400, "expected a text", "invalid_value", "messages");
  const refused: Run = { ...json(JSON.stringify(body)), status };
  const stream = await relayed(CHAT, events(": working\n\n", null), refused);
  expect(stream).toEqual({
    status: 200,
    text: `: working\n\ndata: ${JSON.stringify(body)}\n\n`,
    failed: ["invalid_value"],
  });
});
