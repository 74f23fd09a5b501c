import { AbortedError } from "../base/errors.js";
import { LlavaOneVision } from "../models/llava-onevision.js";
import { ChatCompletions } from "../openai/chat-completions.js";
import type { ReadMedia } from "../openai/content.js";
import { QUEUE_NAME } from "../queue/jobs.js";
import { JobFault, type JobTools, QueueWorker } from "../queue/queue-worker.js";
import { Batch } from "../server/batch.js";
import type { BatchRequest, BatchResult } from "../server/batch-lines.js";
import { LOG_FORMATS, Log, type LogFormat } from "../server/log.js";
import { remoteMedia } from "../server/remote-media.js";
import { SPECIAL_TOKENS_OPTION, specialTokensOption } from "./answer-options.js";
import type { Arguments, Command } from "./command.js";
import { filesBelow } from "./files-below.js";
import { type Interruption, type StopSignal, statusOf } from "./interruption.js";
import { MODEL_OPTIONS, modelLocation, openOptions, servedName } from "./model-options.js";
import { ProgressLine } from "./progress-line.js";
import { queueOf } from "./queue-options.js";

/** Answers the jobs of a queue until a signal arrives. */
export const worker: Command = {
  name: "worker",
  usage: "--queue redis://HOST:PORT [options]",
  about: `Answers requests of a queue in Redis or Valkey (BullMQ), any number of workers on any
number of machines: \`ocellus batch --queue\` and ocellus/queue add them. SIGTERM lets
running answers finish and takes no more.`,
  options: {
    queue: { value: "URL", help: "address of the server; or OCELLUS_QUEUE" },
    "queue-name": { value: "NAME", help: `name of the queue (${QUEUE_NAME})` },
    ...MODEL_OPTIONS,
    name: { value: "NAME", help: "model name in requests (hub id, or folder's name)" },
    concurrency: { value: "N", help: "requests processed concurrently, in shared steps (4)" },
    "input-dir": { value: "DIR", help: "allow paths below this folder for pictures and clips", path: true },
    "allow-remote-media": { help: "fetch pictures by http(s) from public addresses" },
    "rate-limit": { value: "N", help: "requests a minute, of all workers of the queue", rare: true },
    lock: { value: "S", help: "seconds for which a job waits for a worker that is silent (30)", rare: true },
    stalls: { value: "N", help: "workers that may end over a job before it fails (5)", rare: true },
    grace: { value: "S", help: "seconds to finish running requests when it is stopped (30)", rare: true },
    "max-pixels": { value: "MP", help: "megapixels of all pictures of a request (40)", rare: true },
    log: { value: "FORMAT", help: "jobs on standard error: json, text or none", choices: LOG_FORMATS, rare: true },
    ...SPECIAL_TOKENS_OPTION,
  },
  examples: ["ocellus worker --queue redis://localhost:6379 --model org/name --dtype q8"],
  notes: `Errors of a request, such as a damaged picture, are its result. After a fault of the
machine the job is tried again, by default five times, with growing delays. If the
worker itself ends, another one takes its jobs when their locks expire (--lock); what
is not finished within --grace goes back to the queue. A second signal ends it at once.
The status is 0 after SIGTERM, 130 after Ctrl-C, and 1 if the GPU is lost for good.`,
  run: work,
};

async function work(given: Arguments, interruption: Interruption): Promise<void> {
  const { url, queueName } = queueOf(given);
  const concurrency = given.count("concurrency") ?? 4;
  const graceMs = 1000 * (given.positive("grace") ?? 30);
  const folder = given.value("input-dir");
  const where = modelLocation(given.value("model"));
  const name = given.value("name") ?? servedName(where);
  const line = new ProgressLine(process.stderr);
  const format = (given.value("log") ?? (process.stderr.isTTY ? "text" : "json")) as LogFormat;
  const log = new Log(format, (text) => {
    line.clear();
    process.stderr.write(text);
  });
  const loading = new AbortController();
  let signalled: StopSignal | undefined;
  let end: (fault?: unknown) => void = () => {};
  const ended = new Promise<unknown>((resolve) => {
    end = resolve;
  });
  interruption.react((name) => {
    if (signalled) process.exit(statusOf(name));
    signalled = name;
    loading.abort();
    end();
  });
  const worker = { name: queueName, where: given.where, concurrency, ...limits(given) };
  try {
    const model = await LlavaOneVision.load(where, {
      onDeviceLost: "reload",
      signal: loading.signal,
      ...(await openOptions(given)),
      ...line.loading,
    }).finally(() => line.clear());
    try {
      const completions = new ChatCompletions(model, {
        name,
        keepSessions: concurrency,
        maxPixels: (given.count("max-pixels") ?? 40) * 1e6,
        ...specialTokensOption(given),
        readMedia: readMedia(folder, given.has("allow-remote-media")),
      });
      const batch = new Batch(completions);
      const running = await QueueWorker.start(url, {
        ...worker,
        signal: loading.signal,
        answer: (request, tools) => answer(batch, request, tools, end),
        events: eventsOf(log),
      });
      process.stdout.write(`${name} answers ${queueName}, ${concurrency} at once\n`);
      const fault = await ended;
      log.event("info", "stopping", { reason: signalled ?? "fault" });
      await running.close(graceMs);
      log.event("info", "stopped");
      if (fault !== undefined) throw fault;
    } finally {
      model.dispose();
    }
  } catch (error) {
    if (!(signalled && error instanceof AbortedError)) throw error;
  }
  // Stopping a service by SIGTERM is its regular end.
  if (signalled && signalled !== "SIGTERM") process.exitCode = statusOf(signalled);
}

/** Answers a request. `lost` is called for what all later ones would meet too, such as the loss of the device. */
async function answer(
  batch: Batch,
  request: BatchRequest,
  { signal, progress }: JobTools,
  lost: (fault: unknown) => void,
): Promise<BatchResult> {
  let result: BatchResult;
  try {
    result = await batch.answer(request, { signal, onTokens: (tokens) => progress({ tokens }) });
  } catch (error) {
    if (!signal.aborted) lost(error);
    throw error;
  }
  // What the request is not to blame for may succeed elsewhere.
  const { status_code: status = 500, body } = result.response ?? {};
  if (status >= 500) throw new JobFault((body as { error?: { message?: string } }).error?.message);
  return result;
}

function eventsOf(log: Log): Parameters<typeof QueueWorker.start>[1]["events"] {
  return {
    completed: ({ custom_id }, { response }, seconds) =>
      log.event("info", "job", {
        id: custom_id,
        status: response?.status_code,
        seconds: Math.round(seconds * 1e3) / 1e3,
      }),
    failed: ({ custom_id }, error, attempt, attempts) =>
      log.event("error", "job_failed", { id: custom_id, attempt, attempts, error: String(error) }),
    stalled: (id) => log.event("warning", "job_stalled", { job: id }),
    lost: (id) => log.event("warning", "job_lost", { job: id }),
    note: (text) => log.event("warning", "queue", { text }),
  };
}

function limits(given: Arguments): { jobsPerMinute: number | undefined; lockSeconds: number; stalls: number } {
  return {
    jobsPerMinute: given.count("rate-limit"),
    lockSeconds: given.positive("lock") ?? 30,
    stalls: given.count("stalls") ?? 5,
  };
}

/** Paths below a folder, and URLs of public addresses, as far as they are allowed. */
function readMedia(folder: string | undefined, remote: boolean): ReadMedia | undefined {
  const local = folder === undefined ? undefined : filesBelow(folder);
  const fetched = remote ? remoteMedia() : undefined;
  if (!local || !fetched) return local ?? fetched;
  return (url, options) => (/^https?:/i.test(url) ? fetched : local)(url, options);
}
