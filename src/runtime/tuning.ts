import { platform } from "#platform";
import { causeMessage } from "../base/cause-message.js";
import { isObject } from "../base/is-object.js";

/** Tuned kernel parameters of an adapter, by name. */
export type Tuning = Record<string, number | string>;

/** A kernel parameter whose values give the same results at different speeds. */
export interface Tunable<T extends number | string = number | string> {
  readonly name: string;
  /** The first one is the default. */
  readonly values: readonly [T, ...T[]];
}

/** Returns the tuned value of a parameter if it is valid, else the default. */
export function tuned<T extends number | string>(tuning: Readonly<Tuning>, tunable: Tunable<T>): T {
  const value = tuning[tunable.name];
  return tunable.values.find((known) => known === value) ?? tunable.values[0];
}

/** The file that `ocellus tune` writes, by adapter name and driver. */
interface TuningFile {
  readonly version: 1;
  readonly adapters: Record<string, { readonly date: string; readonly tuning: Tuning }>;
}

/**
 * Returns the stored tuning of an adapter, with a sentence on its origin or on why it was ignored; undefined if nothing is stored, or
 * in browsers. An unreadable file is not an error: tuning is optional.
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
    const why = causeMessage(cause);
    return { tuning: {}, reason: `The tuning in ${path} was ignored: ${why}` };
  }
}

/**
 * Stores the tuning of an adapter, replacing an earlier one; returns the path of the file, or undefined in browsers. A corrupt file is
 * replaced. Throws SourceError if the file cannot be written.
 */
export async function storeTuning(adapter: string, tuning: Tuning): Promise<string | undefined> {
  const { settings } = platform;
  if (!settings) return undefined;
  let adapters: TuningFile["adapters"] = {};
  try {
    const text = await settings.read();
    if (text !== undefined) adapters = fileOf(text).adapters;
  } catch {
    // A corrupt file is replaced.
  }
  const date = new Date().toISOString().slice(0, 10);
  const file: TuningFile = { version: 1, adapters: { ...adapters, [adapter]: { date, tuning } } };
  await settings.write(`${JSON.stringify(file, undefined, 2)}\n`);
  return settings.path;
}

/** Parses and checks a file. Throws Error with what is wrong. */
function fileOf(text: string): TuningFile {
  const file: unknown = JSON.parse(text);
  if (!isObject(file) || file.version !== 1 || !isObject(file.adapters)) throw new Error("it is not a tuning file");
  for (const [name, entry] of Object.entries(file.adapters)) {
    if (!isObject(entry) || typeof entry.date !== "string" || !isObject(entry.tuning)) {
      throw new Error(`its entry for ${name} is broken`);
    }
    for (const value of Object.values(entry.tuning)) {
      if (typeof value !== "number" && typeof value !== "string") throw new Error(`its entry for ${name} is broken`);
    }
  }
  return file as unknown as TuningFile;
}
