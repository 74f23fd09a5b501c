import {
  AbortedError,
  CheckpointError,
  ContextOverflowError,
  DeviceLostError,
  DisposedError,
  type ErrorCode,
  type Fault,
  KernelError,
  LimitError,
  MediaError,
  MissingFeatureError,
  MissingPackageError,
  NoAdapterError,
  NoRoomError,
  OcellusError,
  OptionError,
  OverBudgetError,
  PromptError,
  ShapeError,
  SourceError,
  WorkerError,
} from "../base/errors.js";

/** Error classes by code. */
const CLASSES = {
  NO_ADAPTER: NoAdapterError,
  MISSING_FEATURE: MissingFeatureError,
  MISSING_PACKAGE: MissingPackageError,
  LIMIT: LimitError,
  OVER_BUDGET: OverBudgetError,
  CHECKPOINT: CheckpointError,
  SOURCE: SourceError,
  NO_ROOM: NoRoomError,
  MEDIA: MediaError,
  PROMPT: PromptError,
  CONTEXT_OVERFLOW: ContextOverflowError,
  OPTION: OptionError,
  SHAPE: ShapeError,
  KERNEL: KernelError,
  DISPOSED: DisposedError,
  DEVICE_LOST: DeviceLostError,
  WORKER: WorkerError,
  ABORTED: AbortedError,
} as const satisfies Record<ErrorCode, { readonly prototype: OcellusError }>;

/** Built-in error classes that are preserved. */
const PLAIN = { TypeError, RangeError, SyntaxError } as const;

/** A serialised error: structured cloning would lose its class and own fields. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Fields of its class. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Code and fault of an OcellusError. */
  readonly known?: { readonly code: ErrorCode; readonly fault: Omit<Fault, "cause"> };
  readonly cause?: SentError;
}

export function sendError(error: unknown): SentError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), stack: undefined, fields: {} };
  const { name, message, stack, cause } = error;
  const fields = Object.fromEntries(
    Object.entries(error).filter(([key, value]) => !SENT_APART.includes(key) && canBeCloned(value)),
  );
  return { name, message, stack, fields, ...known(error), ...(cause !== undefined && { cause: sendError(cause) }) };
}

const SENT_APART = ["name", "code", "fault", "cause"];

function canBeCloned(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

function known(error: Error): Pick<SentError, "known"> {
  if (!(error instanceof OcellusError)) return {};
  const { where, expected, got, remedy } = error.fault;
  return { known: { code: error.code, fault: { where, expected, got, remedy } } };
}

/** Deserialises an error: same class and fields, with the original stack. */
export function receiveError(sent: SentError): Error {
  const cause = sent.cause && receiveError(sent.cause);
  const error = sent.known ? ofCode(sent.known, cause) : ofLanguage(sent, cause);
  return Object.assign(error, sent.fields, { name: sent.name }, sent.stack !== undefined && { stack: sent.stack });
}

/** Creates an instance without calling the constructor, since constructors differ; their fields are assigned. */
function ofCode({ code, fault }: NonNullable<SentError["known"]>, cause: Error | undefined): OcellusError {
  const error = new OcellusError(code, { ...fault, ...(cause && { cause }) });
  return Object.setPrototypeOf(error, CLASSES[code].prototype) as OcellusError;
}

function ofLanguage({ name, message }: SentError, cause: Error | undefined): Error {
  const Class = PLAIN[name as keyof typeof PLAIN] ?? Error;
  return new Class(message, cause && { cause });
}
