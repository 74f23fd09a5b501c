import { randomUUID } from "node:crypto";

/** What an id may be: short, and of characters that need no escape in a header or a log. */
const ALLOWED = /^[\w.:/+=@-]{1,128}$/;

/** Returns the id that a client sent as `X-Request-Id`, or a new one. */
export function requestId(given: string | undefined): string {
  return given !== undefined && ALLOWED.test(given) ? given : `req_${randomUUID().replaceAll("-", "")}`;
}
