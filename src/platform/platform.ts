import type { EncodedVideoChunkClass, VideoDecoderClass } from "../base/web-types.js";
import type { FileCache } from "./file-cache.js";

export type { FileCache, Hasher, HubSettings, PartialFile } from "./file-cache.js";

/** Platform abstraction: what differs between Node and browsers. `#platform` resolves to one implementation. */
export interface Platform {
  readonly name: "node" | "browser";

  /** Requests a WebGPU adapter. Throws NoAdapterError, and OptionError for an `adapter` that is not there. */
  requestAdapter(options: AdapterRequest): Promise<OpenedAdapter>;

  /** Lists the adapters that a request can choose by number, in the order of preference; undefined in browsers. */
  listAdapters?(): Promise<readonly GPUAdapter[]>;

  /** WGSL's language features (`wgslLanguageFeatures`); none before an adapter was requested (Node). */
  languageFeatures(): ReadonlySet<string>;

  /** Opens a local or cached file. In browsers only cached files exist; SourceError for others suggests a Blob. */
  openFile(path: string): Promise<FileHandle>;

  /** Lists a local or cached folder, not recursively. */
  listFolder(path: string): Promise<string[]>;

  /** Returns the file cache: a folder (Node) or the origin's storage (browsers); undefined if not available. */
  cache(): Promise<FileCache | undefined>;

  /** A small persistent text file; undefined in browsers. */
  readonly settings?: Settings;

  /**
   * Decodes a JPEG or WebP, and other formats that the runtime supports, to its stored RGB pixels: alpha dropped, no colour management,
   * and no rotation except that of the boxes of an AVIF or HEIC.
   */
  decodePicture(bytes: Uint8Array, format: PictureFormat, where: string): Promise<DecodedPicture>;

  /**
   * Decodes an AVIF of one coded picture with the identity matrix to the samples of its planes; subsampled chroma is repeated. `deep`
   * requests 16 bits. Undefined if {@link decodePicture} converts AVIF as the reference does (browsers).
   */
  decodeSamples?(avif: Uint8Array, deep: boolean, where: string): Promise<DecodedSamples>;

  /** Inflates a zlib stream in chunks of `chunkBytes`; undefined if only DecompressionStream is available (browsers). */
  inflate?(compressed: Uint8Array, chunkBytes: number): ReadableStream<Uint8Array>;

  /**
   * Reads the RGB pixels of a decoded picture ({@link PixelSource}): unpremultiplied, no colour management. Undefined for other objects,
   * and in Node. The source is not closed.
   */
  readPixels(source: object, where: string): Promise<DecodedPicture> | undefined;

  /**
   * Copies the pixels of a {@link PixelSource}, to transfer them to a worker; undefined for any other object, and in Node.
   * Throws MediaError naming `where` for an image that is broken or cross-origin.
   */
  snapshot(source: object, where: string): Promise<ImageBitmap | VideoFrame> | undefined;

  /** Detects the end of a page or worker; undefined in Node, where ports report it. */
  readonly lifeline?: Lifeline;

  /** Hooks for threads that must not terminate during GPU work; undefined in browsers, where that is safe. */
  readonly threads?: Threads;

  /** Opens an animated WebP. Throws MediaError for a broken file. */
  openAnimation(bytes: Uint8Array, where: string): Promise<Animation>;

  /** Returns the video decoder. Throws MissingPackageError (Node) or MediaError (browsers) if there is none. */
  videoCodecs(): Promise<VideoCodecs>;

  /** Finds an installed package by its name, without loading it; undefined in browsers. */
  findPackage?(name: string): InstalledPackage | undefined;

  /** Whether opening an adapter may load system drivers, which write to standard error; undefined in browsers. */
  driversMayWrite?(): boolean;

  /**
   * Awaits `promise`, which the work of `queue` settles. Implementations that notice completion late are made to look (Firefox); where
   * they occupy a core while they look, and the adapter is on the CPU, the thread sleeps in between (Dawn in Node).
   */
  waitFor<T>(promise: Promise<T>, queue: GPUQueue, adapterOnCPU: boolean): Promise<T>;

  /** Runs the garbage collector, if possible (Node). */
  collectGarbage(): void;
}

export interface InstalledPackage {
  readonly folder: string;
  readonly version: string;
}

export interface Threads {
  /** Calls `work` synchronously before the process exits. Returns a function that cancels it. */
  onExit(work: () => void): () => void;
  /** Resolves when the GPU binding has settled the promises of devices that were destroyed. */
  drained(): Promise<void>;
}

export interface Lifeline {
  /** Holds a lock with a new name until it is released or this page or worker is closed; undefined if not supported. */
  hold(): Promise<HeldLock | undefined>;
  /** Resolves when a lock that is held elsewhere is released. */
  ended(name: string): Promise<void>;
}

export interface HeldLock {
  readonly name: string;
  release(): void;
}

/** The file that `ocellus tune` writes, as text. */
export interface Settings {
  readonly path: string;
  /** Whether it is enabled by the environment (OCELLUS_TUNED). */
  readonly wanted: boolean;
  /** Kernel parameters that the environment states (OCELLUS_TUNING), as JSON; undefined without. */
  readonly stated: string | undefined;
  /** Returns undefined if the file does not exist. */
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
}

export interface AdapterRequest {
  powerPreference?: GPUPowerPreference;
  /** "software" requests a CPU adapter. */
  prefer?: "software";
  /** An adapter of those that `ocellus doctor` lists, by its number or a part of its name (Node). */
  adapter?: number | string;
}

export interface OpenedAdapter {
  adapter: GPUAdapter;
  /** Why this adapter, in sentences for `ocellus doctor`. */
  reasons: string[];
}

/** Returns the name of an adapter for people, e.g. "google swiftshader (SwiftShader driver 5.0.0)". Firefox tells nothing. */
export function adapterName({ vendor, architecture, description }: GPUAdapterInfo): string {
  return [vendor, architecture, description && `(${description})`].filter(Boolean).join(" ") || "an unnamed adapter";
}

/** Whether an adapter runs on the CPU. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  return info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(text);
}

/** Random access to a local file. */
export interface FileHandle {
  readonly sizeBytes: number;
  /** Reads exactly `lengthBytes` from `offsetBytes`, or fewer at the end of the file. */
  read(offsetBytes: number, lengthBytes: number, into?: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Decoded pictures of browsers. */
export type PixelSource = ImageBitmap | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement | VideoFrame;

export type PictureFormat = "png" | "jpeg" | "webp" | "gif" | "avif" | "bmp" | "tiff" | "heic";

/** Row-major samples of a picture, `channels` per pixel. Samples of fewer than 8 or 16 bits are in the high bits. */
export interface DecodedSamples {
  width: number;
  height: number;
  channels: number;
  bits: 8 | 16;
  data: Uint8Array | Uint16Array;
}

/** Row-major RGB8, 3 bytes per pixel. */
export interface DecodedPicture {
  width: number;
  height: number;
  data: Uint8Array;
}

/** A WebCodecs decoder, and its peculiarities. */
export interface VideoCodecs {
  VideoDecoder: VideoDecoderClass;
  EncodedVideoChunk: EncodedVideoChunkClass;
  /** Whether a colour space in the configuration replaces the stream's own, or is only used if the stream has none. */
  configColour: "replaces" | "stands in";
  /** Names the decoder in messages. */
  name: string;
  /** Further remedy for a missing codec, appended to "convert it …". */
  remedy: string;
}

/** The pictures of an animation. */
export interface Animation {
  /** Duration of each picture as stated by the file, 0 if not stated. */
  durationsMilliseconds: readonly number[];
  /** RGB8 of one picture, composed with those before it, alpha dropped. */
  picture(index: number): Promise<DecodedPicture>;
  close(): void;
}
