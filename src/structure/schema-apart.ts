import type { NumberLimits } from "./json-number.js";
import { holds, propertySchemas } from "./schema-holds.js";
import { badSchema } from "./schema-keywords.js";
import { kindsOf, type SchemaNode, type SchemaNodes } from "./schema-nodes.js";

/** The values that `enum` or `const` leave, before the other keywords are asked; undefined where there is neither. */
export function valuesOf(nodes: readonly SchemaNode[]): readonly unknown[] | undefined {
  for (const { keywords } of nodes) {
    if ("const" in keywords) return [keywords.const];
    if (keywords.enum !== undefined) return keywords.enum as unknown[];
  }
  return undefined;
}

/** What the nodes' keywords say of numbers. */
export function limitsOf(nodes: readonly SchemaNode[]): NumberLimits {
  let [least, most, step] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 1];
  let [aboveLeast, belowMost, whole] = [false, false, !kindsOf(nodes).has("fraction")];
  for (const { keywords, path } of nodes) {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = keywords as Record<string, number>;
    if (minimum !== undefined && minimum > least) [least, aboveLeast] = [minimum, false];
    if (exclusiveMinimum !== undefined && exclusiveMinimum >= least) [least, aboveLeast] = [exclusiveMinimum, true];
    if (maximum !== undefined && maximum < most) [most, belowMost] = [maximum, false];
    if (exclusiveMaximum !== undefined && exclusiveMaximum <= most) [most, belowMost] = [exclusiveMaximum, true];
    if (multipleOf === undefined) continue;
    whole = true;
    step = leastMultiple(step, multipleOf);
    if (step > 100)
      throw badSchema(`${path}/multipleOf`, "a least common multiple of at most 100", String(step), "leave one out");
  }
  return { whole, least, most, aboveLeast, belowMost, step };
}

function leastMultiple(a: number, b: number): number {
  let multiple = a;
  while (multiple % b !== 0) multiple += a;
  return multiple;
}

/** How far properties within properties are compared. */
const DEEPEST = 8;

/** Whether certainly no value fits both; both lists are as `SchemaNodes.all` makes them. */
export function apart(schemas: SchemaNodes, a: readonly SchemaNode[], b: readonly SchemaNode[], depth = 0): boolean {
  const fits = (value: unknown) => [...a, ...b].every((node) => holds(schemas, node, value));
  for (const values of [valuesOf(a), valuesOf(b)]) if (values && !values.some(fits)) return true;
  const others = kindsOf(b);
  return [...kindsOf(a)].every((kind) => {
    if (!others.has(kind)) return true;
    if (kind === "integer" || kind === "fraction") return below(a, b) || below(b, a);
    return kind === "object" && depth < DEEPEST && objectsApart(schemas, a, b, depth);
  });
}

function below(a: readonly SchemaNode[], b: readonly SchemaNode[]): boolean {
  const { most, belowMost } = limitsOf(a);
  const { least, aboveLeast } = limitsOf(b);
  return most < least || (most === least && (belowMost || aboveLeast));
}

/** A property that one demands, and that can't be what both want of it, tells objects apart. */
function objectsApart(
  schemas: SchemaNodes,
  a: readonly SchemaNode[],
  b: readonly SchemaNode[],
  depth: number,
): boolean {
  const required = [...a, ...b].flatMap(({ keywords }) => (keywords.required ?? []) as string[]);
  const wanted = (nodes: readonly SchemaNode[], name: string) =>
    schemas.all(nodes.flatMap((node) => propertySchemas(schemas, node, name)));
  return required.some((name) => apart(schemas, wanted(a, name), wanted(b, name), depth + 1));
}
