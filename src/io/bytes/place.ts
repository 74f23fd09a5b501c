import type { ByteSource } from "./source.js";

/** Download size of a location's files. */
export interface DownloadSize {
  /** Bytes of all required files. */
  readonly totalBytes: number;
  /** Bytes of the required files that are not cached; all of them if files are read over the network without caching. */
  readonly missingBytes: number;
}

/** A location of files. */
export interface Place {
  readonly name: string;
  /** Whether every read goes over the network without caching. */
  readonly remote?: boolean;
  /** Returns the download size; only for locations that have a listing with sizes. */
  downloadSize?(): Promise<DownloadSize | undefined>;
  /** Whether opening a file may download all of it. */
  readonly downloads?: boolean;
  /** Whether the server responded with a web page instead of a file (URLs). */
  readonly answeredPage?: boolean;
  /** Lists names at the top level or in a folder; undefined if not possible (URLs). */
  list(folder?: string): Promise<string[] | undefined>;
  /** Returns the first bytes of the location itself, if it is the URL of a file. */
  self?(): Promise<Uint8Array | undefined>;
  has(file: string): Promise<boolean>;
  /** Opens a file; undefined if it is absent. */
  open(file: string): Promise<ByteSource | undefined>;
}
