/**
 * Every error that Ocellus throws on purpose. All messages have one form: *where: expected what, got what — what to do*.
 * Programs switch on `code`, people read `message`.
 */

/** Stable error identifiers; their meaning never changes. */
export type ErrorCode =
  | "NO_ADAPTER"
  | "MISSING_FEATURE"
  | "MISSING_PACKAGE"
  | "LIMIT"
  | "OVER_BUDGET"
  | "CHECKPOINT"
  | "SOURCE"
  | "NO_ROOM"
  | "MEDIA"
  | "PROMPT"
  | "CONTEXT_OVERFLOW"
  | "OPTION"
  | "SHAPE"
  | "KERNEL"
  | "DISPOSED"
  | "DEVICE_LOST"
  | "WORKER"
  | "ABORTED";

/** The four parts of a message; `cause` is the underlying error. */
export interface Fault {
  /** The file, tensor, kernel or option at fault. */
  where: string;
  expected: string;
  got: string;
  /** What the reader can do about it. */
  remedy: string;
  cause?: unknown;
}

/**
 * Base class: `error instanceof OcellusError` distinguishes reported errors from bugs.
 * @example
 * ```ts
 * try {
 *   await model.embedImage("missing.jpg");
 * } catch (error) {
 *   if (error instanceof OcellusError) console.log(error.code, error.fault.remedy);
 * }
 * ```
 */
export class OcellusError extends Error {
  readonly code: ErrorCode;
  readonly fault: Fault;

  constructor(code: ErrorCode, fault: Fault) {
    const said = readable(code, fault);
    super(
      `${said.where}: expected ${said.expected}, got ${said.got} — ${said.remedy}`,
      fault.cause === undefined ? undefined : { cause: fault.cause },
    );
    this.name = nameOf(code);
    this.code = code;
    this.fault = said;
  }
}

/** `NO_ROOM` is NoRoomError. From the code, because minifiers rename classes. */
function nameOf(code: ErrorCode): string {
  return `${code.toLowerCase().replace(/(?:^|_)(.)/g, (_, first: string) => first.toUpperCase())}Error`;
}

/** Longer parts come from untrusted input and are truncated; lists of names are shorter. */
const LONGEST_PART = 2000;
/** Characters kept from the end of a truncated part: paths differ at their end. */
const KEPT_END = 300;
/** Codes with multi-line messages: from the adapter, or with a kernel's source. */
const MANY_LINES: readonly ErrorCode[] = ["KERNEL", "LIMIT", "DEVICE_LOST", "NO_ADAPTER"];

function readable(code: ErrorCode, fault: Fault): Fault {
  const lines = MANY_LINES.includes(code);
  const part = (text: string): string => {
    const short =
      code === "KERNEL" || text.length <= LONGEST_PART
        ? text
        : `${text.slice(0, LONGEST_PART - KEPT_END - 1)}…${text.slice(-KEPT_END)}`;
    return printable(short, lines);
  };
  const { where, expected, got, remedy } = fault;
  return { ...fault, where: part(where), expected: part(expected), got: part(got), remedy: part(remedy) };
}

// Control characters, lone surrogates, line separators, and bidirectional formatting characters.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** Escapes, as JSON does, characters that would control a terminal. `lines` preserves line feeds and tabs. */
export function printable(text: string, lines = false): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (lines && (character === "\n" || character === "\t")) return character;
    const escaped = JSON.stringify(character).slice(1, -1);
    return escaped === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}` : escaped;
  });
}

/**
 * No WebGPU adapter could be opened.
 * @example
 * ```ts
 * await Device.open(); // where there is neither a GPU nor a software adapter
 * ```
 */
export class NoAdapterError extends OcellusError {
  constructor(fault: Fault) {
    super("NO_ADAPTER", fault);
  }
}

/**
 * The adapter lacks a requested feature.
 * @example
 * ```ts
 * await fetch("http://localhost:8080/v1/embeddings", { method: "POST" }); // of a model without embeddings
 * ```
 */
export class MissingFeatureError extends OcellusError {
  constructor(fault: Fault) {
    super("MISSING_FEATURE", fault);
  }
}

/**
 * A required optional npm package is not installed.
 * @example
 * ```ts
 * await model.embedImage("photo.heic"); // in Node, without libheif-js
 * ```
 */
export class MissingPackageError extends OcellusError {
  constructor(fault: Fault) {
    super("MISSING_PACKAGE", fault);
  }
}

/**
 * A size is over what the adapter allows.
 * @example
 * ```ts
 * device.empty([2 ** 32], "f32", "x"); // more than a binding may have
 * ```
 */
export class LimitError extends OcellusError {
  constructor(
    fault: Fault,
    /** Size in bytes of the binding that would be needed, if that was the limit. */
    readonly neededBytes?: number,
  ) {
    super("LIMIT", fault);
  }
}

/**
 * A model would take more memory than its `memoryBudget`.
 * @example
 * ```ts
 * await LlavaOneVision.load("llava-hf/llava-onevision-qwen2-7b-ov-hf", { memoryBudget: 2e9 });
 * ```
 */
export class OverBudgetError extends OcellusError {
  constructor(
    fault: Fault,
    readonly neededBytes: number,
    readonly budgetBytes: number,
  ) {
    super("OVER_BUDGET", fault);
  }
}

/**
 * A checkpoint's files are missing, broken, or not of this model family.
 * @example
 * ```ts
 * await LlavaOneVision.load("folder-without-weights");
 * ```
 */
export class CheckpointError extends OcellusError {
  constructor(fault: Fault) {
    super("CHECKPOINT", fault);
  }
}

/**
 * Bytes could not be read from a file, URL or Blob.
 * @example
 * ```ts
 * await model.embedImage("https://example.com/missing.jpg");
 * ```
 */
export class SourceError extends OcellusError {
  constructor(fault: Fault) {
    super("SOURCE", fault);
  }
}

/**
 * The disk is full, or the site's storage quota is exhausted.
 * @example
 * ```ts
 * await LlavaOneVision.load("llava-hf/llava-onevision-qwen2-7b-ov-hf"); // 16 GB on a full disk
 * ```
 */
export class NoRoomError extends OcellusError {
  constructor(
    fault: Fault,
    /** Bytes still to be written, and free bytes, if known. */
    readonly neededBytes?: number,
    readonly freeBytes?: number,
  ) {
    super("NO_ROOM", fault);
  }
}

/**
 * A picture or clip is corrupt, or of a format that cannot be decoded here.
 * @example
 * ```ts
 * await model.embedImage(new Uint8Array(9)); // bytes that are no picture
 * ```
 */
export class MediaError extends OcellusError {
  constructor(fault: Fault) {
    super("MEDIA", fault);
  }
}

/**
 * Messages are malformed, or do not match their media.
 * @example
 * ```ts
 * await session.generate([{ role: "assistant", content: "Hello!" }]).result; // no question at the end
 * ```
 */
export class PromptError extends OcellusError {
  constructor(fault: Fault) {
    super("PROMPT", fault);
  }
}

/**
 * The prompt and the answer need more tokens than the model's context holds.
 * @example
 * ```ts
 * await session.generate("word ".repeat(40_000)).result;
 * ```
 */
export class ContextOverflowError extends OcellusError {
  constructor(
    fault: Fault,
    readonly requestedTokens: number,
    readonly availableTokens: number,
  ) {
    super("CONTEXT_OVERFLOW", fault);
  }
}

/**
 * An option is unknown, contradictory or out of range.
 * @example
 * ```ts
 * session.generate("Hello!", { temperature: -1 });
 * ```
 */
export class OptionError extends OcellusError {
  constructor(fault: Fault) {
    super("OPTION", fault);
  }
}

/**
 * A tensor has the wrong shape or dtype for an operation.
 * @example
 * ```ts
 * swiglu(device.empty([2, 3], "f32", "x")); // an odd number of columns
 * ```
 */
export class ShapeError extends OcellusError {
  constructor(fault: Fault) {
    super("SHAPE", fault);
  }
}

/**
 * A kernel's WGSL does not compile, or its bindings are wrong.
 * @example
 * ```ts
 * device.run(new Kernel("broken", "fn main( {}", {}), {}, {}, [1]);
 * await device.sync();
 * ```
 */
export class KernelError extends OcellusError {
  constructor(fault: Fault) {
    super("KERNEL", fault);
  }
}

/**
 * A Model, Session or Device was used after it was disposed.
 * @example
 * ```ts
 * model.dispose();
 * model.createSession();
 * ```
 */
export class DisposedError extends OcellusError {
  constructor(fault: Fault) {
    super("DISPOSED", fault);
  }
}

/**
 * The GPU device was lost during a call.
 * @example
 * ```ts
 * await session.generate("Hello!").result; // after the driver has reset the GPU
 * ```
 */
export class DeviceLostError extends OcellusError {
  constructor(fault: Fault) {
    super("DEVICE_LOST", fault);
  }
}

/**
 * The model's worker terminated, failed, or does not serve models.
 * @example
 * ```ts
 * await WorkerModel.load(worker, "models/tiny"); // a worker that does not call serveModels
 * ```
 */
export class WorkerError extends OcellusError {
  constructor(fault: Fault) {
    super("WORKER", fault);
  }
}

/**
 * The caller's AbortSignal aborted the call; `name` is "AbortError" as in web APIs.
 * @example
 * ```ts
 * await session.generate("Hello!", { signal: AbortSignal.timeout(10) }).result;
 * ```
 */
export class AbortedError extends OcellusError {
  constructor(where: string, cause?: unknown) {
    super("ABORTED", { where, expected: "to finish", got: "an abort", remedy: "call again when ready", cause });
    this.name = "AbortError";
  }
}

/** Throws {@link AbortedError} if the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, where: string): void {
  if (signal?.aborted) throw new AbortedError(where, signal.reason);
}

/** Maximum length of a quoted value. */
const SHOWN = 60;

/**
 * Formats a value for "got": strings in quotes, so that `"3"` differs from `3`; integers with all digits; truncated to 60 characters.
 * `undefined` is "none".
 */
export function shown(value: unknown, most = SHOWN): string {
  if (value === undefined) return "none";
  if (typeof value === "string")
    return cut(JSON.stringify(value.slice(0, most + 1)), value.length > most ? most : undefined);
  if (typeof value === "number") return shownNumber(value);
  if (typeof value === "bigint") return cut(`${value}n`, most);
  if (typeof value === "function") return "a function";
  if (Array.isArray(value) && value.length === 0) return "an empty list";
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of ${value.byteLength} bytes`;
  try {
    return cut(JSON.stringify(value) ?? String(value), most);
  } catch {
    return "an object that is not JSON";
  }
}

/** Numbers beyond 2^53 with their exact value rather than the shortest decimal that parses to it. */
function shownNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return Object.is(value, -0) ? "-0" : BigInt(value).toString();
  return String(value).replace("e+", "e");
}

function cut(text: string, most: number | undefined): string {
  return most === undefined || text.length <= most ? text : `${text.slice(0, most).replace(/[\ud800-\udbff]$/, "")}…`;
}
