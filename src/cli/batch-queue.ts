import { JobQueue } from "../queue/job-queue.js";
import { BatchLines, type BatchRequest, type BatchResult } from "../server/batch-lines.js";
import type { BatchCounts } from "./batch-counts.js";
import type { BatchResults } from "./batch-results.js";
import { type Line, textOf } from "./lines.js";

/** Where the jobs of a batch go. */
export interface BatchQueue {
  readonly url: string;
  readonly queueName: string;
}

/**
 * Adds the lines of a batch to a queue, one job a line, and writes the results as workers return them, one for each line. A result is
 * removed from the queue when it is on the disk, so that another run after an interruption finds it in one place or the other.
 */
export async function answerByQueue(
  { url, queueName }: BatchQueue,
  lines: AsyncIterable<Line>,
  results: BatchResults,
  counts: BatchCounts,
  signal: AbortSignal,
): Promise<void> {
  const read = new BatchLines(results.done);
  const write = async (result: BatchResult): Promise<void> => {
    await results.write(JSON.stringify(result));
    counts.written(result);
  };
  async function* requests(): AsyncGenerator<BatchRequest> {
    for await (const line of lines) {
      const found = read.read(textOf(line), line.number);
      if (!found) counts.skipped();
      else if ("invalid" in found) await write(found.invalid);
      else yield found.request;
    }
  }
  const queue = await JobQueue.connect(url, { name: queueName });
  try {
    await results.begin();
    counts.show();
    for await (const result of queue.run(requests(), { signal })) await write(result);
  } finally {
    await queue.close();
  }
}
