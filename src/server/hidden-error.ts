import { OcellusError } from "../base/errors.js";

/** An error that clients are not told. */
export interface HiddenError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  /** Whether it is one of Ocellus, whose messages quote no request where the server is at fault. */
  readonly known: boolean;
  /** Id of the request that it failed. */
  readonly request?: string | undefined;
}

/** Takes an error apart, its stack without the message. */
export function hiddenError(error: unknown, request?: string): HiddenError {
  const { name, message, stack = "" } = error instanceof Error ? error : new Error(String(error));
  const frames = stack.split("\n").filter((line) => /^ {4}at /.test(line));
  return { name, message, stack: frames.join("\n"), known: error instanceof OcellusError, request };
}
