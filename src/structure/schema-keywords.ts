/** Which keywords of JSON Schema (draft 2020-12) there are, what they hold, and which of them answers can't be held to. */
import { OptionError } from "../runtime/errors.js";
import { nearest } from "../runtime/options.js";
import { FORMATS } from "./schema-formats.js";

/** A schema that is an object. */
export type Keywords = Readonly<Record<string, unknown>>;

const ANNOTATIONS = [
  "title",
  "description",
  "default",
  "examples",
  "$schema",
  "$id",
  "$comment",
  "$anchor",
  "$vocabulary",
  "deprecated",
  "readOnly",
  "writeOnly",
];

interface Kind {
  readonly expected: string;
  readonly holds: (value: unknown) => boolean;
}

const isSchema = (value: unknown): boolean => typeof value === "boolean" || isObject(value);
const SCHEMA: Kind = { expected: "a schema", holds: isSchema };
const SCHEMAS: Kind = {
  expected: "a list of schemas, not empty",
  holds: (value) => Array.isArray(value) && value.length > 0 && value.every(isSchema),
};
const NAMED_SCHEMAS: Kind = {
  expected: "an object of schemas",
  holds: (value) => isObject(value) && Object.values(value).every(isSchema),
};
const COUNT: Kind = {
  expected: "a whole number, 0 or above",
  holds: (value) => Number.isInteger(value) && (value as number) >= 0,
};
const NUMBER: Kind = { expected: "a number", holds: (value) => typeof value === "number" };
const TEXT: Kind = { expected: "a text", holds: (value) => typeof value === "string" };
const TYPES = ["null", "boolean", "object", "array", "number", "integer", "string"];
const isType = (value: unknown): boolean => TYPES.includes(value as string);

const KINDS: Record<string, Kind> = {
  type: {
    expected: `${TYPES.join(", ")}, or a list of them`,
    holds: (value) => isType(value) || (Array.isArray(value) && value.length > 0 && value.every(isType)),
  },
  enum: { expected: "a list of values, not empty", holds: (value) => Array.isArray(value) && value.length > 0 },
  const: { expected: "a value", holds: () => true },
  minimum: NUMBER,
  maximum: NUMBER,
  exclusiveMinimum: NUMBER,
  exclusiveMaximum: NUMBER,
  multipleOf: {
    expected: "a whole number from 1 to 100 (validators differ on fractions)",
    holds: (value) => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 100,
  },
  minLength: COUNT,
  maxLength: COUNT,
  pattern: TEXT,
  format: {
    expected: `one of ${Object.keys(FORMATS).join(", ")}`,
    holds: (value) => typeof value === "string" && Object.hasOwn(FORMATS, value),
  },
  items: SCHEMA,
  prefixItems: SCHEMAS,
  minItems: COUNT,
  maxItems: COUNT,
  uniqueItems: { expected: "true or false", holds: (value) => typeof value === "boolean" },
  properties: NAMED_SCHEMAS,
  required: {
    expected: "a list of names",
    holds: (value) => Array.isArray(value) && value.every((name) => typeof name === "string"),
  },
  additionalProperties: SCHEMA,
  patternProperties: NAMED_SCHEMAS,
  propertyNames: SCHEMA,
  minProperties: COUNT,
  maxProperties: COUNT,
  allOf: SCHEMAS,
  anyOf: SCHEMAS,
  oneOf: SCHEMAS,
  $ref: TEXT,
  $defs: NAMED_SCHEMAS,
  definitions: NAMED_SCHEMAS,
};

/** Keywords that answers can't be held to, and what may stand for them. */
const REFUSED: Record<string, string> = {
  not: "say what is wanted instead of what is not",
  if: "write anyOf of the two cases",
  // biome-ignore lint/suspicious/noThenProperty: it is a keyword of schemas
  then: "write anyOf of the two cases",
  else: "write anyOf of the two cases",
  contains: "describe all items with items and prefixItems",
  minContains: "describe all items with items and prefixItems",
  maxContains: "describe all items with items and prefixItems",
  dependentRequired: "write anyOf of the cases with required",
  dependentSchemas: "write anyOf of the cases",
  dependencies: "write anyOf of the cases",
  unevaluatedItems: "write items",
  unevaluatedProperties: "write additionalProperties",
  additionalItems: "write prefixItems for the first items and items for the others",
  contentEncoding: "write a pattern",
  contentMediaType: "leave it out",
  contentSchema: "leave it out",
  $dynamicRef: "write $ref",
  $dynamicAnchor: "write $defs and $ref",
  $recursiveRef: "write $ref",
  $recursiveAnchor: "write $ref",
  nullable: 'write type: ["…", "null"]',
};

/** Keywords by the type of value that they speak of. */
export const KEYWORDS_OF: Readonly<Record<string, readonly string[]>> = {
  object: [
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "propertyNames",
    "minProperties",
    "maxProperties",
  ],
  array: ["items", "prefixItems", "minItems", "maxItems", "uniqueItems"],
  string: ["minLength", "maxLength", "pattern", "format"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
};

/** Throws OptionError for a keyword that is unknown, of the wrong type or can't be held to. `path` leads from the schema's root. */
export function checkKeywords(keywords: Keywords, path: string): void {
  for (const [name, value] of Object.entries(keywords)) {
    if (ANNOTATIONS.includes(name) && !(name === "$id" && path !== "")) continue;
    const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
    if (kind) {
      if (kind.holds(value)) continue;
      throw badSchema(
        `${path}/${name}`,
        kind.expected,
        JSON.stringify(value).slice(0, 60),
        "change it, or leave it out",
      );
    }
    const known = Object.hasOwn(REFUSED, name);
    const near = known ? undefined : nearest(name, [...Object.keys(KINDS), ...ANNOTATIONS, ...Object.keys(REFUSED)]);
    const remedy = known ? REFUSED[name]! : near ? `did you mean \`${near}\`?` : "leave it out, or say it with others";
    throw badSchema(path, "keywords that an answer can be held to", `\`${name}\``, remedy);
  }
}

/** The error for a place in a schema. */
export function badSchema(path: string, expected: string, got: string, remedy: string): OptionError {
  return new OptionError({ where: path === "" ? "schema" : `schema: ${path}`, expected, got, remedy });
}

function isObject(value: unknown): value is Keywords {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
