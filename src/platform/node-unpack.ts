import { lstat, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, normalize, sep } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";

/** One regular file of a tar archive. */
export interface TarEntry {
  name: string;
  mode: number;
  bytes: Uint8Array;
}

/** Size of a tar header and the unit that contents are padded to. */
const BLOCK_BYTES = 512;

/** Lists the regular files of a tar archive; folders follow from the names, links are not supported and skipped. */
export function readTar(bytes: Uint8Array): TarEntry[] {
  const entries: TarEntry[] = [];
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

/** The cache folder of an unpacked package file: one per user and version, outside the project. */
export function cacheFolder(name: string, version: string): string {
  return join(tmpdir(), `ocellus-${name}-${version}-${process.getuid?.() ?? "user"}`);
}

/**
 * Unpacks brotli files into one `folder` unless `proof` (a file name inside it) is there already, and returns the folder to use.
 * A `.tar.br` gives its files; any other `.br` one executable of its name. Safe when several processes do it at once:
 * each writes a folder of its own and renames it. A cache folder that belongs to another user is not trusted.
 */
export async function unpackOnce(archives: string[], folder: string, proof: string): Promise<string> {
  if (await isOurs(folder, proof)) return folder;
  const temporary = await mkdtemp(`${folder}.`);
  try {
    for (const archive of archives) await unpack(archive, temporary);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  for (const attempt of [1, 2]) {
    try {
      await rename(temporary, folder);
      return folder;
    } catch {
      if (await isOurs(folder, proof)) {
        // Another process was first.
        await rm(temporary, { recursive: true, force: true });
        return folder;
      }
      // Folders appear whole, so this one has lost files since (a cleaned /tmp), or is another user's and cannot be removed.
      if (attempt === 1) await rm(folder, { recursive: true, force: true }).catch(() => undefined);
    }
  }
  return temporary;
}

async function unpack(archive: string, folder: string): Promise<void> {
  const bytes = await promisify(brotliDecompress)(await readFile(archive));
  const entries = archive.endsWith(".tar.br")
    ? readTar(bytes)
    : [{ name: basename(archive, ".br"), mode: 0o755, bytes }];
  for (const entry of entries) {
    const path = normalize(join(folder, entry.name));
    if (!path.startsWith(folder + sep))
      throw new Error(`${basename(archive)} names a file outside itself: ${entry.name}`);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, entry.bytes, { mode: entry.mode });
  }
}

async function isOurs(folder: string, proof: string): Promise<boolean> {
  try {
    const [outer, inner] = await Promise.all([lstat(folder), lstat(join(folder, proof))]);
    const user = process.getuid?.();
    return outer.isDirectory() && inner.isFile() && (user === undefined || outer.uid === user);
  } catch {
    return false;
  }
}
