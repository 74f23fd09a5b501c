import { shown } from "../base/errors.js";
import { failure } from "../openai/api-error.js";
import { Refusal } from "./refusal.js";

/** Priorities of requests, the first first. */
export const PRIORITIES = ["high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** The priority that a client sent as `X-Priority`; "normal" without one. Throws Refusal. */
export function priorityOf(given: string | undefined): Priority {
  if (given === undefined) return "normal";
  const found = PRIORITIES.find((priority) => priority === given.toLowerCase());
  if (found !== undefined) return found;
  throw new Refusal(
    failure(400, `X-Priority: expected ${PRIORITIES.join(", ")}, got ${shown(given)}`, "invalid_value"),
  );
}
