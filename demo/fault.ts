import { inBytes } from "./quantities.js";

/** The parts of an error that the page shows: errors of the library have a code and four parts, others only a message. */
export interface ShownFault {
  readonly code: string | undefined;
  readonly title: string;
  readonly detail: string | undefined;
  readonly remedy: string | undefined;
  /** Name of the picture or clip that it is about. */
  readonly file?: string;
}

interface Fault {
  readonly where: string;
  readonly expected: string;
  readonly got: string;
  readonly remedy: string;
}

/** Returns the remedy to show. Where the page has a button for it, this replaces the library's text for programmers. */
function remedyOf(code: string, fault: Fault, error: object): string {
  if (code !== "NO_ROOM") return `${sentence(fault.remedy)}.`;
  const { neededBytes, freeBytes } = error as { neededBytes?: number; freeBytes?: number };
  const numbers =
    neededBytes === undefined || freeBytes === undefined
      ? ""
      : `It needs ${inBytes(neededBytes)}, and ${inBytes(freeBytes)} are free. `;
  return `${numbers}Delete models that are cached in this browser, or free space on the disk. Downloaded bytes stay.`;
}

/** Converts an error for display. Errors of the library are recognised by their parts, so that the page need not load the library. */
export function shown(error: unknown): ShownFault {
  const { code, fault } = (error ?? {}) as { code?: unknown; fault?: Fault };
  if (typeof code === "string" && fault) {
    const detail = `${fault.where}: expected ${fault.expected}, got ${fault.got.replace(/\.+$/, "")}.`;
    return {
      code,
      title: TITLES[code] ?? "Something went wrong",
      detail,
      remedy: remedyOf(code, fault, error as object),
    };
  }
  const detail = error instanceof Error ? error.message : String(error);
  return { code: undefined, title: "Something went wrong", detail, remedy: undefined };
}

export function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(String((error as { code?: unknown } | undefined)?.code));
}

const TITLES: Readonly<Record<string, string>> = {
  NO_ADAPTER: "WebGPU is not available",
  LIMIT: "This is too large for the graphics adapter",
  OVER_BUDGET: "This needs more memory than the limit allows",
  CHECKPOINT: "The checkpoint can't be used",
  SOURCE: "The files can't be read",
  NO_ROOM: "There is no room left",
  MEDIA: "The picture or clip can't be read",
  PROMPT: "The question can't be used",
  CONTEXT_OVERFLOW: "The conversation is too long",
  DEVICE_LOST: "The graphics adapter was lost",
};

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
