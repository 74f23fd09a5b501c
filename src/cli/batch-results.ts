import { type FileHandle, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { platform } from "#platform";
import { OptionError } from "../base/errors.js";
import { decodeText } from "../io/text.js";
import { finishedId } from "../server/batch-lines.js";
import { notWritable } from "./output.js";

/**
 * The output of a batch: a file, locked against other processes, or a stream. A line that `write` has resolved for survives a crash of the
 * machine.
 */
export class BatchResults {
  #file: FileHandle | undefined;
  #hasBegun = false;
  /** The previous write. */
  #written: Promise<void> = Promise.resolve();

  private constructor(
    readonly path: string,
    /** Ids of the requests that are finished in the output. */
    readonly done: ReadonlySet<string>,
    /** Undefined for a stream. */
    private readonly unlock: (() => Promise<void>) | undefined,
  ) {}

  /**
   * Locks the output and reads which requests are finished in it: those of which `idOf` returns the id. Throws OptionError while another
   * process writes to it; SourceError or NoRoomError if it cannot be written.
   */
  static async claim(path: string, idOf: (line: string) => string | undefined = finishedId): Promise<BatchResults> {
    const found = isStandardOutput(path) ? undefined : await stat(path).catch(() => undefined);
    // Reading a pipe would block.
    if (isStandardOutput(path) || (found && !found.isFile())) return new BatchResults(path, new Set(), undefined);
    // The lock would create the folder.
    await stat(dirname(path)).catch((cause: unknown) => {
      throw notWritable(path, cause);
    });
    const cache = await platform.cache();
    const refuse = (pid?: number): void => {
      throw inUse(path, pid);
    };
    const unlock = await cache?.lock(`${path}.lock`, undefined, refuse).catch((cause: unknown) => {
      throw cause instanceof OptionError ? cause : notWritable(path, cause);
    });
    try {
      return new BatchResults(path, found ? await finished(path, idOf) : new Set(), unlock);
    } catch (cause) {
      await unlock?.();
      throw cause;
    }
  }

  /** Whether lines can be written. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Opens the output. Throws SourceError if it cannot be written. */
  async begin(): Promise<void> {
    if (!isStandardOutput(this.path)) await this.#open();
    this.#hasBegun = true;
  }

  async #open(): Promise<void> {
    this.#file = await open(this.path, "a").catch((cause: unknown) => {
      throw notWritable(this.path, cause);
    });
  }

  /** Appends a line, and waits until it is on the disk. Throws NoRoomError, SourceError. */
  write(line: string): Promise<void> {
    this.#written = this.#written.catch(() => {}).then(() => this.#append(`${line}\n`));
    return this.#written;
  }

  async #append(text: string): Promise<void> {
    const file = this.#file;
    if (!file) return new Promise((written) => process.stdout.write(text, () => written()));
    try {
      await file.appendFile(text);
      if (this.unlock) await file.datasync(); // a stream has no disk
    } catch (cause) {
      throw notWritable(this.path, cause, "; then run it again to resume");
    }
  }

  async close(): Promise<void> {
    await this.#written.catch(() => {});
    await this.#file?.close();
    await this.unlock?.();
  }
}

function inUse(path: string, pid: number | undefined): OptionError {
  const process = pid === undefined ? "another process" : `process ${pid}`;
  return new OptionError({
    where: path,
    expected: "an output that no other batch writes to",
    got: `one that ${process} writes to (${path}.lock)`,
    remedy: "wait for its end, or give another output",
  });
}

/** Paths of standard output, which cannot be opened by name if it is a socket. */
function isStandardOutput(path: string): boolean {
  return ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].includes(path);
}

/**
 * Returns the ids of finished requests in the output, and removes the lines that will be rewritten, such as a truncated last one.
 * Throws SourceError for an output that is not UTF-8, without changing it.
 */
async function finished(file: string, idOf: (line: string) => string | undefined): Promise<Set<string>> {
  const bytes = await readFile(file);
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = decodeText(bytes.subarray(0, end), file)
    .split(/\r?\n/)
    .filter((line) => line !== "");
  // The last line may be complete except for its line feed.
  const tail = bytes.subarray(end).toString("utf8");
  if (tail !== "") lines.push(tail);
  const kept = lines.filter((line) => idOf(line) !== undefined);
  if (kept.length < lines.length || tail !== "") {
    try {
      await writeFile(`${file}.part`, kept.map((line) => `${line}\n`).join(""), { flush: true });
      await rename(`${file}.part`, file);
    } catch (cause) {
      throw notWritable(file, cause);
    }
  }
  return new Set(kept.map((line) => idOf(line)!));
}
