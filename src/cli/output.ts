import { causeMessage } from "../base/cause-message.js";
import { NoRoomError, SourceError } from "../base/errors.js";
import { fullDisk } from "../base/full-disk.js";

/**
 * What becomes of a command whose output nobody reads, as in `ocellus ask … | head -1`: it ends quietly. Other errors of standard output,
 * such as a full disk, are printed.
 */
export function guardOutput(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(process.exitCode ?? 0);
    process.stderr.write(
      `ocellus: standard output: expected to write, got ${error.message} — make room, or give another place\n`,
    );
    process.exit(1);
  });
  guardErrors();
}

/** Without a reader of standard error, notes and progress are dropped. */
export function guardErrors(): void {
  process.stderr.on("error", () => {});
}

/** The error for a file that a command cannot write. `next` says what to do once there is room. */
export function notWritable(path: string, cause: unknown, next = ""): SourceError | NoRoomError {
  const fault = { where: path, expected: "a file that can be written", cause };
  const full = fullDisk(cause);
  if (full !== undefined) return new NoRoomError({ ...fault, got: full, remedy: `free some space${next}` });
  return new SourceError({ ...fault, got: causeMessage(cause), remedy: "check the folder and its permissions" });
}
