/** Keywords of JSON Schema (draft 2020-12): the types of their values, and which are not supported. */
import { OptionError } from "../base/errors.js";
import { isObject } from "../base/is-object.js";
import { likelySlip } from "./schema-slips.js";

/** A schema that is an object. */
export type Keywords = Readonly<Record<string, unknown>>;

interface Kind {
  readonly expected: string;
  readonly holds: (value: unknown, keywords: Keywords) => boolean;
}

const isSchema = (value: unknown): boolean => typeof value === "boolean" || isObject(value);
const areSchemas = (value: unknown): boolean => Array.isArray(value) && value.length > 0 && value.every(isSchema);
const SCHEMA: Kind = { expected: "a schema", holds: isSchema };
const SCHEMAS: Kind = { expected: "a list of schemas, not empty", holds: areSchemas };
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
const TRUTH: Kind = { expected: "true or false", holds: (value) => typeof value === "boolean" };
/** Up to draft 4, and in OpenAPI 3.0, a boolean that makes the limit exclusive. */
const exclusive = (limit: string): Kind => ({
  expected: `a number, or true beside ${limit}`,
  holds: (value, keywords) =>
    typeof value === "number" || value === false || (value === true && typeof keywords[limit] === "number"),
});
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
  exclusiveMinimum: exclusive("minimum"),
  exclusiveMaximum: exclusive("maximum"),
  multipleOf: { expected: "a number above 0", holds: (value) => typeof value === "number" && value > 0 },
  minLength: COUNT,
  maxLength: COUNT,
  pattern: TEXT,
  format: TEXT,
  items: {
    expected: "a schema, or a list of them for the first items",
    holds: (value) => isSchema(value) || areSchemas(value),
  },
  prefixItems: {
    expected: "a list of schemas, not empty, and none in items",
    holds: (value, { items }) => areSchemas(value) && !Array.isArray(items),
  },
  additionalItems: SCHEMA,
  minItems: COUNT,
  maxItems: COUNT,
  uniqueItems: TRUTH,
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
  not: {
    expected: "true or {}, which nothing fits, or false (describe what is allowed instead of what is not)",
    holds: (value) =>
      typeof value === "boolean" || (isObject(value) && Object.keys(value).every((name) => NOTES.has(name))),
  },
  nullable: TRUTH,
  discriminator: {
    expected: "an object with propertyName, beside oneOf or anyOf",
    holds: (value) => isObject(value) && typeof value.propertyName === "string",
  },
  $id: TEXT,
  $anchor: TEXT,
  $ref: TEXT,
  $defs: NAMED_SCHEMAS,
  definitions: NAMED_SCHEMAS,
};

/** Annotations without effect; the standard treats unknown keywords as annotations as well. */
const NOTES = new Set([
  ...["title", "description", "default", "examples", "example", "$schema", "$comment", "$vocabulary", "deprecated"],
  ...["readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema", "externalDocs", "xml", "id"],
]);

/** Unsupported keywords, and their replacements. */
const REFUSED: Record<string, string> = {
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
  $dynamicRef: "write $ref",
  $dynamicAnchor: "write $defs and $ref",
  $recursiveRef: "write $ref",
  $recursiveAnchor: "write $ref",
  // Of earlier drafts, ajv, and JSON Type Definition.
  divisibleBy: "write multipleOf",
  disallow: "describe what is allowed instead of what is not",
  extends: "write allOf",
  formatMinimum: "write a pattern",
  formatMaximum: "write a pattern",
  formatExclusiveMinimum: "write a pattern",
  formatExclusiveMaximum: "write a pattern",
  elements: "that is JSON Type Definition: write items",
  optionalProperties: "that is JSON Type Definition: write properties, and leave their names out of required",
  values: "that is JSON Type Definition: write additionalProperties",
};

/** Keywords whose values are schemas: one, a list, or an object of them by name. */
export const SUBSCHEMAS: readonly (readonly [keyword: string, kind: "one" | "list" | "named"])[] = [
  ...Object.entries(KINDS).flatMap(([name, kind]): [string, "one" | "list" | "named"][] => {
    if (kind === NAMED_SCHEMAS) return [[name, "named"]];
    if (kind === SCHEMAS || name === "prefixItems") return [[name, "list"]];
    return kind === SCHEMA || name === "items" ? [[name, "one"]] : [];
  }),
];

/** Keywords by the type that they apply to. */
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

/**
 * Throws OptionError for a keyword with a value of the wrong type, an unsupported keyword, and an unknown one that is likely a typo;
 * other unknown keywords are annotations, as in the standard. `path` is from the schema's root.
 */
export function checkKeywords(keywords: Keywords, path: string): void {
  for (const [name, value] of Object.entries(keywords)) {
    if (NOTES.has(name)) continue;
    const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
    if (kind?.holds(value, keywords)) continue;
    if (kind) {
      const got = JSON.stringify(value) ?? String(value);
      throw badSchema(`${path}/${name}`, kind.expected, got.slice(0, 60), "change it, or leave it out");
    }
    const remedy = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    const meant = remedy ? undefined : likelySlip(name, KNOWN);
    if (remedy || meant) {
      throw badSchema(path, "supported keywords", `\`${name}\``, remedy ?? `did you mean \`${meant}\`?`);
    }
  }
}
const KNOWN = [...Object.keys(KINDS), ...Object.keys(REFUSED)];

/** Longer paths are truncated in the middle: property names may have any length. */
const MOST_PATH = 300;

/** Returns the error for a path in a schema. */
export function badSchema(path: string, expected: string, got: string, remedy: string): OptionError {
  const shown = path.length <= MOST_PATH ? path : `${path.slice(0, MOST_PATH / 2)}…${path.slice(-MOST_PATH / 2)}`;
  return new OptionError({ where: path === "" ? "schema" : `schema: ${shown}`, expected, got, remedy });
}
