import type { FileHandle as NodeFileHandle } from "node:fs/promises";
import { open, readdir } from "node:fs/promises";
import { SourceError } from "../runtime/errors.js";
import type { FileHandle } from "./platform.js";

/** Node refuses single reads of 2 GiB and more. */
const READ_BYTES = 2 ** 30;

/** Opens a local file for random access; throws SourceError when it is missing, unreadable or a folder. */
export async function openFile(path: string): Promise<FileHandle> {
  let file: NodeFileHandle | undefined;
  try {
    file = await open(path, "r");
    const stat = await file.stat();
    if (stat.isDirectory()) throw Object.assign(new Error("is a folder"), { code: "EISDIR" });
    return fileHandle(path, file, stat.size);
  } catch (cause) {
    await file?.close();
    throw sourceError(path, "a readable file", cause);
  }
}

/** Names in a local folder, sorted, not recursive; throws SourceError when it is missing, unreadable or a file. */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (cause) {
    throw sourceError(path, "a readable folder", cause);
  }
}

function fileHandle(path: string, file: NodeFileHandle, sizeBytes: number): FileHandle {
  return {
    sizeBytes,
    async read(offsetBytes, lengthBytes, into) {
      const wanted = Math.max(0, Math.min(lengthBytes, sizeBytes - offsetBytes));
      const bytes = into && into.length >= wanted ? into.subarray(0, wanted) : new Uint8Array(wanted);
      try {
        for (let filled = 0; filled < wanted; ) {
          const length = Math.min(READ_BYTES, wanted - filled);
          const { bytesRead } = await file.read(bytes, filled, length, offsetBytes + filled);
          // The file became shorter after it was opened.
          if (bytesRead === 0) return bytes.subarray(0, filled);
          filled += bytesRead;
        }
      } catch (cause) {
        throw sourceError(path, `${wanted} bytes at ${offsetBytes}`, cause);
      }
      return bytes;
    },
    close: () => file.close(),
  };
}

/** What the codes of the file system mean, and what the reader can do about each. */
const CODES: Record<string, { got: string; remedy: string }> = {
  ENOENT: { got: "nothing of that name", remedy: "check the path; relative paths start at the current folder" },
  EACCES: { got: "no permission to read it", remedy: "change its permissions or run as its owner" },
  EPERM: { got: "no permission to read it", remedy: "change its permissions or run as its owner" },
  EISDIR: { got: "a folder", remedy: "name a file inside it" },
  ENOTDIR: { got: "a file where a folder should be", remedy: "check the path" },
  EMFILE: { got: "too many open files", remedy: "raise the limit of open files (`ulimit -n`) or close some" },
};

function sourceError(path: string, expected: string, cause: unknown): SourceError {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const known = CODES[code] ?? { got: String(cause), remedy: "check the disk and the path" };
  return new SourceError({ where: path, expected, ...known, cause });
}
