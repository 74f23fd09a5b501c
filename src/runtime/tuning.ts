import { platform } from "#platform";
import { causeMessage } from "../base/cause-message.js";
import { OptionError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { suggestion } from "../base/options.js";

/** Tuned kernel parameters of an adapter, by name. */
export type Tuning = Record<string, number | string>;

/** A kernel parameter whose values differ in speed; the results are the same, unless it says otherwise. */
export interface Tunable<T extends number | string = number | string> {
  readonly name: string;
  /** The first one is the default. */
  readonly values: readonly [T, ...T[]];
  /** Classes of shapes whose values may differ: `name.class` is the value of one, `name` that of all. */
  readonly classes?: readonly string[];
}

/** Returns the tuned value of a parameter for a class of shapes: that of the class, else that of all, else the default. */
export function tuned<T extends number | string>(tuning: Readonly<Tuning>, tunable: Tunable<T>, shapes?: string): T {
  const valid = (name: string): T | undefined => tunable.values.find((known) => known === tuning[name]);
  return valid(tuningName(tunable, shapes)) ?? valid(tunable.name) ?? tunable.values[0];
}

/** Returns the name of a parameter, or of its value for a class of shapes: `matvec.slices`, `matvec.slices.narrow`. */
export function tuningName({ name }: Tunable, shapes?: string): string {
  return shapes === undefined ? name : `${name}.${shapes}`;
}

const declared = new Map<string, Tunable>();

/** Declares the parameters that OCELLUS_TUNING may set; the kernels call it, since this folder does not know them. */
export function declareTunables(tunables: readonly Tunable[]): void {
  for (const tunable of tunables) {
    for (const shapes of [undefined, ...(tunable.classes ?? [])]) declared.set(tuningName(tunable, shapes), tunable);
  }
}

/**
 * Returns the tuning that OCELLUS_TUNING states, with a sentence on it; undefined without, and in browsers. Throws OptionError for a text
 * that is not JSON, and for an unknown name or value.
 */
export function statedTuning(): { tuning: Tuning; reason: string } | undefined {
  const text = platform.settings?.stated;
  if (text === undefined) return undefined;
  const where = "OCELLUS_TUNING";
  const example = [...declared.values()].map(({ name, values }) => ({ [name]: values.at(-1) }))[0] ?? {};
  const remedy = `for example ${where}='${JSON.stringify(example)}'`;
  let object: unknown;
  try {
    object = JSON.parse(text);
  } catch {
    object = undefined;
  }
  if (!isObject(object)) throw new OptionError({ where, expected: "a JSON object", got: text, remedy });
  for (const [name, value] of Object.entries(object)) {
    const tunable = declared.get(name);
    if (!tunable) {
      const near = suggestion(name, [...declared.keys()], String);
      throw new OptionError({ where, expected: listOf(declared), got: name, remedy: near ?? remedy });
    }
    if (!tunable.values.some((known) => known === value)) {
      const values = tunable.values.map((known) => JSON.stringify(known)).join(", ");
      throw new OptionError({ where: `${where}, ${name}`, expected: values, got: JSON.stringify(value), remedy });
    }
  }
  const tuning = object as Tuning;
  const pairs = Object.entries(tuning).map(([name, value]) => `${name} = ${value}`);
  return { tuning, reason: `OCELLUS_TUNING sets ${pairs.join(", ") || "nothing"}.` };
}

/** `matvec.slices (8, 4; .narrow, .wide), …` */
function listOf(tunables: ReadonlyMap<string, Tunable>): string {
  const parts = [...new Set(tunables.values())].map(({ name, values, classes = [] }) => {
    const own = classes.map((shapes) => `.${shapes}`).join(", ");
    return `${name} (${values.join(", ")}${own && `; ${own}`})`;
  });
  return parts.join(", ");
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
