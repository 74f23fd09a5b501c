import { nearest } from "../runtime/options.js";
import { RequestError } from "./api-error.js";

/** A JSON object of a request. */
export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value of a request, short enough for a message. */
export function shown(value: unknown): string {
  if (value === undefined) return "none";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Throws RequestError for anything but an object. */
export function objectAt(param: string, value: unknown): Fields {
  if (isFields(value)) return value;
  throw new RequestError(param, { expected: "an object", got: shown(value), remedy: "see OpenAI's API reference" });
}

/** Throws RequestError for a field that is not known, with the nearest one that is. */
export function checkFields(where: string, fields: Fields, known: readonly string[]): void {
  for (const name of Object.keys(fields)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw new RequestError(
      where === "" ? name : `${where}.${name}`,
      {
        expected: "a known field",
        got: `\`${name}\``,
        remedy: near ? `did you mean \`${near}\`?` : "leave it out",
      },
      { status: 400, code: "unknown_parameter" },
    );
  }
}

/** A field that may be left out or null. Throws RequestError unless `holds`. */
export function optional<T>(
  fields: Fields,
  param: string,
  expected: string,
  holds: (value: unknown) => value is T,
): T | undefined {
  const value = fields[param.slice(param.lastIndexOf(".") + 1)];
  if (value === undefined || value === null) return undefined;
  if (holds(value)) return value;
  throw new RequestError(param, { expected, got: shown(value), remedy: "leave it out for the default" });
}

export function isText(value: unknown): value is string {
  return typeof value === "string";
}

export function isFlag(value: unknown): value is boolean {
  return typeof value === "boolean";
}

/** A number in a range. */
export function within(least: number, most: number): (value: unknown) => value is number {
  return (value): value is number => typeof value === "number" && value >= least && value <= most;
}

/** A whole number in a range. */
export function wholeWithin(least: number, most: number): (value: unknown) => value is number {
  return (value): value is number =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}
