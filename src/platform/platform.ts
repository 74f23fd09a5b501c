import type { FileCache } from "./file-cache.js";

export type { FileCache, Hasher, HubSettings, PartialFile } from "./file-cache.js";

/** The few things Node and the browser do differently. `#platform` is one implementation or the other. */
export interface Platform {
  readonly name: "node" | "browser";

  /** Opens the WebGPU entry point and asks it for an adapter; throws NoAdapterError with what to do. */
  requestAdapter(options: AdapterRequest): Promise<OpenedAdapter>;

  /** Opens a local file, or one of the cache; in the browser there are no others, and SourceError names Blob. */
  openFile(path: string): Promise<FileHandle>;

  /** Names in a local folder or one of the cache, not recursive. */
  listFolder(path: string): Promise<string[]>;

  /** Files kept between runs: a folder (Node) or the origin's storage (the browser); undefined where there is none to be had. */
  cache(): Promise<FileCache | undefined>;

  /** A small text kept between runs; undefined where a program has no folder of its own (the browser). */
  readonly settings?: Settings;

  /**
   * Decodes a JPEG or WebP, and what else the runtime can, to its stored RGB pixels: alpha dropped, no colour management, no
   * rotation but the one an AVIF or HEIC has in its boxes.
   */
  decodePicture(bytes: Uint8Array, format: PictureFormat, where: string): Promise<DecodedPicture>;

  /**
   * Decodes an AVIF of one coded picture whose matrix is the identity to the samples of its planes; chroma of half resolution is
   * repeated. `deep` asks for 16 bits. Undefined where {@link decodePicture} converts AVIF as the reference does (the browser).
   */
  decodeSamples?(avif: Uint8Array, deep: boolean, where: string): Promise<DecodedSamples>;

  /**
   * RGB pixels of a picture that the runtime has decoded already ({@link PixelSource}): alpha taken out again where it was
   * multiplied in, no colour management. Undefined for any other object; Node has none. The source stays the caller's.
   */
  readPixels(source: object, where: string): Promise<DecodedPicture> | undefined;

  /**
   * A copy of what a {@link PixelSource} shows, to be transferred to a worker; undefined for any other object; Node has none.
   * Throws MediaError naming `where` for an image that is broken or of another origin.
   */
  snapshot(source: object, where: string): Promise<ImageBitmap | VideoFrame> | undefined;

  /** Tells a page of its worker's end, and a worker of its page's; undefined where ports do (Node). */
  readonly lifeline?: Lifeline;

  /** Threads that end with their process, whatever they are doing; undefined where a thread's end is no danger (the browser). */
  readonly threads?: Threads;

  /** Every picture of a WebP, one after the other, as players show them; throws MediaError for a broken file. */
  openAnimation(bytes: Uint8Array, where: string): Promise<Animation>;

  /** The decoder of video; throws MissingPackageError (Node) or MediaError (browser) where there is none. */
  videoCodecs(): Promise<VideoCodecs>;

  /** Whether opening an adapter may load drivers of the system, which write to standard error; undefined where that can't be seen. */
  driversMayWrite?(): boolean;

  /** Waits for `promise`; on adapters that run on the CPU it sleeps between looks so that the adapter has the cores. */
  waitFor<T>(promise: Promise<T>, adapterOnCPU: boolean): Promise<T>;

  /** Gives unused memory back now, where the runtime lets a program ask for it (Node). */
  collectGarbage(): void;
}

export interface Threads {
  /** Calls `work`, which can't wait for promises, when the process is about to end; until what is returned is called. */
  onExit(work: () => void): () => void;
  /** Resolves when the GPU binding has settled the promises of devices that were destroyed. */
  drained(): Promise<void>;
}

export interface Lifeline {
  /** Holds a new name until it is released or this page or worker ends; undefined where that cannot be had. */
  hold(): Promise<HeldLock | undefined>;
  /** Resolves when a name that is held elsewhere is so no longer. */
  ended(name: string): Promise<void>;
}

export interface HeldLock {
  readonly name: string;
  release(): void;
}

/** What `ocellus tune` found, as text. */
export interface Settings {
  readonly path: string;
  /** Whether the environment asks for it (OCELLUS_TUNED). */
  readonly wanted: boolean;
  /** Undefined if nothing was written yet. */
  read(): Promise<string | undefined>;
  write(text: string): Promise<void>;
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

/** What browsers hold pictures in. */
export type PixelSource = ImageBitmap | HTMLCanvasElement | OffscreenCanvas | HTMLImageElement | VideoFrame;

export type PictureFormat = "png" | "jpeg" | "webp" | "gif" | "avif" | "bmp" | "tiff" | "heic";

/** Samples of a picture, row-major: `channels` a pixel of 8 or 16 bits; fewer bits stand at the top. */
export interface DecodedSamples {
  width: number;
  height: number;
  channels: number;
  bits: 8 | 16;
  data: Uint8Array | Uint16Array;
}

/** RGB8, row-major, 3 bytes a pixel. */
export interface DecodedPicture {
  width: number;
  height: number;
  data: Uint8Array;
}

/** A decoder as WebCodecs defines it, and how this one differs from others. */
export interface VideoCodecs {
  VideoDecoder: typeof VideoDecoder;
  EncodedVideoChunk: typeof EncodedVideoChunk;
  /** Whether a colour space in the configuration replaces the stream's own, or stands in where the stream has none. */
  configColour: "replaces" | "stands in";
  /** Names the decoder in messages. */
  name: string;
  /** What else helps when it lacks a codec, to follow "convert it …". */
  remedy: string;
}

/** The pictures of an animation. */
export interface Animation {
  /** How long each picture is shown, as the file says: 0 where it says nothing. */
  durationsMilliseconds: readonly number[];
  /** RGB8 of one picture, composed with those before it, alpha dropped. */
  picture(index: number): Promise<DecodedPicture>;
  close(): void;
}
