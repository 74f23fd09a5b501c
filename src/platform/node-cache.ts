import { createHash, randomUUID } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import {
  constants,
  copyFile,
  link as hardLink,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { NoRoomError, SourceError } from "../base/errors.js";
import { fullDisk } from "../base/full-disk.js";
import type { FileCache, PartialFile } from "./file-cache.js";
import { hubSettings } from "./node-hub-settings.js";
import { lock } from "./node-lock.js";

/** The cache on the local disk. */
export const cache: FileCache = {
  canDownload: true,
  moreRoom: "free some space, set another cache folder (HF_HUB_CACHE), or stream the weights (`stream: true`)",
  hubSettings,
  sizeOf,
  readText,
  writeText,
  rename: (from, to) => guarded(to, () => rename(from, to)),
  remove: (path) => guarded(path, () => rm(path, { force: true })),
  link,
  freeBytes,
  openPartial,
  async folders(path) {
    const entries = await readdir(path, { withFileTypes: true }).catch((cause: unknown) => {
      if (isAbsent(cause)) return [];
      throw cacheError(path, cause);
    });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  },
  removeFolder: (path) => guarded(path, () => rm(path, { force: true, recursive: true })),
  lock: (path, signal, onWait) => guarded(path, () => lock(path, signal, onWait)),
  hasher(algorithm) {
    const hash = createHash(algorithm);
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
  },
};

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw cacheError(path, cause);
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    // Without the byte order mark of Windows editors.
    return (await readFile(path, "utf8")).replace(/^\uFEFF/, "");
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw cacheError(path, cause);
  }
}

async function writeText(path: string, text: string): Promise<void> {
  await guarded(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    await inOneStep(path, (temporary) => writeFile(temporary, text));
  });
}

async function link(target: string, path: string): Promise<void> {
  await guarded(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    const pointer = relative(dirname(resolve(path)), resolve(target));
    await inOneStep(path, async (temporary) => {
      try {
        await symlink(pointer, temporary, "file");
      } catch {
        // Windows permits links only to developers and administrators; some file systems have none.
        await hardLink(target, temporary).catch(() => copyFile(target, temporary, constants.COPYFILE_EXCL));
      }
    });
  });
}

/** Creates a file under a temporary name, then renames it. */
async function inOneStep(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } finally {
    // Remains after a failure, or if both names were hard links to the same file: renaming is then a no-op.
    await rm(temporary, { force: true });
  }
}

async function freeBytes(path: string): Promise<number | undefined> {
  // The folder may not exist yet: use its nearest existing parent.
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (cause) {
      if (!isAbsent(cause) || dirname(folder) === folder) return undefined;
    }
  }
}

async function openPartial(path: string): Promise<PartialFile> {
  return guarded(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o666);
    try {
      const { size } = await file.stat();
      return partialFile(path, file, size);
    } catch (cause) {
      await file.close();
      throw cause;
    }
  });
}

function partialFile(path: string, file: FileHandle, sizeBytes: number): PartialFile {
  return {
    sizeBytes,
    read: (offsetBytes, lengthBytes) =>
      guarded(path, async () => {
        const bytes = new Uint8Array(lengthBytes);
        const { bytesRead } = await file.read(bytes, 0, lengthBytes, offsetBytes);
        return bytes.subarray(0, bytesRead);
      }),
    write: (bytes, offsetBytes) =>
      guarded(path, async () => {
        for (let written = 0; written < bytes.length; ) {
          const { bytesWritten } = await file.write(bytes, written, bytes.length - written, offsetBytes + written);
          written += bytesWritten;
        }
      }),
    truncate: (size) => guarded(path, () => file.truncate(size)),
    flush: () =>
      guarded(path, async () => {
        await file.sync();
        return (await file.stat()).size;
      }),
    close: () => guarded(path, () => file.close()),
  };
}

function isAbsent(cause: unknown): boolean {
  const { code } = cause as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}

async function guarded<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    throw cacheError(path, cause);
  }
}

const ANOTHER_FOLDER = "change its permissions, or name another cache folder (HF_HUB_CACHE)";

/** Messages by error code of the file system. */
const CODES: Record<string, { got: string; remedy: string }> = {
  EACCES: { got: "no permission", remedy: ANOTHER_FOLDER },
  EPERM: { got: "no permission", remedy: ANOTHER_FOLDER },
  EROFS: { got: "a disk that cannot be written", remedy: ANOTHER_FOLDER },
};

function cacheError(path: string, cause: unknown): SourceError | NoRoomError {
  const { code = "" } = cause as NodeJS.ErrnoException;
  const expected = "a file of the cache";
  const full = fullDisk(cause);
  if (full !== undefined) {
    const remedy = "free some space, or set another cache folder (HF_HUB_CACHE); then load again to resume";
    return new NoRoomError({ where: path, expected, got: full, remedy, cause });
  }
  const known = CODES[code];
  const fallback = { got: String(cause), remedy: "check the disk and the cache folder (HF_HUB_CACHE)" };
  return new SourceError({ where: path, expected, ...(known ?? fallback), cause });
}
