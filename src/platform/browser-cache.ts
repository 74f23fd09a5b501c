/**
 * Cached files in the origin private file system, with the names of Node's cache folder.
 * Only dedicated workers can write at arbitrary positions, so only they download; other contexts read.
 * Source: https://fs.spec.whatwg.org
 */
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { AbortedError, NoRoomError, SourceError, throwIfAborted } from "../base/errors.js";
import type { FileCache, PartialFile } from "./file-cache.js";
import type { FileHandle } from "./platform.js";

/** Scheme of these paths, distinct from URLs and hub ids. */
export const SCHEME = "opfs:/";
/** Suffix of link files: the file system has no links, so a text file names the target. */
const LINK = ".link";
/** Bytes between flushes, which protect against a crash of the browser. */
const FLUSH_BYTES = 8 * 1024 * 1024;
/** Mode of handles that several contexts can have at once. */
const READ_ONLY = "read-only";
/** Polling interval of a lock that another tab holds. */
const LOOK_MS = 100;

/** Undefined if the browser has no such file system, or blocks it (some private windows). */
export async function openCache(): Promise<FileCache | undefined> {
  const storage: StorageManager | undefined = globalThis.navigator?.storage;
  try {
    await storage?.getDirectory();
  } catch {
    return undefined;
  }
  return storage && cache;
}

const cache: FileCache = {
  canDownload: "createSyncAccessHandle" in (globalThis.FileSystemFileHandle?.prototype ?? {}),
  moreRoom: "delete cached checkpoints (deleteCheckpoint), free disk space, or stream the weights (`stream: true`)",
  async hubSettings() {
    return { cacheFolder: `${SCHEME}ocellus/hub`, offline: false, hubsApart: true };
  },
  async sizeOf(path) {
    return (await fileAt(path))?.size;
  },
  async readText(path) {
    return textOf(() => fileAt(path));
  },
  async writeText(path, text) {
    await guarded(path, async () => {
      const { folder, name } = await place(path, true);
      const file = await folder!.getFileHandle(name, { create: true });
      const writable = await file.createWritable();
      await writable.write(text);
      await writable.close();
    });
  },
  async rename(from, to) {
    await guarded(to, async () => {
      const { folder, name } = await place(from);
      const target = await place(to, true);
      const handle = (await folder!.getFileHandle(name)) as Movable;
      await removed(target.folder, target.name);
      await handle.move(target.folder!, target.name);
    });
  },
  async remove(path) {
    await guarded(path, async () => {
      const { folder, name } = await place(path);
      await removed(folder, name);
    });
  },
  async link(target, path) {
    await cache.writeText(path + LINK, target);
  },
  async freeBytes() {
    const { quota, usage } = await navigator.storage.estimate();
    return quota === undefined ? undefined : Math.max(0, quota - (usage ?? 0));
  },
  openPartial: (path) => guarded(path, () => openPartial(path)),
  lock,
  hasher(algorithm) {
    const hash = { sha1, sha256 }[algorithm].create();
    return { update: (bytes) => void hash.update(bytes), digest: () => bytesToHex(hash.digest()) };
  },
  async folders(path) {
    const folder = await folderAt(path);
    const names: string[] = [];
    for await (const [name, entry] of folder ?? []) if (entry.kind === "directory") names.push(name);
    return names;
  },
  async removeFolder(path) {
    await guarded(path, async () => {
      const { folder, name } = await place(path);
      await removed(folder, name);
    });
  },
};

/**
 * Opens a cached file for reading: in workers that can, by a synchronous access handle, which reads into the caller's memory. Throws SourceError
 * if it does not exist.
 */
export async function openCached(path: string): Promise<FileHandle> {
  const handle = await handleAt(path);
  const file = await handle?.getFile();
  if (!handle || !file)
    throw new SourceError({ where: path, expected: "a cached file", got: "none", remedy: "load it again" });
  const access = await readingAccess(handle as Writable);
  return {
    sizeBytes: file.size,
    async read(offsetBytes, lengthBytes, into) {
      if (access) {
        const bytes = into?.subarray(0, lengthBytes) ?? new Uint8Array(lengthBytes);
        return bytes.subarray(0, access.read(bytes, { at: offsetBytes }));
      }
      const bytes = new Uint8Array(await file.slice(offsetBytes, offsetBytes + lengthBytes).arrayBuffer());
      if (!into) return bytes;
      into.set(bytes);
      return into.subarray(0, bytes.length);
    },
    close: async () => access?.close(),
  };
}

/** A handle that others can have too. Undefined outside of dedicated workers, where handles are exclusive, and while the file is written. */
async function readingAccess(file: Writable): Promise<AccessHandle | undefined> {
  if (!cache.canDownload) return undefined;
  try {
    const access = await file.createSyncAccessHandle({ mode: READ_ONLY });
    if (access.mode === READ_ONLY) return access;
    access.close();
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
  }
  return undefined;
}

/** Lists the files of a cached folder. Throws SourceError if it does not exist. */
export async function listCached(path: string): Promise<string[]> {
  const folder = await folderAt(path);
  if (!folder)
    throw new SourceError({ where: path, expected: "a cached folder", got: "none", remedy: "load it again" });
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name.endsWith(LINK) ? name.slice(0, -LINK.length) : name);
  return names;
}

/** Synchronous access handle of dedicated workers, missing in the DOM types. */
interface AccessHandle {
  /** Missing in browsers whose handles are all exclusive. */
  readonly mode?: string;
  getSize(): number;
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(sizeBytes: number): void;
  flush(): void;
  close(): void;
}
type Writable = FileSystemFileHandle & { createSyncAccessHandle(options?: { mode: string }): Promise<AccessHandle> };
type Movable = FileSystemFileHandle & { move(folder: FileSystemDirectoryHandle, name: string): Promise<void> };

async function folderAt(path: string, create = false): Promise<FileSystemDirectoryHandle | undefined> {
  let folder = await navigator.storage.getDirectory();
  for (const name of path.slice(SCHEME.length).split("/")) {
    if (name === "") continue;
    try {
      folder = await folder.getDirectoryHandle(name, { create });
    } catch (cause) {
      if (isAbsent(cause)) return undefined;
      throw cause;
    }
  }
  return folder;
}

async function place(
  path: string,
  create = false,
): Promise<{ folder: FileSystemDirectoryHandle | undefined; name: string }> {
  const at = path.lastIndexOf("/");
  return { folder: await folderAt(path.slice(0, at), create), name: path.slice(at + 1) };
}

async function fileAt(path: string): Promise<File | undefined> {
  return unlessAbsent(async () => (await handleAt(path))?.getFile());
}

/** Resolves a link file to its target. */
async function handleAt(path: string): Promise<FileSystemFileHandle | undefined> {
  if (!path.startsWith(SCHEME)) return undefined;
  const { folder, name } = await place(path);
  if (!folder) return undefined;
  const named = (own: string) => unlessAbsent(() => folder.getFileHandle(own));
  const file = await named(name);
  if (file) return file;
  const target = await textOf(() => unlessAbsent(async () => (await named(name + LINK))?.getFile()));
  return target === undefined ? undefined : handleAt(target);
}

async function unlessAbsent<T>(open: () => Promise<T>): Promise<T | undefined> {
  try {
    return await open();
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw cause;
  }
}

/** Times that a file is opened again. */
const MOST_REPLACED = 20;

/** Reads a text. A file that another tab replaces after it was opened can't be read any more: then it is opened again. */
async function textOf(open: () => Promise<File | undefined>): Promise<string | undefined> {
  for (let replaced = 0; ; replaced++) {
    try {
      return await (await open())?.text();
    } catch (cause) {
      if (!isCalled(cause, "NotReadableError", "NotFoundError") || replaced === MOST_REPLACED) throw cause;
    }
  }
}

async function removed(folder: FileSystemDirectoryHandle | undefined, name: string): Promise<void> {
  try {
    await folder?.removeEntry(name, { recursive: true });
  } catch (cause) {
    if (!isAbsent(cause)) throw cause;
  }
}

async function openPartial(path: string): Promise<PartialFile> {
  const { folder, name } = await place(path, true);
  const file = (await folder!.getFileHandle(name, { create: true })) as Writable;
  const handle = await file.createSyncAccessHandle();
  let unsafe = 0;
  return {
    sizeBytes: handle.getSize(),
    read: (offsetBytes, lengthBytes) =>
      guarded(path, async () => {
        const bytes = new Uint8Array(lengthBytes);
        return bytes.subarray(0, handle.read(bytes, { at: offsetBytes }));
      }),
    write: (bytes, offsetBytes) =>
      guarded(path, async () => {
        const written = handle.write(bytes, { at: offsetBytes });
        if (written < bytes.length) throw new DOMException("the bytes were not taken", "QuotaExceededError");
        unsafe += written;
        if (unsafe < FLUSH_BYTES) return;
        handle.flush();
        unsafe = 0;
      }),
    truncate: (sizeBytes) => guarded(path, async () => handle.truncate(sizeBytes)),
    flush: () =>
      guarded(path, async () => {
        handle.flush();
        return handle.getSize();
      }),
    close: async () => handle.close(),
  };
}

/** A Web Lock, which the browser releases when its tab or worker is closed. */
async function lock(path: string, signal?: AbortSignal, onWait?: () => void): Promise<() => Promise<void>> {
  throwIfAborted(signal, path);
  const looks = onWait && setInterval(onWait, LOOK_MS);
  try {
    return await new Promise((resolve, reject) => {
      const held = (): Promise<void> =>
        new Promise((release) => {
          resolve(async () => release());
        });
      navigator.locks.request(`ocellus ${path}`, { ...(signal && { signal }) }, held).catch(reject);
    });
  } catch (cause) {
    if (signal?.aborted) throw new AbortedError(path, signal.reason);
    throw cause;
  } finally {
    clearInterval(looks);
  }
}

function isAbsent(cause: unknown): boolean {
  return isCalled(cause, "NotFoundError", "TypeMismatchError");
}

function isCalled(cause: unknown, ...names: readonly string[]): boolean {
  return cause instanceof DOMException && names.includes(cause.name);
}

/** Messages by DOMException name. */
const NAMES: Record<string, { got: string; remedy: string }> = {
  NoModificationAllowedError: {
    got: "a file that is in use, by another tab or by a model whose layers stream",
    remedy: "close the other tab or dispose the model, or wait for it",
  },
  NotFoundError: { got: "nothing there", remedy: "load it again: the browser may have cleared its storage" },
};

async function guarded<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (!(cause instanceof DOMException)) throw cause;
    const expected = "a file in the browser's storage";
    if (cause.name === "QuotaExceededError") {
      const remedy = `${cache.moreRoom}; then load again to resume`;
      throw new NoRoomError({ where: path, expected, got: "no room left for this site", remedy, cause });
    }
    const known = NAMES[cause.name] ?? { got: cause.message, remedy: "check this site's storage in the browser" };
    throw new SourceError({ where: path, expected, ...known, cause });
  }
}
