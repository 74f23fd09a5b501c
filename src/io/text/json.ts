/** Parses JSON of checkpoints with error positions, and reads fields with typed errors. */

import { CheckpointError } from "../../base/errors.js";
import { isObject } from "../../base/is-object.js";

export type JsonValue = null | boolean | number | string | JsonValue[] | { [name: string]: JsonValue };
export type JsonObject = { [name: string]: JsonValue };

/** Maximum nesting; real headers and configs have four or five levels, and the limit prevents a stack overflow in what reads the value. */
export const MOST_LEVELS = 200;

/**
 * Parses JSON text (RFC 8259). With `uniqueKeys`, duplicate keys of an object are rejected; `JSON.parse` would keep the last one silently.
 * @throws CheckpointError naming `where`, line and column; also for more than {@link MOST_LEVELS} levels, and more keys than `mostKeys`.
 */
export function parseJson(
  text: string,
  where: string,
  options: { uniqueKeys?: boolean; mostKeys?: number } = {},
): JsonValue {
  let value: JsonValue;
  const tooDeep = levelOver(text, MOST_LEVELS);
  if (tooDeep !== undefined) {
    const got = JSON.stringify(text.slice(tooDeep, tooDeep + SHOWN));
    throw brokenJson(text, where, { at: tooDeep, expected: `at most ${MOST_LEVELS} levels`, got });
  }
  if (options.uniqueKeys) {
    const fault = new Walker(text, true, options.mostKeys).run();
    if (fault) throw brokenJson(text, where, fault);
  }
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (cause) {
    // Engines differ in their messages, and some give no position, so the position is determined here.
    const fault = new Walker(text, false).run();
    throw brokenJson(text, where, fault ?? { at: 0, expected: "JSON", got: String(cause) }, cause);
  }
  return value;
}

/** Returns where a text first has more than `most` levels of lists and objects. */
function levelOver(text: string, most: number): number | undefined {
  let level = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) inString = !inString;
    else if (inString) at += code === BACKSLASH ? 1 : 0;
    else if (code === BRACKET || code === BRACE) {
      if (++level > most) return at;
      // The closing one is two code points after the opening one.
    } else if (code === BRACKET + 2 || code === BRACE + 2) level--;
  }
  return undefined;
}

const [QUOTE, BACKSLASH, BRACKET, BRACE] = [0x22, 0x5c, 0x5b, 0x7b];
/** Characters of the text that messages quote. */
const SHOWN = 20;

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return isObject(value);
}

/** Formats a value for error messages, truncated to a readable length. */
export function showJson(value: JsonValue | undefined): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/** Reads the fields of a JSON object with typed errors. null counts as absent, as in transformers, which writes these files. */
export class JsonFields {
  /**
   * @param file name of the file, for error messages.
   * @param path names of the enclosing fields; "" at the top level.
   * @throws CheckpointError if `value` is not an object.
   */
  constructor(
    readonly value: JsonValue,
    readonly file: string,
    readonly path = "",
  ) {
    if (!isJsonObject(value)) {
      throw new CheckpointError({
        where: path === "" ? file : `${file}: ${path}`,
        expected: "an object",
        got: showJson(value),
        remedy: "download the file again",
      });
    }
  }

  get(name: string): JsonValue | undefined {
    const object = this.value as JsonObject;
    return Object.hasOwn(object, name) ? (object[name] ?? undefined) : undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Returns the object under `name`; undefined if absent. */
  object(name: string): JsonFields | undefined {
    const value = this.get(name);
    return value === undefined ? undefined : new JsonFields(value, this.file, this.pathOf(name));
  }

  /** Returns a positive integer of at most `most`; `fallback` if absent. */
  count(name: string, fallback?: number, most = Number.MAX_SAFE_INTEGER): number {
    const value = this.get(name) ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value > 0 && value <= most) return value;
    const bound = most < Number.MAX_SAFE_INTEGER ? `, at most ${most}` : "";
    throw this.fault(name, `a positive whole number${bound}`);
  }

  /** Returns a token id, a non-negative integer; `fallback` if absent. */
  id(name: string, fallback?: number): number {
    const value = this.get(name) ?? fallback;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
    throw this.fault(name, "a whole number from 0");
  }

  /** Returns a positive finite number; `fallback` if absent. */
  positive(name: string, fallback?: number): number {
    const value = this.get(name) ?? fallback;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw this.fault(name, "a number over 0");
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.get(name) ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.fault(name, "true or false");
  }

  text(name: string, fallback?: string): string {
    const value = this.get(name) ?? fallback;
    if (typeof value === "string") return value;
    throw this.fault(name, "a text");
  }

  /** Checks that a field is absent or one of `allowed`: other values require computations that are not implemented. */
  only(name: string, ...allowed: (string | number | boolean)[]): void {
    const value = this.get(name);
    if (value === undefined || allowed.some((one) => one === value)) return;
    const expected = allowed.map((one) => JSON.stringify(one)).join(" or ");
    throw this.fault(name, expected, "this model variant is not supported");
  }

  /** Returns the CheckpointError for a field. */
  fault(
    name: string,
    expected: string,
    remedy = "download the file again or correct it",
    got = showJson(this.get(name)),
  ): CheckpointError {
    return new CheckpointError({
      where: `${this.file}: ${this.pathOf(name)}`,
      expected,
      got,
      remedy,
    });
  }

  private pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }
}

interface JsonFault {
  at: number;
  expected: string;
  got: string;
}

function brokenJson(text: string, where: string, fault: JsonFault, cause?: unknown): CheckpointError {
  const before = text.slice(0, fault.at);
  const line = before.split("\n").length;
  const column = fault.at - before.lastIndexOf("\n");
  return new CheckpointError({
    where: `${where}: line ${line}, column ${column}`,
    expected: fault.expected,
    got: fault.got,
    remedy: "download the file again",
    cause,
  });
}

const SPACE = /[ \t\n\r]*/y;
// In two steps: one expression would keep a place to go back to for each character, and exhaust the stack.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a string must not contain
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

/** Validates JSON text up to the first error. Slower than `JSON.parse`; used to locate errors and duplicate keys. */
class Walker {
  private at = 0;
  private keys = 0;

  constructor(
    private readonly text: string,
    private readonly uniqueKeys: boolean,
    private readonly mostKeys = Number.POSITIVE_INFINITY,
  ) {}

  run(): JsonFault | undefined {
    const fault = this.element() ?? this.space();
    if (fault || this.at === this.text.length) return fault;
    return this.expected("the end of the text");
  }

  private element(): JsonFault | undefined {
    this.space();
    const first = this.text[this.at];
    if (first === "{") return this.list("}", () => this.key());
    if (first === "[") return this.list("]", undefined);
    if (first === '"') return this.string() === undefined ? this.expected("a closed string") : undefined;
    return this.match(SCALAR) === undefined ? this.expected("a value") : undefined;
  }

  /** Validates the elements of an object (each after its key) or of an array, up to `close`. */
  private list(close: string, readKey: (() => JsonFault | string) | undefined): JsonFault | undefined {
    const keys = this.uniqueKeys ? new Set<string>() : undefined;
    this.at++;
    this.space();
    if (this.take(close)) return undefined;
    for (;;) {
      if (readKey) {
        this.space();
        const start = this.at;
        const key = readKey();
        if (typeof key !== "string") return key;
        if (keys?.has(key)) return { at: start, expected: "every key once", got: `${showJson(key)} a second time` };
        keys?.add(key);
      }
      const fault = this.element();
      if (fault) return fault;
      this.space();
      if (this.take(close)) return undefined;
      if (!this.take(",")) return this.expected(`"," or "${close}"`);
    }
  }

  private key(): JsonFault | string {
    if (++this.keys > this.mostKeys) return this.expected(`at most ${this.mostKeys} keys`);
    const literal = this.string();
    if (literal === undefined) return this.expected("a key in double quotes");
    this.space();
    return this.take(":") ? (JSON.parse(literal) as string) : this.expected('":"');
  }

  /** Returns a string with its quotes; undefined, at its start, if it is none. */
  private string(): string | undefined {
    const start = this.at;
    if (!this.take('"')) return undefined;
    do this.match(PLAIN);
    while (this.match(ESCAPE) !== undefined);
    if (this.take('"')) return this.text.slice(start, this.at);
    this.at = start;
    return undefined;
  }

  private space(): undefined {
    this.match(SPACE);
  }

  private take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  private expected(expected: string): JsonFault {
    const rest = this.text.slice(this.at, this.at + SHOWN);
    return { at: this.at, expected, got: rest === "" ? "the end of the text" : JSON.stringify(rest) };
  }
}
