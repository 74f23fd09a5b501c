import { createHash } from "node:crypto";
import { lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, normalize, sep } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";
import { causeMessage } from "../base/cause-message.js";
import { userCacheFolder, userName } from "./node-folders.js";

/** A file of an archive, or one to be written beside them. */
export interface UnpackedFile {
  /** Path inside the folder. */
  name: string;
  mode: number;
  bytes: Uint8Array;
}

/** Sizes and SHA-256 of the files in a folder, by name: written last, so a folder without it is unfinished. */
const MANIFEST = "ocellus-files.json";
type Manifest = Readonly<Record<string, { readonly sizeBytes: number; readonly sha256: string }>>;

/** A folder of a process that was killed while unpacking is removed after this time. */
const ABANDONED_AFTER_MS = 3600_000;

/** Size of a tar header and the unit that contents are padded to. */
const BLOCK_BYTES = 512;

/** Lists the regular files of a tar archive; folders follow from the names, links are not supported and skipped. */
export function readTar(bytes: Uint8Array): UnpackedFile[] {
  const entries: UnpackedFile[] = [];
  const text = (offset: number, length: number): string =>
    Buffer.from(bytes.subarray(offset, offset + length))
      .toString("utf8")
      .replace(/\0.*$/s, "");
  for (let offset = 0; offset + BLOCK_BYTES <= bytes.length; ) {
    const name = text(offset, 100);
    if (name === "") break;
    const sizeBytes = Number.parseInt(text(offset + 124, 12), 8);
    const kind = text(offset + 156, 1);
    if (!Number.isInteger(sizeBytes) || offset + BLOCK_BYTES + sizeBytes > bytes.length) {
      throw new Error(`tar archive is cut short or damaged at byte ${offset}`);
    }
    const prefix = text(offset + 257, 5) === "ustar" ? text(offset + 345, 155) : "";
    const start = offset + BLOCK_BYTES;
    if (kind === "0" || kind === "") {
      entries.push({
        name: prefix ? `${prefix}/${name}` : name,
        mode: Number.parseInt(text(offset + 100, 8), 8) & 0o777,
        bytes: bytes.subarray(start, start + sizeBytes),
      });
    }
    offset = start + Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return entries;
}

/**
 * Folders that unpacked packages may go to, in this order: the next is for systems whose temporary folder is read-only, full, or mounted
 * without the right to execute.
 */
function candidates(): string[] {
  const shared = process.platform === "linux" ? ["/var/tmp", "/dev/shm"] : [];
  return [...new Set([tmpdir(), join(userCacheFolder(), "ocellus"), ...shared])];
}

/** Files of a `.tar.br` archive, or the one executable of any other `.br`. */
export async function readArchive(path: string): Promise<UnpackedFile[]> {
  const bytes = await promisify(brotliDecompress)(await readFile(path));
  return path.endsWith(".tar.br") ? readTar(bytes) : [{ name: basename(path, ".br"), mode: 0o755, bytes }];
}

/**
 * Writes files once per user and `name` and returns their folder. In a later run every file is compared with the size and hash that were
 * noted, and all are written anew where one differs: a library that is cut short would end the process (SIGBUS) as soon as it is used.
 * Safe when several processes do it at once, since each writes a folder of its own and renames it.
 * `accept` throws if the folder can't be used for another reason; then the next candidate is tried. Throws the reasons of all.
 */
export async function unpackOnce(
  name: string,
  files: () => Promise<UnpackedFile[]>,
  accept: (folder: string) => void = () => {},
): Promise<string> {
  const reasons: string[] = [];
  for (const parent of candidates()) {
    const folder = join(parent, `ocellus-${name}-${userName()}`);
    try {
      const whole = (await isWhole(folder)) ? folder : await writeFolder(folder, await files());
      accept(whole);
      return whole;
    } catch (error) {
      reasons.push(`${parent}: ${whyNot(error)}`);
    }
  }
  throw new Error(reasons.join("; "));
}

function whyNot(error: unknown): string {
  const { code, resource } = error as { code?: string; resource?: string };
  if (code === "ERR_ACCESS_DENIED") return `Node's permission model denies ${resource}; allow it with --allow-fs-write`;
  return causeMessage(error);
}

async function writeFolder(folder: string, files: readonly UnpackedFile[]): Promise<string> {
  await mkdir(dirname(folder), { recursive: true });
  await removeAbandoned(folder);
  const temporary = await mkdtemp(`${folder}.`);
  try {
    for (const { name, mode, bytes } of files) {
      const path = normalize(join(temporary, name));
      if (!path.startsWith(temporary + sep)) throw new Error(`an archive names a file outside itself: ${name}`);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes, { mode });
    }
    const entries = files.map(({ name, bytes }) => [name, { sizeBytes: bytes.length, sha256: sha256(bytes) }]);
    await writeFile(join(temporary, MANIFEST), JSON.stringify(Object.fromEntries(entries)));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  for (const attempt of [1, 2]) {
    try {
      await rename(temporary, folder);
      return folder;
    } catch {
      if (await isWhole(folder)) {
        // Another process was first.
        await rm(temporary, { recursive: true, force: true });
        return folder;
      }
      // Damaged since, or another user's, which can't be removed. Processes that have loaded its files keep them.
      if (attempt === 1) await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
  }
  return temporary;
}

async function removeAbandoned(folder: string): Promise<void> {
  const prefix = `${basename(folder)}.`;
  for (const name of await readdir(dirname(folder))) {
    if (!name.startsWith(prefix)) continue;
    const path = join(dirname(folder), name);
    const stat = await lstat(path).catch(() => undefined);
    if (!stat || Date.now() - stat.mtimeMs < ABANDONED_AFTER_MS) continue;
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Whether the folder is this user's and has every file that was unpacked, unchanged. */
async function isWhole(folder: string): Promise<boolean> {
  try {
    const stat = await lstat(folder);
    const user = process.getuid?.();
    // 0o022: others could put a library of theirs into it.
    if (!stat.isDirectory() || (user !== undefined && (stat.uid !== user || (stat.mode & 0o022) !== 0))) return false;
    const manifest = JSON.parse(await readFile(join(folder, MANIFEST), "utf8")) as Manifest;
    for (const [name, { sizeBytes, sha256: expected }] of Object.entries(manifest)) {
      const file = await lstat(join(folder, name));
      if (!file.isFile() || file.size !== sizeBytes) return false;
      if (sha256(await readFile(join(folder, name))) !== expected) return false;
    }
    return true;
  } catch {
    return false;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
