import { parquetMetadata } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { type ByteSource, bytesSource } from "../../src/io/source.js";
import { ParquetRows } from "../../src/training/parquet-rows.js";

const rows = Array.from({ length: 5 }, (_, i) => i);
const columnData = [
  { name: "text", data: rows.map((i) => `row ${i}`), type: "STRING" as const },
  { name: "other", data: rows, type: "INT32" as const },
];

/** A file that counts the reads of rows, and how often it is open. */
function counting(bytes: ArrayBuffer): { file: () => ByteSource; reads: () => number; opened: () => number } {
  let [reads, opened] = [0, 0];
  const file = (): ByteSource => {
    const source = bytesSource(bytes, "a.parquet");
    const { read, close } = source;
    opened++;
    source.read = (offset, length, ...more) => {
      if (offset + length < bytes.byteLength) reads++;
      return read.call(source, offset, length, ...more);
    };
    source.close = () => {
      opened--;
      return close.call(source);
    };
    return source;
  };
  return { file, reads: () => reads, opened: () => opened };
}

test("rows have the columns that were asked for, in groups that stay in memory", async () => {
  const { file, reads, opened: open } = counting(parquetWriteBuffer({ columnData, rowGroupSize: 2 }));
  const opened = await ParquetRows.open(file, ["text", "missing"]);
  expect([opened.count, opened.columns]).toEqual([5, ["text"]]);
  expect(reads()).toBe(0);
  for (const i of [4, 0, 1, 3]) expect(await opened.at(i)).toEqual({ text: `row ${i}` });
  const before = reads();
  expect(await opened.at(2)).toEqual({ text: "row 2" });
  expect([reads(), open()]).toEqual([before, 0]);
});

test("a compression that is not read is named, with the column", async () => {
  const compressors = { GZIP: (bytes: Uint8Array) => bytes };
  const { file, opened } = counting(parquetWriteBuffer({ columnData, codec: "GZIP", compressors }));
  await expect(ParquetRows.open(file, ["text"])).rejects.toThrow(
    'a.parquet, row group 1: expected columns without compression, or with Snappy, got text with GZIP — write the file with compression="snappy"',
  );
  expect(opened()).toBe(0);
});

test("a file that has changed since it was opened is not read", async () => {
  const [before, after] = [columnData, columnData.slice(0, 1)].map((own) => parquetWriteBuffer({ columnData: own }));
  let now = before!;
  const opened = await ParquetRows.open(() => bytesSource(now, "a.parquet"), ["text"]);
  now = after!;
  await expect(opened.at(0)).rejects.toThrow(
    `a.parquet, rows 1 to 5: expected Parquet, got ${after!.byteLength} bytes, where there were ${before!.byteLength}`,
  );
});

test("a row group that claims too much is refused before it is read", async () => {
  const bytes = parquetWriteBuffer({ columnData });
  const metadata = parquetMetadata(bytes);
  metadata.row_groups[0]!.columns[0]!.meta_data!.total_uncompressed_size = 2n ** 40n;
  expect(() => ParquetRows.check("a.parquet", metadata, ["text"])).toThrow(
    /^a\.parquet, row group 1: expected at most 1073741824 bytes, .* got 1099511627776/,
  );
  expect(() => ParquetRows.check("a.parquet", metadata, ["other"])).not.toThrow();
  metadata.row_groups[0]!.num_rows = 2n ** 33n;
  expect(() => ParquetRows.check("a.parquet", metadata, ["other"])).toThrow(
    /^a\.parquet, row group 1: expected at most as many rows as bytes, \d+, got 8589934592/,
  );
});
