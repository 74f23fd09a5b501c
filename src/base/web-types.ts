/**
 * Types of the web platform in the published declarations: the program's own, from TypeScript's DOM library, `@types/node`,
 * `@webgpu/types` or a runtime's types, whichever it has, and otherwise the few members that Ocellus uses. Sources use the global names;
 * `scripts/build.mjs` makes each declaration file import those that it uses from here.
 */

/** A global value, if the program's types have it. */
type GlobalValue<Name extends string, Otherwise> =
  typeof globalThis extends Record<Name, infer Value> ? Value : Otherwise;

/** The instances of a global class, if the program's types have it. */
type Global<Name extends string, Otherwise> =
  typeof globalThis extends Record<Name, { readonly prototype: infer Instance }> ? Instance : Otherwise;

interface SizedPicture {
  readonly width: number;
  readonly height: number;
}

export type AbortSignal = Global<
  "AbortSignal",
  {
    readonly aborted: boolean;
    readonly reason: unknown;
    addEventListener(type: "abort", listener: () => void): void;
    removeEventListener(type: "abort", listener: () => void): void;
  }
>;

export type Blob = Global<
  "Blob",
  {
    readonly size: number;
    readonly type: string;
    arrayBuffer(): Promise<ArrayBuffer>;
    text(): Promise<string>;
  }
>;

export type URL = Global<"URL", { readonly href: string; readonly pathname: string; readonly protocol: string }>;

export type TextDecoder = Global<"TextDecoder", { decode(bytes?: Uint8Array, options?: { stream?: boolean }): string }>;

export type ReadableStream<_Chunk> = Global<"ReadableStream", { readonly locked: boolean; getReader(): unknown }>;

/** The type of `fetch`. */
export type Fetch = GlobalValue<"fetch", (url: string, init?: object) => Promise<object>>;

export type Event = Global<"Event", { readonly type: string }>;

export type MessagePort = Global<
  "MessagePort",
  { postMessage(message: unknown, transfer?: never[]): void; start(): void; close(): void }
>;

/** What a message may transfer, as far as Ocellus takes it. */
export type Transferable =
  | ArrayBuffer
  | MessagePort
  | ImageBitmap
  | OffscreenCanvas
  | VideoFrame
  | ReadableStream<unknown>;

export type ImageBitmap = Global<"ImageBitmap", SizedPicture & { close(): void }>;

export type OffscreenCanvas = Global<"OffscreenCanvas", SizedPicture & { getContext(kind: "2d"): unknown }>;

export type HTMLCanvasElement = Global<"HTMLCanvasElement", SizedPicture & { getContext(kind: "2d"): unknown }>;

export type HTMLImageElement = Global<
  "HTMLImageElement",
  SizedPicture & { readonly naturalWidth: number; readonly naturalHeight: number }
>;

export type VideoFrame = Global<
  "VideoFrame",
  { readonly codedWidth: number; readonly codedHeight: number; readonly timestamp: number; close(): void }
>;

export type VideoDecoderClass = GlobalValue<"VideoDecoder", abstract new (init: never) => object>;

export type EncodedVideoChunkClass = GlobalValue<"EncodedVideoChunk", abstract new (init: never) => object>;

export type GPU = Global<"GPU", { requestAdapter(options?: object): Promise<object | null> }>;

export type GPUAdapter = Global<
  "GPUAdapter",
  {
    readonly features: { has(name: string): boolean };
    readonly info: GPUAdapterInfo;
    requestDevice(descriptor?: object): Promise<object>;
  }
>;

export type GPUAdapterInfo = Global<
  "GPUAdapterInfo",
  {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
    readonly isFallbackAdapter: boolean;
  }
>;

export type GPUDevice = Global<
  "GPUDevice",
  {
    readonly features: { has(name: string): boolean };
    readonly limits: GPULimits;
    readonly lost: Promise<{ readonly reason: string; readonly message: string }>;
    readonly queue: object;
    createBuffer(descriptor: object): object;
    destroy(): void;
  }
>;

/** The limits of a device that its users ask for. */
export type GPUQueue = Global<"GPUQueue", { onSubmittedWorkDone(): Promise<undefined> }>;

interface GPULimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupStorageSize: number;
}

export type GPUBuffer = Global<"GPUBuffer", { readonly size: number; readonly usage: number; destroy(): void }>;

/** Has no class of its own: taken from the adapter's method. */
export type GPUFeatureName =
  typeof globalThis extends Record<
    "GPUAdapter",
    { readonly prototype: { requestDevice(descriptor?: { requiredFeatures?: Iterable<infer Name> }): unknown } }
  >
    ? Name
    : string;

export type GPUPowerPreference = "low-power" | "high-performance";

export type GPUComputePassDescriptor =
  typeof globalThis extends Record<
    "GPUCommandEncoder",
    { readonly prototype: { beginComputePass(descriptor?: infer Descriptor): unknown } }
  >
    ? NonNullable<Descriptor>
    : object;
