import type { AsyncBuffer, ColumnMetaData, FileMetaData, RowGroup, snappyUncompress } from "hyparquet";
import { OcellusError, SourceError } from "../base/errors.js";
import type { ByteSource, OpenSource } from "../io/source.js";

/** A row, by column. */
export type Row = Readonly<Record<string, unknown>>;

/** Bytes of a row group's columns, unpacked. pyarrow writes a hundred to a thousand rows with pictures in a group. */
const MOST_GROUP_BYTES = 2 ** 30;
/** Bytes of row groups that stay in memory; the last one does in any case. */
const KEPT_BYTES = 2 ** 27;
/** Bytes that a byte of Snappy can become: 64 for a copy of 3, rounded up. */
const MOST_RATIO = 32;
/** Compressions that the reader has. */
const CODECS = ["UNCOMPRESSED", "SNAPPY"];

/** The rows of a Parquet file, of which one row group at a time is read. The file is open while it is read. */
export class ParquetRows {
  readonly #groups: readonly { readonly first: number; readonly end: number; readonly bytes: number }[];
  /** Row groups in memory, the least recently used first. */
  readonly #kept = new Map<number, Promise<Row[]>>();

  private constructor(
    private readonly file: OpenSource,
    readonly name: string,
    private readonly sizeBytes: number,
    private readonly metadata: FileMetaData,
    /** Those of the requested columns that the file has. */
    readonly columns: readonly string[],
  ) {
    let first = 0;
    this.#groups = metadata.row_groups.map((group) => {
      const end = first + Number(group.num_rows);
      const range = { first, end, bytes: sizeOf(group, columns) };
      first = end;
      return range;
    });
  }

  /** Reads the metadata. Throws SourceError for a file that is no Parquet or that the reader can't unpack. */
  static async open(file: OpenSource, columns: readonly string[]): Promise<ParquetRows> {
    const { parquetMetadataAsync, parquetSchema } = await import("hyparquet");
    const source = await file();
    const { name, sizeBytes } = source;
    const reading = guarded(name, () => parquetMetadataAsync(bufferOf(source)));
    const metadata = await reading.finally(() => source.close());
    const there = parquetSchema(metadata).children.map(({ element }) => element.name);
    const own = columns.filter((name) => there.includes(name));
    const rows = new ParquetRows(file, name, sizeBytes, metadata, own.length > 0 ? own : there);
    ParquetRows.check(name, metadata, rows.columns);
    return rows;
  }

  /** Throws SourceError for row groups that the reader can't unpack, or that are too large to be read at once. */
  static check(name: string, metadata: FileMetaData, columns: readonly string[]): void {
    for (const [i, group] of metadata.row_groups.entries()) {
      const where = `${name}, row group ${i + 1}`;
      const other = chunksOf(group, columns).find(({ codec }) => !CODECS.includes(codec));
      if (other) {
        throw new SourceError({
          where,
          expected: "columns without compression, or with Snappy",
          got: `${other.path_in_schema.join(".")} with ${other.codec}`,
          remedy: 'write the file with compression="snappy"',
        });
      }
      const [rows, bytes] = [Number(group.num_rows), sizeOf(group, columns)];
      if (!(rows >= 0 && rows <= bytes)) {
        throw new SourceError({
          where,
          expected: `at most as many rows as bytes, ${bytes}`,
          got: `${rows}`,
          remedy: "get an undamaged copy of the file",
        });
      }
      if (bytes <= MOST_GROUP_BYTES) continue;
      throw new SourceError({
        where,
        expected: `at most ${MOST_GROUP_BYTES} bytes, since a row group is read at once`,
        got: `${bytes}`,
        remedy: "write the file with smaller row groups (row_group_size=100)",
      });
    }
  }

  /** Number of rows. */
  get count(): number {
    return this.#groups.at(-1)?.end ?? 0;
  }

  /** A row, from 0. Throws SourceError, AbortedError. */
  async at(index: number): Promise<Row> {
    const group = this.#groups.findIndex(({ end }) => index < end);
    const kept = this.#kept.get(group);
    this.#kept.delete(group);
    const read = kept ?? this.#read(group);
    this.#kept.set(group, read);
    let bytes = [...this.#kept.keys()].reduce((sum, own) => sum + this.#groups[own]!.bytes, 0);
    for (const own of this.#kept.keys()) {
      if (bytes <= KEPT_BYTES || own === group) break;
      this.#kept.delete(own);
      bytes -= this.#groups[own]!.bytes;
    }
    try {
      return (await read)[index - this.#groups[group]!.first]!;
    } catch (error) {
      this.#kept.delete(group);
      throw error;
    }
  }

  async #read(group: number): Promise<Row[]> {
    const { parquetReadObjects, snappyUncompress } = await import("hyparquet");
    const { first, end } = this.#groups[group]!;
    const { metadata, columns, name, sizeBytes } = this;
    const source = await this.file();
    const reading = guarded(`${name}, rows ${first + 1} to ${end}`, async () => {
      if (source.sizeBytes !== sizeBytes) throw new Error(`${source.sizeBytes} bytes, where there were ${sizeBytes}`);
      const file = bufferOf(source);
      const own = { rowStart: first, rowEnd: end, columns: [...columns] };
      const compressors = {
        SNAPPY: (packed: Uint8Array, length: number) => unpacked(packed, length, snappyUncompress),
      };
      const rows = await parquetReadObjects({ file, metadata, ...own, compressors, utf8: false });
      if (rows.length !== end - first) throw new Error(`${rows.length} rows`);
      return rows;
    });
    return reading.finally(() => source.close());
  }
}

/** The metadata of a row group's chunks of some columns. */
function chunksOf({ columns: all }: RowGroup, columns: readonly string[]): ColumnMetaData[] {
  return all.flatMap(({ meta_data: meta }) => (meta && columns.includes(meta.path_in_schema[0] ?? "") ? [meta] : []));
}

/** Their bytes, unpacked. */
function sizeOf(group: RowGroup, columns: readonly string[]): number {
  return chunksOf(group, columns).reduce((sum, meta) => sum + Number(meta.total_uncompressed_size), 0);
}

/** Unpacks a page of Snappy whose header claims `length` bytes. */
function unpacked(packed: Uint8Array, length: number, into: typeof snappyUncompress): Uint8Array {
  if (!(length >= 0 && length <= MOST_RATIO * packed.length)) throw new Error(`a page of ${length} bytes`);
  const page = new Uint8Array(length);
  into(packed, page);
  return page;
}

/** The source as the reader takes it. */
function bufferOf(source: ByteSource): AsyncBuffer {
  return {
    byteLength: source.sizeBytes,
    async slice(start, end = source.sizeBytes) {
      const { buffer, byteOffset, byteLength } = await source.read(start, end - start);
      return (
        byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength)
      ) as ArrayBuffer;
    },
  };
}

/** Converts the reader's errors. */
async function guarded<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof OcellusError) throw cause;
    throw new SourceError({
      where,
      expected: "Parquet",
      got: cause instanceof Error ? cause.message : String(cause),
      remedy: "get an undamaged copy of the file",
      cause,
    });
  }
}
