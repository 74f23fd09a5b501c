import { STORED, spend } from "./compile-budget.js";
import { isMultiple } from "./json-number.js";
import { FORMATS, isTextFormat, rangeOf } from "./schema-formats.js";
import { type Kind, kindsOf, type SchemaNode, type SchemaNodes } from "./schema-nodes.js";
import { matches } from "./schema-string.js";

type Json = Record<string, unknown>;

/** Whether a value matches a schema; for the values of `enum` and `const`, which other keywords may exclude. */
export function holds(schemas: SchemaNodes, node: SchemaNode, value: unknown): boolean {
  spend(STORED);
  const fits = (schema: SchemaNode | undefined, inner: unknown): boolean =>
    schema === undefined || holds(schemas, schema, inner);
  return schemas.all([node]).every((part) => {
    const { keywords, never } = part;
    if (never) return false;
    if (!kindsOf([part]).has(kindOf(value))) return false;
    if (keywords.const !== undefined && !equal(keywords.const, value)) return false;
    if (keywords.enum !== undefined && !isListed(keywords.enum as unknown[], value)) return false;
    const [anyOf, oneOf] = [schemas.list(part, "anyOf"), schemas.list(part, "oneOf")];
    if (anyOf.length > 0 && !anyOf.some((option) => fits(option, value))) return false;
    if (oneOf.length > 0 && oneOf.filter((option) => fits(option, value)).length !== 1) return false;
    if (typeof value === "number") return numberHolds(keywords, value);
    if (typeof value === "string") return stringHolds(part, value);
    if (Array.isArray(value)) {
      const prefix = schemas.list(part, "prefixItems");
      const items = schemas.one(part, "items");
      return (
        within(value.length, keywords.minItems, keywords.maxItems) &&
        (keywords.uniqueItems !== true ||
          !value.some((item, i) => value.slice(0, i).some((other) => equal(item, other)))) &&
        value.every((item, i) => fits(prefix[i] ?? items, item))
      );
    }
    return typeof value !== "object" || value === null || objectHolds(schemas, part, value as Json, fits);
  });
}

const simpleValues = new WeakMap<readonly unknown[], Set<unknown>>();

/** Whether a list contains the value; constant time except for objects and arrays. */
function isListed(list: readonly unknown[], value: unknown): boolean {
  if (typeof value === "object" && value !== null) return list.some((known) => equal(known, value));
  const simple = simpleValues.get(list) ?? new Set(list);
  simpleValues.set(list, simple);
  return simple.has(value);
}

function objectHolds(
  schemas: SchemaNodes,
  node: SchemaNode,
  value: Json,
  fits: (schema: SchemaNode | undefined, inner: unknown) => boolean,
): boolean {
  const { required = [], minProperties, maxProperties } = node.keywords;
  const entries = Object.entries(value);
  if (!within(entries.length, minProperties, maxProperties)) return false;
  if (!(required as string[]).every((name) => Object.hasOwn(value, name))) return false;
  const names = schemas.one(node, "propertyNames");
  return entries.every(
    ([name, inner]) => fits(names, name) && propertySchemas(schemas, node, name).every((one) => fits(one, inner)),
  );
}

/** The schemas that apply to a property by name. */
export function propertySchemas(schemas: SchemaNodes, node: SchemaNode, name: string): SchemaNode[] {
  const own = schemas.named(node, "properties").get(name);
  const found = own ? [own] : [];
  for (const [pattern, schema] of schemas.named(node, "patternProperties")) {
    if (matches(pattern, `schema: ${node.path}/patternProperties`, name)) found.push(schema);
  }
  const others = schemas.one(node, "additionalProperties");
  return found.length === 0 && others ? [others] : found;
}

function numberHolds(keywords: Json, value: number): boolean {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = keywords;
  return (
    within(value, minimum, maximum) &&
    within(value, ...rangeOf(keywords.format)) &&
    (exclusiveMinimum === undefined || value > (exclusiveMinimum as number)) &&
    (exclusiveMaximum === undefined || value < (exclusiveMaximum as number)) &&
    (multipleOf === undefined || isMultiple(value, multipleOf as number))
  );
}

function stringHolds({ keywords, path }: SchemaNode, value: string): boolean {
  const { minLength, maxLength, pattern, format } = keywords;
  return (
    within([...value].length, minLength, maxLength) &&
    (pattern === undefined || matches(pattern as string, `schema: ${path}/pattern`, value)) &&
    (format === undefined || !isTextFormat(format) || matches(FORMATS[format]!, `schema: ${path}/format`, value))
  );
}

function within(value: number, least: unknown, most: unknown): boolean {
  return (least === undefined || value >= (least as number)) && (most === undefined || value <= (most as number));
}

export function kindOf(value: unknown): Kind {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "fraction";
  return typeof value as Kind;
}

/** Whether two JSON values are equal, regardless of property order. */
export function equal(a: unknown, b: unknown): boolean {
  spend(1);
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [a as Json, b as Json];
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => Object.hasOwn(right, name) && equal(left[name], right[name]))
  );
}
