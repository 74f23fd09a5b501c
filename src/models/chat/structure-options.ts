/** The options of structured output as callers write them: JSON schemas, objects of schema libraries, regular expressions. */
import { OptionError } from "../../base/errors.js";

/** Structured output: constrains the form of the answer; at most one of the three. */
export interface StructureOptions {
  /**
   * A JSON schema: the answer is a JSON text that is valid against it. `true` allows any JSON. Objects of schema libraries that offer
   * Standard JSON Schema (https://standardschema.dev), such as zod 4's, are converted.
   */
  schema?: object | true;
  /** A regular expression that the whole answer matches, with the semantics of the `u` flag. */
  regex?: string | RegExp;
  /** A grammar in EBNF; the rule `root` is the whole answer. */
  grammar?: string;
}

/** The same as data, which can be sent to a worker. */
export interface PlainStructure {
  readonly schema?: object | true;
  readonly regex?: string;
  readonly grammar?: string;
}

/** Converts the structure of an answer, as far as `checkGenerateOptions` has checked it, to data. `where`: the call. Throws OptionError. */
export function plainStructure(where: string, { schema, regex, grammar }: StructureOptions): PlainStructure {
  return {
    ...(schema !== undefined && { schema: jsonSchemaOf(`${where}, schema`, schema) }),
    ...(regex !== undefined && { regex: typeof regex === "string" ? regex : sourceOf(`${where}, regex`, regex) }),
    ...(grammar !== undefined && { grammar }),
  };
}

/** A method or property of a library's schema that returns JSON Schema. */
type Convert = (options: object) => unknown;

/** Asked of a Standard JSON Schema; the compiler of schemas reads both. */
const TARGETS = ["draft-2020-12", "draft-07"];

/** Libraries whose objects do not convert themselves, and the function that does. */
const CONVERSIONS: Readonly<Record<string, string>> = {
  zod: "pass z.toJSONSchema(schema) of zod 4, or zodToJsonSchema(schema) of the package zod-to-json-schema for zod 3",
  valibot: "pass toJsonSchema(schema) of the package @valibot/to-json-schema",
  effect: "pass JSONSchema.make(schema) of effect",
  yup: "pass convertSchema(schema) of the package @sodaru/yup-to-json-schema",
};

/** Returns a JSON schema as it is, and converts an object of a schema library. Throws OptionError. */
export function jsonSchemaOf(where: string, schema: object | true): object | true {
  if (schema === true) return true;
  const fields = schema as Readonly<Record<string, unknown>>;
  const standard = fields["~standard"] as { vendor?: unknown; jsonSchema?: { input?: Convert } } | undefined;
  const vendor = typeof standard?.vendor === "string" ? standard.vendor : undefined;
  const { input } = standard?.jsonSchema ?? {};
  if (typeof input === "function") return convertedIn(where, vendor, (target) => input({ target }));
  // zod 4 before it offered Standard JSON Schema.
  if (vendor === "zod" && typeof fields.toJSONSchema === "function") {
    return convertedIn(where, vendor, (target) => (fields.toJSONSchema as Convert)({ target, io: "input" }));
  }
  if (vendor === "arktype" && typeof fields.toJsonSchema === "function") {
    return convertedIn(where, vendor, () => (fields.toJsonSchema as () => unknown)());
  }
  const isPlain = standard === undefined && typeof schema === "object";
  // A schema of zod 3.23 and earlier, and one that `jsonSchema()` of the AI SDK made.
  const isZod = isPlain && typeof fields.safeParse === "function";
  const isWrapped = isPlain && typeof fields.jsonSchema === "object" && !("type" in fields);
  if (isPlain && !isZod && !isWrapped) return schema;
  const library = isZod ? "zod" : vendor;
  throw new OptionError({
    where,
    expected: "a JSON schema, or an object that offers Standard JSON Schema",
    got: isWrapped ? "an object with a jsonSchema" : library ? `a schema of ${library} without it` : "a function",
    remedy: isWrapped
      ? "pass its property jsonSchema"
      : ((library && CONVERSIONS[library]) ?? "convert it to JSON Schema with its library, and pass the result"),
  });
}

function convertedIn(where: string, vendor: string | undefined, convert: (target: string) => unknown): object | true {
  let cause: unknown;
  for (const target of TARGETS) {
    try {
      const made = convert(target);
      if (made === true || (typeof made === "object" && made !== null)) return made;
    } catch (error) {
      cause ??= error;
    }
  }
  throw new OptionError({
    where,
    expected: "a schema that JSON Schema can express",
    got: `one of ${vendor ?? "a library"} that its own conversion rejects${cause instanceof Error ? `: ${cause.message}` : ""}`,
    remedy: "leave out dates, transforms and other types that JSON does not have, or pass a JSON schema",
    cause,
  });
}

/** Flags that do not change which texts an expression matches as a whole. */
const NEUTRAL_FLAGS = "dguy";
/** Flags that change the meaning of an expression, and what to write instead. */
const FLAGS: Readonly<Record<string, string>> = {
  i: "write both cases, as in [Yy]es",
  m: "write (?:^|\\n) as the alternatives that you mean: the whole answer is matched",
  s: "write [\\s\\S] for a dot that matches line ends",
  v: "write it with the u flag",
};

function sourceOf(where: string, { source, flags }: RegExp): string {
  const flag = [...flags].find((name) => !NEUTRAL_FLAGS.includes(name));
  if (flag === undefined) return source;
  throw new OptionError({
    where,
    expected: "a regular expression without flags, or with u",
    got: `/${source}/${flags}`,
    remedy: FLAGS[flag] ?? `write it without the flag ${flag}`,
  });
}
