/** A file of the converted checkpoint. */
export interface ConvertedFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** The file's bytes in order; read them once, before requesting the next file. */
  readonly chunks: AsyncIterable<Uint8Array>;
}
