import { platform } from "#platform";

/** What was chosen for an adapter, by name of the choice. */
export type Tuning = Record<string, number | string>;

/** A choice between variants of a kernel that compute the same. */
export interface Tunable<T extends number | string = number | string> {
  readonly name: string;
  /** The first is what is taken where nobody tuned. */
  readonly values: readonly [T, ...T[]];
}

/** The value that `tuning` has for a choice, if the choice has it; the first one otherwise. */
export function tuned<T extends number | string>(tuning: Readonly<Tuning>, tunable: Tunable<T>): T {
  const value = tuning[tunable.name];
  return tunable.values.find((known) => known === value) ?? tunable.values[0];
}

/** What `ocellus tune` keeps: adapters by name and driver. */
interface TuningFile {
  readonly version: 1;
  readonly adapters: Record<string, { readonly date: string; readonly tuning: Tuning }>;
}

/**
 * What was stored for an adapter, and a sentence on where it came from or why it was not taken; undefined where nothing is
 * stored or a program has no folder of its own. A file that cannot be read is never an error: everything runs without it.
 */
export async function storedTuning(adapter: string): Promise<{ tuning: Tuning; reason: string } | undefined> {
  const { settings } = platform;
  if (!settings) return undefined;
  const { path } = settings;
  let text: string | undefined;
  try {
    text = await settings.read();
    if (text === undefined) return undefined;
    const entry = fileOf(text).adapters[adapter];
    if (!entry) return undefined;
    return { tuning: { ...entry.tuning }, reason: `Tuned on ${entry.date} (${path}).` };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return { tuning: {}, reason: `The tuning in ${path} was ignored: ${why}` };
  }
}

/**
 * Stores what was chosen for an adapter, in the place of what was stored for it before; returns the path of the file, undefined
 * where a program has no folder of its own. A broken file is replaced. Throws SourceError where the file cannot be written.
 */
export async function storeTuning(adapter: string, tuning: Tuning): Promise<string | undefined> {
  const { settings } = platform;
  if (!settings) return undefined;
  let adapters: TuningFile["adapters"] = {};
  try {
    const text = await settings.read();
    if (text !== undefined) adapters = fileOf(text).adapters;
  } catch {
    // What nobody can read is of no use to anybody.
  }
  const date = new Date().toISOString().slice(0, 10);
  const file: TuningFile = { version: 1, adapters: { ...adapters, [adapter]: { date, tuning } } };
  await settings.write(`${JSON.stringify(file, undefined, 2)}\n`);
  return settings.path;
}

/** Parses and checks a file. Throws Error with what is wrong. */
function fileOf(text: string): TuningFile {
  const file: unknown = JSON.parse(text);
  if (!isRecord(file) || file.version !== 1 || !isRecord(file.adapters)) throw new Error("it is not a tuning file");
  for (const [name, entry] of Object.entries(file.adapters)) {
    if (!isRecord(entry) || typeof entry.date !== "string" || !isRecord(entry.tuning)) {
      throw new Error(`its entry for ${name} is broken`);
    }
    for (const value of Object.values(entry.tuning)) {
      if (typeof value !== "number" && typeof value !== "string") throw new Error(`its entry for ${name} is broken`);
    }
  }
  return file as unknown as TuningFile;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
