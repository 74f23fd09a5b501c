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

/** Opens a cached file for reading. Throws SourceError if it does not exist. */
export async function openCached(path: string): Promise<FileHandle> {
  const file = await fileAt(path);
  if (!file) throw new SourceError({ where: path, expected: "a cached file", got: "none", remedy: "load it again" });
  return {
    sizeBytes: file.size,
    async read(offsetBytes, lengthBytes, into) {
      const bytes = new Uint8Array(await file.slice(offsetBytes, offsetBytes + lengthBytes).arrayBuffer());
      if (!into) return bytes;
      into.set(bytes);
      return into.subarray(0, bytes.length);
    },
    close: async () => {},
  };
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
  getSize(): number;
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(sizeBytes: number): void;
  flush(): void;
  close(): void;
}
type Writable = FileSystemFileHandle & { createSyncAccessHandle(): Promise<AccessHandle> };
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

/** Resolves a link file to its target. */
async function fileAt(path: string): Promise<File | undefined> {
  if (!path.startsWith(SCHEME)) return undefined;
  const { folder, name } = await place(path);
  const read = async (own: string): Promise<File | undefined> => {
    try {
      return await (await folder!.getFileHandle(own)).getFile();
    } catch (cause) {
      if (isAbsent(cause)) return undefined;
      throw cause;
    }
  };
  if (!folder) return undefined;
  const file = await read(name);
  if (file) return file;
  const target = await textOf(() => read(name + LINK));
  return target === undefined ? undefined : fileAt(target);
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
    got: "a file that another tab works with",
    remedy: "close the other tab, or wait for it",
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
