/**
 * Every error Ocellus throws on purpose. One grammar: *where: expected what, got what — what to do*.
 * Programs switch on `code`, people read `message`.
 */

/** Stable identifiers of the faults; they never change meaning. */
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

/** The four parts of a message; `cause` keeps the error underneath. */
export interface Fault {
  /** The file, tensor, kernel or option at fault. */
  where: string;
  expected: string;
  got: string;
  /** What the reader can do about it. */
  remedy: string;
  cause?: unknown;
}

/** Base class: `error instanceof OcellusError` tells a known fault from a bug. */
export class OcellusError extends Error {
  readonly code: ErrorCode;
  readonly fault: Fault;

  constructor(code: ErrorCode, fault: Fault) {
    const said = readable(code, fault);
    super(
      `${said.where}: expected ${said.expected}, got ${said.got} — ${said.remedy}`,
      fault.cause === undefined ? undefined : { cause: fault.cause },
    );
    this.name = new.target.name;
    this.code = code;
    this.fault = said;
  }
}

/** Lists of names are shorter; what is longer comes from a file or a stranger. */
const LONGEST_PART = 2000;
/** How much of the end is kept of a part that is cut: paths end in what tells them apart. */
const KEPT_END = 300;
/** Their texts come from the adapter or quote a kernel's source, line by line. */
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

// Controls, lone surrogates, separators of lines, and the marks that turn the direction of what follows.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** Text with what would steer a terminal written as JSON's escapes. `lines`: line ends and tabs are kept. */
export function printable(text: string, lines = false): string {
  return text.replace(UNPRINTABLE, (character) => {
    if (lines && (character === "\n" || character === "\t")) return character;
    const escaped = JSON.stringify(character).slice(1, -1);
    return escaped === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}` : escaped;
  });
}

/** No WebGPU adapter could be opened. */
export class NoAdapterError extends OcellusError {
  constructor(fault: Fault) {
    super("NO_ADAPTER", fault);
  }
}

/** The adapter lacks a feature that was asked for. */
export class MissingFeatureError extends OcellusError {
  constructor(fault: Fault) {
    super("MISSING_FEATURE", fault);
  }
}

/** An optional npm package is needed and not installed. */
export class MissingPackageError extends OcellusError {
  constructor(fault: Fault) {
    super("MISSING_PACKAGE", fault);
  }
}

/** A size is over what the adapter allows. */
export class LimitError extends OcellusError {
  constructor(
    fault: Fault,
    /** Bytes of one binding that would do, where it is that. */
    readonly neededBytes?: number,
  ) {
    super("LIMIT", fault);
  }
}

/** A model would take more memory than its `memoryBudget`. */
export class OverBudgetError extends OcellusError {
  constructor(
    fault: Fault,
    readonly neededBytes: number,
    readonly budgetBytes: number,
  ) {
    super("OVER_BUDGET", fault);
  }
}

/** A checkpoint's files are missing, broken, or not of this model family. */
export class CheckpointError extends OcellusError {
  constructor(fault: Fault) {
    super("CHECKPOINT", fault);
  }
}

/** Bytes could not be read from a file, URL or Blob. */
export class SourceError extends OcellusError {
  constructor(fault: Fault) {
    super("SOURCE", fault);
  }
}

/** The disk is full, or a site has used up what the browser lets it keep. */
export class NoRoomError extends OcellusError {
  constructor(
    fault: Fault,
    /** Bytes still to be written, and bytes free for them, where they are known. */
    readonly neededBytes?: number,
    readonly freeBytes?: number,
  ) {
    super("NO_ROOM", fault);
  }
}

/** A picture or clip is broken or of a kind that cannot be decoded here. */
export class MediaError extends OcellusError {
  constructor(fault: Fault) {
    super("MEDIA", fault);
  }
}

/** Messages and media do not fit together. */
export class PromptError extends OcellusError {
  constructor(fault: Fault) {
    super("PROMPT", fault);
  }
}

/** The prompt and the answer need more tokens than the model's context holds. */
export class ContextOverflowError extends OcellusError {
  constructor(
    fault: Fault,
    readonly requestedTokens: number,
    readonly availableTokens: number,
  ) {
    super("CONTEXT_OVERFLOW", fault);
  }
}

/** An option is unknown, contradictory or out of range. */
export class OptionError extends OcellusError {
  constructor(fault: Fault) {
    super("OPTION", fault);
  }
}

/** A tensor has the wrong shape or dtype for an operation. */
export class ShapeError extends OcellusError {
  constructor(fault: Fault) {
    super("SHAPE", fault);
  }
}

/** A kernel's WGSL does not compile, or it was bound wrongly. */
export class KernelError extends OcellusError {
  constructor(fault: Fault) {
    super("KERNEL", fault);
  }
}

/** A Model, Session or Device was used after it was disposed. */
export class DisposedError extends OcellusError {
  constructor(fault: Fault) {
    super("DISPOSED", fault);
  }
}

/** The GPU device went away under a running call. */
export class DeviceLostError extends OcellusError {
  constructor(fault: Fault) {
    super("DEVICE_LOST", fault);
  }
}

/** The worker that a model runs in ended, failed, or does not serve models. */
export class WorkerError extends OcellusError {
  constructor(fault: Fault) {
    super("WORKER", fault);
  }
}

/** The caller's AbortSignal stopped the call; `name` is "AbortError" as for every web API. */
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

/** Letters of a stranger's value that a message quotes. */
const SHOWN = 60;

/**
 * A value for "got": texts in quotes, so that `"3"` is told from `3`; whole numbers with all their digits; cut after 60 characters.
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
    return "an object that is no JSON";
  }
}

/** Numbers beyond 2^53 as the double that they are, and not rounded to what would be read back as it. */
function shownNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return Object.is(value, -0) ? "-0" : BigInt(value).toString();
  return String(value).replace("e+", "e");
}

function cut(text: string, most: number | undefined): string {
  return most === undefined || text.length <= most ? text : `${text.slice(0, most).replace(/[\ud800-\udbff]$/, "")}…`;
}
