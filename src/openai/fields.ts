import { shown } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { suggestion } from "../base/options.js";
import { MOST_LEVELS } from "../io/text.js";
import { RequestError } from "./api-error.js";

/** A JSON object of a request. */
export type Fields = Readonly<Record<string, unknown>>;

/** Throws RequestError for anything but an object. */
export function objectAt(param: string, value: unknown): Fields {
  if (isObject(value)) return value;
  throw new RequestError(param, { expected: "an object", got: shown(value), remedy: "see OpenAI's API reference" });
}

/** Throws RequestError for an unknown field, with the remedy in `foreign`, or the nearest known name. */
export function checkFields(
  where: string,
  fields: Fields,
  known: readonly string[],
  foreign: Readonly<Record<string, string>> = {},
): void {
  for (const name of Object.keys(fields)) {
    if (known.includes(name)) continue;
    const remedy = Object.hasOwn(foreign, name) ? foreign[name]! : (suggestion(name, known) ?? "leave it out");
    const short = shown(name).slice(1, -1);
    throw new RequestError(
      where === "" ? short : `${where}.${short}`,
      { expected: "a known field", got: `\`${short}\``, remedy },
      { status: 400, code: "unknown_parameter" },
    );
  }
}

/** Throws RequestError for an unknown name; `foreign` has the remedies for names of other APIs. */
export function nameAmong<T extends string>(
  param: string,
  value: unknown,
  known: readonly T[],
  foreign: Readonly<Record<string, string>> = {},
): T {
  if (isText(value) && (known as readonly string[]).includes(value)) return value as T;
  const said = isText(value) && Object.hasOwn(foreign, value) ? foreign[value] : undefined;
  const near = isText(value) ? suggestion(value, known, (name) => `"${name}"`) : undefined;
  throw new RequestError(param, {
    expected: known.map((name) => `"${name}"`).join(", "),
    got: shown(value),
    remedy: said ?? near ?? "use one of these names",
  });
}

/** Reads an optional or null field. Throws RequestError unless `holds`. */
export function optional<T>(
  fields: Fields,
  param: string,
  expected: string,
  holds: (value: unknown) => value is T,
  remedy = "leave it out for the default",
): T | undefined {
  const value = fields[param.slice(param.lastIndexOf(".") + 1)];
  if (value === undefined || value === null) return undefined;
  if (holds(value)) return value;
  throw new RequestError(param, { expected, got: shown(value), remedy });
}

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

export function isFlag(value: unknown): value is boolean {
  return typeof value === "boolean";
}

/**
 * Throws RequestError for a value with more than {@link MOST_LEVELS} levels of lists and objects, which functions that call themselves
 * could not read.
 */
export function checkDepth(param: string, value: unknown): void {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MOST_LEVELS) {
      const remedy = "send a flatter value";
      throw new RequestError(param, {
        expected: `at most ${MOST_LEVELS} levels of lists and objects`,
        got: "more",
        remedy,
      });
    }
    const next: unknown[] = [];
    for (const one of level) {
      if (typeof one !== "object" || one === null || ArrayBuffer.isView(one)) continue;
      for (const inner of Object.values(one)) if (typeof inner === "object" && inner !== null) next.push(inner);
    }
    level = next;
  }
}

/** Predicate for a number in a range. */
export function within(least: number, most: number): (value: unknown) => value is number {
  return (value): value is number => typeof value === "number" && value >= least && value <= most;
}

/** Predicate for an integer in a range. */
export function wholeWithin(least: number, most: number): (value: unknown) => value is number {
  return (value): value is number =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}
