import { OptionError, shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { BATCH_URLS, type BatchRequest } from "../server/batch-lines.js";

/** Throws OptionError for what is no request of a batch; `where` is the call. The body is the worker's to check. */
export function checkRequest(where: string, request: unknown): asserts request is BatchRequest {
  const wrong = (field: string, expected: string, got: unknown, remedy: string): OptionError =>
    new OptionError({ where: field === "" ? where : `${where}, ${field}`, expected, got: shown(got), remedy });
  if (!isObject(request)) throw wrong("", "a request", request, "give { custom_id, method, url, body }");
  const { custom_id: id, method, url } = request;
  if (typeof id !== "string" || id === "") {
    throw wrong("custom_id", "a text", id, "give each request a name of its own, such as its number");
  }
  if (method !== "POST") throw wrong("method", '"POST"', method, 'give method: "POST", as in OpenAI\'s batches');
  if (!BATCH_URLS.some((known) => known === url)) {
    throw wrong("url", BATCH_URLS.join(" or "), url, "give the path of the API that the body is of");
  }
}

/** Throws OptionError for a name that BullMQ does not accept. */
export function checkQueueName(where: string, name: unknown): asserts name is string {
  if (typeof name === "string" && /^[^:\s]+$/.test(name)) return;
  const remedy = "give for example ocellus-7b";
  throw new OptionError({ where, expected: "a name without colons and spaces", got: shown(name), remedy });
}
