import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ROOT } from "./cli.js";

/** The embedded checkpoint's folder. */
export const TINY_FOLDER = join(ROOT, "models/tiny");

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;

/** A copy of the embedded checkpoint, to be damaged. */
export class DamagedCheckpoint {
  private constructor(readonly folder: string) {}

  static async in(folder: string): Promise<DamagedCheckpoint> {
    await cp(TINY_FOLDER, folder, { recursive: true, filter: (path) => !path.includes("examples") });
    return new DamagedCheckpoint(folder);
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, text: string | Uint8Array): Promise<void> {
    return writeFile(this.file(name), text);
  }

  /** Changes a JSON file. */
  async edit(name: string, change: (json: Record<string, unknown>) => void): Promise<void> {
    const json = JSON.parse(await readFile(this.file(name), "utf8")) as Record<string, unknown>;
    change(json);
    await this.write(name, JSON.stringify(json));
  }

  /** Changes the header of the weights; the tensors' bytes stay. */
  async editHeader(change: (header: Header) => void): Promise<void> {
    const bytes = await readFile(this.file("model.safetensors"));
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Header;
    change(header);
    await this.write("model.safetensors", withHeader(header, bytes.subarray(8 + length)));
  }

  /** Divides the weights into two files with an index. */
  async shard(): Promise<void> {
    const bytes = await readFile(this.file("model.safetensors"));
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Header;
    const body = bytes.subarray(8 + length);
    const entries = Object.entries(header)
      .filter(([name]) => name !== "__metadata__")
      .sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0]);
    const half = entries.length >> 1;
    const weightMap: Record<string, string> = {};
    for (const [i, part] of [entries.slice(0, half), entries.slice(half)].entries()) {
      const name = `model-0000${i + 1}-of-00002.safetensors`;
      const start = part[0]![1].data_offsets[0];
      const end = part.at(-1)![1].data_offsets[1];
      const moved: Header = {};
      for (const [tensor, entry] of part) {
        weightMap[tensor] = name;
        moved[tensor] = { ...entry, data_offsets: [entry.data_offsets[0] - start, entry.data_offsets[1] - start] };
      }
      await this.write(name, withHeader(moved, body.subarray(start, end)));
    }
    await this.write("model.safetensors.index.json", JSON.stringify({ metadata: {}, weight_map: weightMap }));
  }
}

function withHeader(header: Header, body: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, body]);
}
