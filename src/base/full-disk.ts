/** Codes of the file system's errors for a full disk. */
const CODES: Readonly<Record<string, string>> = { ENOSPC: "a full disk", EDQUOT: "no quota left" };

/** Describes the error of a write to a full disk; undefined for others. */
export function fullDisk(cause: unknown): string | undefined {
  return CODES[String((cause as { code?: unknown } | null | undefined)?.code)];
}
