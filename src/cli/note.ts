import { styleText } from "node:util";

/** Writes a note to standard error. */
export function note(text: string): void {
  process.stderr.write(`${dim(text)}\n`);
}

/** Dims a text for standard error: on terminals, unless NO_COLOR, FORCE_COLOR or TERM decide otherwise. */
export function dim(text: string): string {
  return styleText("dim", text, { stream: process.stderr });
}
