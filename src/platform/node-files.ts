import type { FileHandle as NodeFileHandle } from "node:fs/promises";
import { open, readdir } from "node:fs/promises";
import { SourceError } from "../base/errors.js";
import type { FileHandle } from "./platform.js";

/** Node rejects single reads of 2 GiB and more. */
const READ_BYTES = 2 ** 30;

/** Maximum bytes of a pipe, a FIFO or a device, which are buffered in memory. */
const MOST_STREAM_BYTES = 512 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;

/** Reads that have not ended. */
export let pendingReads = 0;

/**
 * Opens a local file for random access. Streams, such as a pipe or a process substitution, are read to the end and buffered.
 * Throws SourceError when it is missing, unreadable, a folder, a disk or a socket, or a pipe with more than 512 MiB.
 */
export async function openFile(path: string): Promise<FileHandle> {
  let file: NodeFileHandle | undefined;
  try {
    file = await open(path, "r");
    const stat = await file.stat();
    if (stat.isDirectory()) throw Object.assign(new Error("is a folder"), { code: "EISDIR" });
    if (stat.isBlockDevice()) throw Object.assign(new Error("is a disk"), { code: "ENOTBLK" });
    // Files in /proc have no size either.
    if (stat.isFile() && stat.size > 0) return fileHandle(path, file, stat.size);
    const bytes = await drain(path, file);
    await file.close();
    return heldHandle(bytes);
  } catch (cause) {
    await file?.close();
    throw cause instanceof SourceError ? cause : sourceError(path, "a readable file", cause);
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
      pendingReads++;
      try {
        for (let filled = 0; filled < wanted; ) {
          const length = Math.min(READ_BYTES, wanted - filled);
          const { bytesRead } = await file.read(bytes, filled, length, offsetBytes + filled);
          // The file was truncated after opening.
          if (bytesRead === 0) return bytes.subarray(0, filled);
          filled += bytesRead;
        }
      } catch (cause) {
        throw sourceError(path, `${wanted} bytes at ${offsetBytes}`, cause);
      } finally {
        pendingReads--;
      }
      return bytes;
    },
    close: () => file.close(),
  };
}

/** Reads a stream to its end. */
async function drain(path: string, file: NodeFileHandle): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read(new Uint8Array(CHUNK_BYTES), 0, CHUNK_BYTES, null);
    if (bytesRead === 0) break;
    size += bytesRead;
    if (size > MOST_STREAM_BYTES) {
      throw new SourceError({
        where: path,
        expected: `at most ${MOST_STREAM_BYTES} bytes from a pipe or device`,
        got: "more",
        remedy: "write them to a file, and give that",
      });
    }
    // Pipes return small chunks; copy them to exact sizes.
    chunks.push(buffer.slice(0, bytesRead));
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function heldHandle(bytes: Uint8Array): FileHandle {
  return {
    sizeBytes: bytes.length,
    read: async (offsetBytes, lengthBytes) => bytes.slice(offsetBytes, offsetBytes + lengthBytes),
    close: async () => {},
  };
}

/** Messages by error code of the file system. */
const CODES: Record<string, { got: string; remedy: string }> = {
  ENOENT: { got: "nothing of that name", remedy: "check the path; relative paths start at the current folder" },
  EACCES: { got: "no permission to read it", remedy: "change its permissions or run as its owner" },
  EPERM: { got: "no permission to read it", remedy: "change its permissions or run as its owner" },
  EISDIR: { got: "a folder", remedy: "name a file inside it" },
  ENOTBLK: { got: "a disk", remedy: "name a file on it" },
  ENXIO: { got: "a socket", remedy: "give a file or a pipe; on the command line - is standard input" },
  ENOTDIR: { got: "a file where a folder should be", remedy: "check the path" },
  EMFILE: { got: "too many open files", remedy: "raise the limit of open files (`ulimit -n`) or close some" },
};

function sourceError(path: string, expected: string, cause: unknown): SourceError {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const known = { ...(CODES[code] ?? { got: String(cause), remedy: "check the disk and the path" }) };
  if (code === "ENOENT" && path.startsWith("~")) {
    known.remedy = "give the whole path: shells replace ~ by the home folder, programs use homedir() of node:os";
  }
  return new SourceError({ where: path, expected, ...known, cause });
}
