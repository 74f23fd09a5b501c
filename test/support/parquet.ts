import { ByteWriter, parquetWrite } from "hyparquet-writer";
import { randomNumbers } from "../../src/training/random.js";

/** A row of LLaVA-OneVision-Data. */
export interface ParquetRow {
  readonly id: string;
  readonly image: { readonly bytes: Uint8Array | null; readonly path: string | null } | null;
  readonly conversations: readonly { readonly from: string; readonly value: string }[];
  readonly data_source?: string;
}

/** A Parquet file with the columns of LLaVA-OneVision-Data, compressed with Snappy. */
export function parquetFile(rows: readonly ParquetRow[], rowGroupSize = 100): Blob {
  const writer = new ByteWriter();
  const text = { type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" } as const;
  parquetWrite({
    writer,
    columnData: [
      { name: "id", data: rows.map(({ id }) => id) },
      { name: "image", data: rows.map(({ image }) => image) },
      { name: "conversations", data: rows.map(({ conversations }) => conversations) },
      { name: "data_source", data: rows.map(({ data_source }) => data_source ?? null) },
    ],
    schema: [
      { name: "root", num_children: 4 },
      { name: "id", ...text },
      { name: "image", num_children: 2, repetition_type: "OPTIONAL" },
      { name: "bytes", type: "BYTE_ARRAY", repetition_type: "OPTIONAL" },
      { name: "path", ...text },
      { name: "conversations", num_children: 1, converted_type: "LIST", repetition_type: "OPTIONAL" },
      { name: "list", num_children: 1, repetition_type: "REPEATED" },
      { name: "element", num_children: 2, repetition_type: "OPTIONAL" },
      { name: "from", ...text },
      { name: "value", ...text },
      { name: "data_source", ...text },
    ],
    rowGroupSize,
  });
  return new Blob([writer.getBuffer()]);
}

/** A BMP of a colour that no other size has, and `more` bytes after it that can't be compressed. */
export function bmp(width: number, height: number, more = 0): Uint8Array {
  const stride = Math.ceil((3 * width) / 4) * 4;
  const bytes = new Uint8Array(54 + stride * height + more);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, 54 + stride * height, true);
  view.setUint32(10, 54, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  bytes.fill(16 * width + height, 54, 54 + stride * height);
  const random = randomNumbers(width);
  for (let at = bytes.length - more; at < bytes.length; at++) bytes[at] = 256 * random();
  return bytes;
}
