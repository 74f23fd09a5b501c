import { createServer, type Server } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { QueueConnection, withoutPassword } from "../../src/queue/redis.js";
import { freePort } from "../support/docs-folder.js";
import { missingForQueue, RedisServer } from "../support/redis.js";

const missing = missingForQueue();
if (missing) console.log(`The queue's connection is not tested: ${missing}`);

afterEach(() => {
  for (const name of ["bullmq", "ioredis"]) vi.doUnmock(name);
});

const open = (url: string, options = {}) => QueueConnection.open("test", url, { patienceMs: 300, ...options });

test.each(["localhost:6379", "http://localhost:6379", "", undefined])("%s is no address of a queue", async (url) => {
  await expect(open(url as string)).rejects.toThrow(
    /test: expected the address of a Redis or Valkey server, got .* — give/,
  );
});

test("a server that is not there, or does not answer, is an error with its address, without the password", async () => {
  const port = await freePort();
  const refused = open(`redis://someone:secret@127.0.0.1:${port}/3`);
  await expect(refused).rejects.toThrow(`server at redis://127.0.0.1:${port}/3, got connect ECONNREFUSED`);
  await expect(refused).rejects.not.toThrow("secret");
  const silent: Server = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(port, "127.0.0.1", resolve));
  await expect(open(`redis://127.0.0.1:${port}`)).rejects.toThrow("got no answer");
  silent.close();
});

test.each([
  [["bullmq"], "the package bullmq, got", "npm install bullmq`"],
  [["bullmq", "ioredis"], "the packages bullmq and ioredis, got", "npm install bullmq ioredis`"],
])("without %j the error has the command that installs it", async (names, expected, command) => {
  for (const name of names) {
    vi.doMock(name, () => {
      throw new Error(`Cannot find package '${name}'`);
    });
  }
  const opening = open("redis://127.0.0.1:1");
  await expect(opening).rejects.toThrow(`test: expected ${expected}`);
  await expect(opening).rejects.toThrow(command);
  await expect(opening).rejects.toMatchObject({ code: "MISSING_PACKAGE" });
});

test("the wait for a server can be aborted", async () => {
  const signal = AbortSignal.timeout(50);
  const waiting = open(`redis://127.0.0.1:${await freePort()}`, { patienceMs: 60_000, signal });
  await expect(waiting).rejects.toMatchObject({ code: "ABORTED" });
});

test("addresses are shown without what is secret", () => {
  expect(withoutPassword("rediss://user:secret@host:6380/1")).toBe("rediss://host:6380/1");
  expect(withoutPassword("redis://localhost")).toBe("redis://localhost");
});

test.skipIf(missing)("a connection that is lost is made again, and says both", async () => {
  const server = await RedisServer.start();
  const said: string[] = [];
  const connection = await open(server.url, {
    onLost: (reason: string) => said.push(`lost: ${reason}`),
    onRestored: () => said.push("restored"),
  });
  try {
    await connection.redis.set("a", "1");
    await server.stop();
    await expect.poll(() => said).toEqual(["lost: the connection was closed"]);
    const waiting = connection.redis.get("a");
    await server.start();
    expect(await waiting).toBe("1");
    expect(said).toEqual(["lost: the connection was closed", "restored"]);
  } finally {
    await connection.close(Promise.resolve());
    await server.dispose();
  }
});
