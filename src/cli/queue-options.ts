import { OptionError } from "../base/errors.js";
import { QUEUE_NAME } from "../queue/jobs.js";
import { checkQueueName } from "../queue/requests.js";
import type { Arguments } from "./command.js";

/** Reads `--queue`, else OCELLUS_QUEUE, and `--queue-name`. Throws OptionError. */
export function queueOf(given: Arguments): { readonly url: string; readonly queueName: string } {
  const url = given.value("queue") ?? process.env.OCELLUS_QUEUE;
  if (!url) {
    throw new OptionError({
      where: given.where,
      expected: "--queue, or OCELLUS_QUEUE in the environment",
      got: "neither",
      remedy: "give for example --queue redis://localhost:6379",
    });
  }
  const queueName = given.value("queue-name") ?? QUEUE_NAME;
  checkQueueName(`${given.where}, --queue-name`, queueName);
  return { url, queueName };
}
