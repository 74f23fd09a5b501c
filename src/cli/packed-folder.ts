import { type FileHandle, open, readFile, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { openCheckpoint } from "../io/checkpoint.js";
import { LayerHash, verifyLayers } from "../io/packed.js";
import { PIECE_BYTES } from "../io/safetensors.js";
import type { PackedPlan, PlannedFile, PlannedLayer } from "../models/packed-files.js";
import { guarded, type NewFolder } from "./new-folder.js";

/** The layers that are finished, one a line of JSON; the first line identifies the plan. It is removed when the folder is complete. */
const JOURNAL = "packing.jsonl";

/** What a line of the journal says. */
interface Finished {
  readonly file: string;
  readonly layer: string;
  readonly sha256: string;
}

/** Called with the bytes of weights that are on the disk, of all, and what is being done. */
export type OnPacked = (doing: string, doneBytes: number, totalBytes: number) => void;

/**
 * Writes a packed checkpoint into a folder that another process may have begun. A layer is written to its place, synchronised, and only then
 * named in the journal, with its hash. Layers in the journal whose bytes have that hash are kept. A file's header is written when all its
 * layers are there: until then it begins with zeros, which no reader takes for a checkpoint. Returns the bytes of all files.
 * @throws SourceError if the disk cannot be written; CheckpointError if a layer read back has another hash than the one written.
 */
export async function writePacked(
  folder: NewFolder,
  plan: PackedPlan,
  onPacked: OnPacked,
  signal?: AbortSignal,
): Promise<number> {
  const journal = await Journal.open(folder, plan.id);
  const total = plan.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const written = new Set<string>();
  let done = 0;
  try {
    for (const file of plan.files) {
      const path = join(folder.partial, file.name);
      const handle = await guarded(path, () => openToWrite(path));
      try {
        const hashes: string[] = [];
        for (const layer of file.layers) {
          const kept = journal.find(file.name, layer.name);
          const isKept = kept !== undefined && (await hashOf(handle, layer)) === kept;
          if (!isKept) written.add(layer.name);
          const told = (bytes: number): void => onPacked(`packing ${layer.name}:`, done + bytes, total);
          const sha256 = isKept ? kept : await writeLayer(path, handle, layer, told);
          if (!isKept) await journal.add({ file: file.name, layer: layer.name, sha256 });
          hashes.push(sha256);
          done += layer.lengthBytes;
          told(0);
        }
        await guarded(path, () => writeHeader(handle, file, hashes));
      } finally {
        await handle.close();
      }
    }
    let bytes = total;
    for await (const { name, chunks } of plan.texts()) {
      await guarded(folder.partial, () => rm(join(folder.partial, name), { force: true }));
      bytes += await folder.write(name, chunks, () => {});
    }
    await verify(folder.partial, written, onPacked, signal);
    await journal.remove();
    return bytes;
  } finally {
    await journal.close();
  }
}

/** Whether a partial folder has a finished layer, which another run keeps. */
export async function hasFinishedLayers({ partial }: NewFolder): Promise<boolean> {
  const text = await readFile(join(partial, JOURNAL), "utf8").catch(() => "");
  return text.split("\n").length > 2;
}

/** Opens a file to write into its middle, creates it if it does not exist. */
async function openToWrite(path: string): Promise<FileHandle> {
  return open(path, "r+").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return open(path, "w+");
    throw cause;
  });
}

async function writeLayer(
  path: string,
  handle: FileHandle,
  layer: PlannedLayer,
  told: (bytes: number) => void,
): Promise<string> {
  const hash = new LayerHash();
  let at = 0;
  for await (const chunk of layer.chunks()) {
    await guarded(path, () => handle.write(chunk, 0, chunk.length, layer.offsetBytes + at));
    await hash.add(chunk);
    at += chunk.length;
    told(at);
  }
  await guarded(path, () => handle.sync());
  return hash.hex();
}

/** Hash of a layer's range as it is on the disk; undefined if the file ends within it. */
async function hashOf(handle: FileHandle, { offsetBytes, lengthBytes }: PlannedLayer): Promise<string | undefined> {
  const memory = new Uint8Array(PIECE_BYTES);
  const hash = new LayerHash();
  for (let at = 0; at < lengthBytes; at += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, lengthBytes - at);
    const { bytesRead } = await handle.read(memory, 0, length, offsetBytes + at);
    if (bytesRead < length) return undefined;
    await hash.add(memory.subarray(0, length));
  }
  return hash.hex();
}

/** The gaps between layers are holes of the file, which read as zeros. */
async function writeHeader(handle: FileHandle, file: PlannedFile, hashes: readonly string[]): Promise<void> {
  const header = file.header(hashes);
  await handle.truncate(file.sizeBytes);
  await handle.sync();
  await handle.write(header, 0, header.length, 0);
  await handle.sync();
}

/** Opens the checkpoint as a reader does, and reads the layers back that this process has written. */
async function verify(
  path: string,
  written: ReadonlySet<string>,
  onPacked: OnPacked,
  signal: AbortSignal | undefined,
): Promise<void> {
  const index = await (await openCheckpoint(path, { ...(signal && { signal }) })).tensors();
  try {
    const layers = index.packed!.layers.filter(({ name }) => written.has(name));
    const total = layers.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    await verifyLayers(layers, signal, (bytes) => onPacked("reading back:", bytes, total));
  } finally {
    await index.close();
  }
}

class Journal {
  private constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
    private readonly finished: readonly Finished[],
  ) {}

  /** Opens the journal of a folder; one of another plan empties the folder. */
  static async open(folder: NewFolder, id: string): Promise<Journal> {
    const path = join(folder.partial, JOURNAL);
    return guarded(path, async () => {
      const text = await readFile(path, "utf8").catch(() => "");
      // A line that a crash has cut off has no end.
      const [first, ...lines] = text.split("\n").slice(0, -1);
      const isSame = first === idLine(id);
      if (!isSame) await folder.empty();
      const finished = isSame ? lines.map((line) => JSON.parse(line) as Finished) : [];
      if (isSame) await truncate(path, Buffer.byteLength(text.slice(0, text.lastIndexOf("\n") + 1)));
      const handle = await open(path, "a");
      if (!isSame) await handle.writeFile(`${idLine(id)}\n`);
      return new Journal(path, handle, finished);
    });
  }

  /** Returns the hash of a layer that is finished; undefined if it is not. */
  find(file: string, layer: string): string | undefined {
    return this.finished.findLast((one) => one.file === file && one.layer === layer)?.sha256;
  }

  async add(finished: Finished): Promise<void> {
    await guarded(this.path, async () => {
      await this.handle.writeFile(`${JSON.stringify(finished)}\n`);
      await this.handle.sync();
    });
  }

  async remove(): Promise<void> {
    await guarded(this.path, () => rm(this.path));
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

function idLine(id: string): string {
  return JSON.stringify({ id });
}
