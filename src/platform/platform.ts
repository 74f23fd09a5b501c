/** The few things Node and the browser do differently. `#platform` is one implementation or the other. */
export interface Platform {
  readonly name: "node" | "browser";

  /** Opens the WebGPU entry point and asks it for an adapter; throws NoAdapterError with what to do. */
  requestAdapter(options: AdapterRequest): Promise<OpenedAdapter>;

  /** Opens a local file (Node only; the browser throws SourceError and names Blob). */
  openFile(path: string): Promise<FileHandle>;

  /** Names in a local folder, not recursive (Node only). */
  listFolder(path: string): Promise<string[]>;

  /** Decodes a JPEG, PNG, WebP, GIF or AVIF to its stored RGB pixels: alpha dropped, no colour management, no rotation. */
  decodePicture(bytes: Uint8Array, format: PictureFormat, where: string): Promise<DecodedPicture>;

  /** Waits for `promise`; on adapters that run on the CPU it sleeps between looks so that the adapter has the cores. */
  waitFor<T>(promise: Promise<T>, adapterOnCPU: boolean): Promise<T>;
}

export interface AdapterRequest {
  powerPreference?: GPUPowerPreference;
  /** "software" asks for an adapter that runs on the CPU. */
  prefer?: "software";
}

export interface OpenedAdapter {
  adapter: GPUAdapter;
  /** Why this adapter, in sentences for `ocellus doctor`. */
  reasons: string[];
}

/** Random access to a local file. */
export interface FileHandle {
  readonly sizeBytes: number;
  /** Reads exactly `lengthBytes` from `offsetBytes`, or fewer at the end of the file. */
  read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export type PictureFormat = "png" | "jpeg" | "webp" | "gif" | "avif";

/** RGB8, row-major, 3 bytes a pixel. */
export interface DecodedPicture {
  width: number;
  height: number;
  data: Uint8Array;
}
