import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { MediaError } from "../../src/base/errors.js";
import { enqueue, JobQueue, type JobQueueOptions } from "../../src/queue/job-queue.js";
import type { JobProgress } from "../../src/queue/jobs.js";
import { JobFault, type JobTools, QueueWorker, type QueueWorkerOptions } from "../../src/queue/queue-worker.js";
import { answered, type BatchRequest, type BatchResult } from "../../src/server/batch-lines.js";
import { missingForQueue, RedisServer } from "../support/redis.js";

// Queue and workers over a real server, with answers that need no model; test/cli/worker.node.test.ts has processes with one.

const missing = missingForQueue();
if (missing) console.log(`The queue is not tested: ${missing}`);

const request = (custom_id: string, text = "Hello!"): BatchRequest => ({
  custom_id,
  method: "POST",
  url: "/v1/chat/completions",
  body: { messages: [{ role: "user", content: text }] },
});
const requests = (count: number): BatchRequest[] => Array.from({ length: count }, (_, i) => request(`r${i}`));
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(missing)("a queue", () => {
  let server: RedisServer;
  let open: { close(): Promise<void> }[] = [];
  let name: string;
  let number = 0;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server?.dispose());
  beforeEach(() => {
    name = `queue-${number++}`;
  });
  afterEach(async () => {
    await Promise.all(open.map((one) => one.close()));
    open = [];
  });

  async function connect(options: JobQueueOptions = {}): Promise<JobQueue> {
    const queue = await JobQueue.connect(server.url, { name, backoffSeconds: 0.02, ...options });
    open.push(queue);
    return queue;
  }

  async function work(
    answer: (request: BatchRequest, tools: JobTools) => Promise<BatchResult>,
    options: Partial<QueueWorkerOptions> = {},
  ): Promise<QueueWorker> {
    const worker = await QueueWorker.start(server.url, {
      name,
      where: "test",
      concurrency: 4,
      lockSeconds: 30,
      stalls: 5,
      answer,
      events: {},
      ...options,
    });
    open.push({ close: () => worker.close(0) });
    return worker;
  }

  const echo = async ({ custom_id }: BatchRequest): Promise<BatchResult> => answered(custom_id, 200, custom_id);

  async function all(queue: JobQueue, given: Iterable<BatchRequest>, options = {}): Promise<BatchResult[]> {
    const results: BatchResult[] = [];
    for await (const result of queue.run(given, options)) results.push(result);
    return results;
  }

  test("run yields one result a request, and leaves nothing in the queue", async () => {
    const queue = await connect();
    await work(echo);
    const results = await all(queue, requests(250), { ahead: 20 });
    expect(results.map(({ custom_id }) => custom_id).sort()).toEqual(
      requests(250)
        .map((r) => r.custom_id)
        .sort(),
    );
    expect(await queue.counts()).toEqual({ waiting: 0, active: 0, delayed: 0, completed: 0, failed: 0 });
  });

  test("a request that is enqueued again is computed once; another text under its custom_id is another request", async () => {
    const [first] = await enqueue(server.url, [request("a")], { name });
    const queue = await connect();
    expect(await queue.enqueue([request("a"), request("a", "Other")])).toEqual([
      first,
      expect.not.stringMatching(first!),
    ]);
    expect((await queue.counts()).waiting).toBe(2);
    let computed = 0;
    await work(async (asked) => {
      computed++;
      return echo(asked);
    });
    expect(await queue.result(first!)).toMatchObject({ custom_id: "a", response: { status_code: 200 } });
    await queue.enqueue([request("a")]);
    expect(await all(queue, [request("a")])).toHaveLength(1);
    expect(computed).toBe(2);
  });

  test("a fault is tried again with growing delays; after the last attempt the result has status 500", async () => {
    const queue = await connect({ attempts: 3, backoffSeconds: 0.1 });
    const times: number[] = [];
    let isMended = false;
    await work(async (asked) => {
      if (isMended) return echo(asked);
      times.push(performance.now());
      throw new JobFault("the GPU was lost");
    });
    const [id] = await queue.enqueue([request("a")]);
    expect(await queue.result(id!)).toMatchObject({
      custom_id: "a",
      response: { status_code: 500, body: { error: { message: "the GPU was lost" } } },
    });
    expect(times).toHaveLength(3);
    expect(times[2]! - times[1]!).toBeGreaterThan(150);
    // What failed is tried again when it is enqueued again.
    isMended = true;
    expect(await queue.enqueue([request("a")])).toEqual([id]);
    expect((await queue.result(id!)).response?.status_code).toBe(200);
  });

  test("the reason of an unexpected error stays with the worker", async () => {
    const queue = await connect({ attempts: 1 });
    const told: unknown[] = [];
    await work(
      async () => {
        throw new Error("/home/someone/secret.txt");
      },
      { events: { failed: (_, error) => told.push(error) } },
    );
    const [result] = await all(queue, [request("a")]);
    expect(JSON.stringify(result)).toContain("internal error; see the worker's log");
    expect(String(told[0])).toContain("secret.txt");
    const known = new MediaError({ where: "x", expected: "y", got: "z", remedy: "w" });
    await work(async () => Promise.reject(known), { name: `${name}-known` });
    const other = await connect({ attempts: 1, name: `${name}-known` });
    expect(JSON.stringify(await all(other, [request("a")]))).toContain("x: expected y, got z");
  });

  test("the job of a worker that is silent goes to another one, and has one result", async () => {
    const queue = await connect();
    let aborted: unknown;
    let begun = 0;
    const answer = async (asked: BatchRequest, { signal }: JobTools): Promise<BatchResult> => {
      if (begun++ > 0) return echo(asked);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      aborted = signal.reason;
      throw signal.reason;
    };
    await work(answer, { lockSeconds: 0.4, concurrency: 1 });
    const { Redis } = await import("ioredis");
    const redis = new Redis(server.url);
    const [id] = await queue.enqueue([request("a")]);
    const result = queue.result(id!);
    await expect.poll(() => begun).toBe(1);
    await redis.set(`bull:${name}:${id}:lock`, "of another worker", "PX", 500);
    await work(answer, { lockSeconds: 0.4, concurrency: 1 });
    expect(await result).toMatchObject({ custom_id: "a", response: { status_code: 200 } });
    await expect.poll(() => aborted).toBeDefined();
    redis.disconnect();
  });

  test("close waits for running answers; after the grace they go back to the queue without an attempt", async () => {
    const queue = await connect({ attempts: 1 });
    let isBegun = false;
    const slow = await work(async (asked) => {
      isBegun = true;
      await sleep(300);
      return echo(asked);
    });
    const [id] = await queue.enqueue([request("a")]);
    await expect.poll(() => isBegun).toBe(true);
    const closing = slow.close(10_000);
    const [second] = await queue.enqueue([request("b")]);
    await closing;
    expect((await queue.result(id!)).custom_id).toBe("a");
    expect(await queue.counts()).toMatchObject({ waiting: 1, active: 0 });
    const endless = await work((_, { signal }) => {
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    });
    await expect.poll(async () => (await queue.counts()).active).toBe(1);
    await endless.close(50);
    expect(await queue.counts()).toMatchObject({ waiting: 1, active: 0, failed: 0 });
    await work(echo);
    expect((await queue.result(second!)).custom_id).toBe("b");
  });

  test("progress of the worker reaches the client", async () => {
    const queue = await connect();
    await work(async (asked, { progress }) => {
      progress({ tokens: 1 });
      await sleep(1100);
      progress({ tokens: 7 });
      progress({ tokens: 8 });
      return echo(asked);
    });
    const told: [string, JobProgress][] = [];
    await all(queue, [request("a")], { onProgress: (id: string, progress: JobProgress) => told.push([id, progress]) });
    expect(told).toEqual([["a", { tokens: 7 }]]);
  });

  test("a rate limit holds for all workers of the queue", async () => {
    const queue = await connect();
    let computed = 0;
    const answer = async (asked: BatchRequest): Promise<BatchResult> => {
      computed++;
      return echo(asked);
    };
    await work(answer, { jobsPerMinute: 3 });
    await work(answer, { jobsPerMinute: 3 });
    await queue.enqueue(requests(10));
    await expect.poll(() => computed).toBe(3);
    await sleep(500);
    expect(computed).toBe(3);
  });

  test("jobs that the server has lost are added again", async () => {
    const queue = await connect();
    const running = all(queue, requests(20));
    await expect.poll(async () => (await queue.counts()).waiting).toBe(20);
    const { Redis } = await import("ioredis");
    const redis = new Redis(server.url);
    await redis.flushall();
    redis.disconnect();
    await work(echo);
    expect(await running).toHaveLength(20);
  });

  test("a restart of the server loses nothing", async () => {
    const queue = await connect();
    await work(
      async (asked) => {
        await sleep(20);
        return echo(asked);
      },
      { lockSeconds: 1 },
    );
    let count = 0;
    const seen = new Set<string | null>();
    for await (const { custom_id } of queue.run(requests(60))) {
      seen.add(custom_id);
      if (++count === 20) {
        await server.stop();
        await server.start();
      }
    }
    expect([count, seen.size]).toEqual([60, 60]);
  });

  test("clients and workers can be closed while the server is away", async () => {
    const queue = await connect();
    const worker = await work((_, { signal }) => {
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    });
    const abort = new AbortController();
    const running = all(queue, requests(5), { signal: abort.signal });
    await expect.poll(async () => (await queue.counts()).active).toBe(4);
    await server.stop();
    abort.abort();
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
    await queue.close();
    await worker.close(10);
    open = [];
    await server.start();
  });

  test("leaving the loop leaves the rest in the queue, and a run can be aborted", async () => {
    const queue = await connect();
    const abort = new AbortController();
    const running = all(queue, requests(5), { signal: abort.signal });
    await expect.poll(async () => (await queue.counts()).waiting).toBe(5);
    abort.abort();
    await expect(running).rejects.toMatchObject({ code: "ABORTED" });
    expect((await queue.counts()).waiting).toBe(5);
    const waiting = queue.result((await queue.enqueue([request("r0")]))[0]!, { signal: AbortSignal.timeout(20) });
    await expect(waiting).rejects.toMatchObject({ code: "ABORTED" });
    await work(echo);
    expect(await all(queue, requests(5))).toHaveLength(5);
  });

  test("an error of the source ends the run", async () => {
    const queue = await connect();
    function* broken(): Generator<BatchRequest> {
      yield request("a");
      throw new Error("torn");
    }
    await expect(all(queue, broken())).rejects.toThrow("torn");
    await expect(all(queue, [{ custom_id: "a" } as BatchRequest])).rejects.toThrow("JobQueue.run, method");
  });

  test("a job that is not there is an error, and wrong options are", async () => {
    const queue = await connect();
    await expect(queue.result("0".repeat(40))).rejects.toThrow(
      "JobQueue.result: expected the id of a job in the queue",
    );
    await expect(all(queue, [], { ahead: 0 })).rejects.toThrow(
      "JobQueue.run, ahead: expected a whole number above 0, got 0",
    );
    const options: [object, string][] = [
      [{ attempts: 0.5 }, "JobQueue.connect, attempts"],
      [{ name: "a:b" }, "JobQueue.connect, name"],
      [{ backoffSeconds: -1 }, "JobQueue.connect, backoffSeconds"],
      [{ keepSeconds: Number.NaN }, "JobQueue.connect, keepSeconds"],
      [{ queue: "x" }, "JobQueue.connect"],
    ];
    for (const [wrong, message] of options) {
      await expect(JobQueue.connect(server.url, wrong)).rejects.toThrow(message);
    }
  });
});
