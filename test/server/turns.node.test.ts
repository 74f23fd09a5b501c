import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setImmediate } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { answerInTurns, Turns } from "../../src/server/turns.js";

/** The requests that were answered. */
const answered: string[] = [];
const server = createServer((request, response) => {
  answered.push(request.url!);
  response.end("x");
});
answerInTurns(server, new Set(["/probe"]));
server.listen(0, "127.0.0.1");
await once(server, "listening");
afterAll(() => server.close());

/** Sends text on a new connection; resolves with what came, once the server or the number of answers ended it. */
async function send(text: string, answers: number): Promise<string> {
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  let got = "";
  socket
    .on("error", () => {})
    .on("data", (data) => {
      got += data;
      if (got.split("HTTP/1.1 200").length > answers) socket.destroy();
    });
  socket.write(text);
  await once(socket, "close");
  return got;
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

const busy = (ms: number): void => {
  const until = performance.now() + ms;
  while (performance.now() < until);
};

test("work is done in its order, some milliseconds of it in each turn of the event loop", async () => {
  const turns = new Turns();
  const done: number[] = [];
  for (let i = 0; i < 6; i++) {
    turns.add(() => {
      busy(3);
      done.push(i);
    });
  }
  expect(done).toEqual([]);
  const after: number[] = [];
  while (done.length < 6) {
    await setImmediate();
    after.push(done.length);
  }
  // Each turn ends with the work that exceeds it; none takes everything.
  expect(done).toEqual([0, 1, 2, 3, 4, 5]);
  expect(new Set(after).size).toBeGreaterThan(2);
  expect(Math.max(...after.map((count, i) => count - (after[i - 1] ?? 0)))).toBeLessThan(3);
});

test("work that adds work comes after what waits, and work after a pause is done", async () => {
  const turns = new Turns();
  const done: string[] = [];
  turns.add(() => {
    done.push("first");
    turns.add(() => done.push("third"));
  });
  turns.add(() => done.push("second"));
  for (let i = 0; i < 4; i++) await setImmediate();
  expect(done).toEqual(["first", "second", "third"]);
  turns.add(() => done.push("fourth"));
  await setImmediate();
  await setImmediate();
  expect(done).toHaveLength(4);
});

test("probes are answered before requests that came earlier", async () => {
  answered.length = 0;
  await send(`${get("/one")}${get("/two")}${get("/probe")}`, 3);
  expect(answered).toEqual(["/probe", "/one", "/two"]);
});

test("a connection with more unanswered requests than clients send is closed, and they are not answered", async () => {
  answered.length = 0;
  expect(await send(get("/many").repeat(40), 40)).toBe("");
  expect(answered).toEqual([]);
  await send(get("/few").repeat(20), 20);
  expect(answered).toHaveLength(20);
});
