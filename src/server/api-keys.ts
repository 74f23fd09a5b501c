import { createHash, timingSafeEqual } from "node:crypto";
import { OptionError } from "../base/errors.js";

/** An API key, and the name by which logs and rate limits know its bearer. */
export interface ApiKey {
  readonly key: string;
  readonly name: string;
}

/** Digits of a key's SHA-256 that name it where it has no name. */
const NAME_DIGITS = 8;

/** The keys that a server accepts. */
export class ApiKeys {
  readonly #keys: readonly { readonly digest: Buffer; readonly name: string }[];

  constructor(keys: readonly ApiKey[]) {
    this.#keys = keys.map(({ key, name }) => ({ digest: digest(key), name }));
  }

  /** Whether requests need a key. */
  get needed(): boolean {
    return this.#keys.length > 0;
  }

  /** Returns the name of the key in an Authorization header; undefined if it is none of these. Every key is compared in constant time. */
  nameOf(authorization: string | undefined): string | undefined {
    const given = digest(/^Bearer (.+)$/i.exec(authorization ?? "")?.[1] ?? "");
    let name: string | undefined;
    for (const known of this.#keys) if (timingSafeEqual(given, known.digest)) name = known.name;
    return name;
  }
}

/** Reads keys: `NAME KEY` or `KEY` on a line or between commas; `#` begins a comment. Throws OptionError, which quotes no key. */
export function readKeys(text: string, where: string): ApiKey[] {
  const keys: ApiKey[] = [];
  for (const [i, line] of text.split(/\r?\n|,/).entries()) {
    const words = line.replace(/(^|\s)#.*$/, "").split(/\s+/);
    const [first, second, ...more] = words.filter((word) => word !== "");
    if (first === undefined) continue;
    const fail = (expected: string, got: string): OptionError =>
      new OptionError({ where: `${where}, key ${i + 1}`, expected, got, remedy: "write one key per line" });
    if (more.length > 0) throw fail("NAME KEY, or KEY", `${words.length} words`);
    const named = second === undefined ? unnamed(first) : { name: first, key: second };
    if (keys.some(({ name }) => name === named.name)) throw fail("a name of its own", `${named.name} twice`);
    keys.push(named);
  }
  return keys;
}

/** A key without a name. */
export function unnamed(key: string): ApiKey {
  return { key, name: digest(key).toString("hex").slice(0, NAME_DIGITS) };
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
