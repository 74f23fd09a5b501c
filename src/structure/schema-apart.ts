import { PatternFault } from "./fault.js";
import { commonStep, type NumberLimits, type Step } from "./json-number.js";
import { rangeOf } from "./schema-formats.js";
import { holds, propertySchemas } from "./schema-holds.js";
import { badSchema } from "./schema-keywords.js";
import { kindsOf, type SchemaNode, type SchemaNodes } from "./schema-nodes.js";

/** The values that `enum` or `const` allow, regardless of other keywords; undefined without them. */
export function valuesOf(nodes: readonly SchemaNode[]): readonly unknown[] | undefined {
  for (const { keywords } of nodes) {
    if ("const" in keywords) return [keywords.const];
    if (keywords.enum !== undefined) return keywords.enum as unknown[];
  }
  return undefined;
}

/** Combines the nodes' conditions on numbers. */
export function limitsOf(nodes: readonly SchemaNode[]): NumberLimits {
  let [least, most] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  let step: Step | undefined;
  let [aboveLeast, belowMost, whole] = [false, false, !kindsOf(nodes).has("fraction")];
  for (const { keywords, path } of nodes) {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = keywords as Record<string, number>;
    const [lowest, highest] = rangeOf(keywords.format);
    if (lowest > least) [least, aboveLeast] = [lowest, false];
    if (highest < most) [most, belowMost] = [highest, false];
    if (minimum !== undefined && minimum > least) [least, aboveLeast] = [minimum, false];
    if (exclusiveMinimum !== undefined && exclusiveMinimum >= least) [least, aboveLeast] = [exclusiveMinimum, true];
    if (maximum !== undefined && maximum < most) [most, belowMost] = [maximum, false];
    if (exclusiveMaximum !== undefined && exclusiveMaximum <= most) [most, belowMost] = [exclusiveMaximum, true];
    if (multipleOf === undefined) continue;
    step = commonStep(step, multipleOf);
    if (!step || step.units > MOST_UNITS) {
      const expected = `a number (together with others the least common multiple) of at most ${MOST_UNITS} units of its last digit`;
      throw badSchema(`${path}/multipleOf`, expected, String(multipleOf), "write a rounder number, or leave it out");
    }
  }
  // Multiples of an integer are integers.
  if (step?.places === 0) whole = true;
  return { whole, least, most, aboveLeast, belowMost, step };
}

/** Maximum units of `multipleOf`; each is a state at each digit. */
const MOST_UNITS = 100;

/** Maximum depth of nested properties compared. */
const DEEPEST = 8;

/** Maximum comparisons of schemas per `oneOf`. */
const MOST_COMPARED = 20_000;

/** Decides whether two schemas are certainly disjoint; memoised, since schemas with common parts recur. */
export class Apart {
  readonly #found = new Map<string, boolean>();
  #compared = 0;

  constructor(readonly schemas: SchemaNodes) {}

  /** Takes lists as returned by `SchemaNodes.all`. Throws PatternFault beyond the limit of comparisons. */
  are(a: readonly SchemaNode[], b: readonly SchemaNode[], depth = 0): boolean {
    const key = `${depth} ${a.map(({ id }) => id)} ${b.map(({ id }) => id)}`;
    const known = this.#found.get(key);
    if (known !== undefined) return known;
    if (++this.#compared > MOST_COMPARED) throw new PatternFault(`more than ${MOST_COMPARED} pairs to compare`);
    const found = this.#compare(a, b, depth);
    this.#found.set(key, found);
    return found;
  }

  #compare(a: readonly SchemaNode[], b: readonly SchemaNode[], depth: number): boolean {
    const { schemas } = this;
    const fits = (value: unknown) => [...a, ...b].every((node) => holds(schemas, node, value));
    // Enumerated values are tested one by one.
    for (const values of [valuesOf(a), valuesOf(b)]) if (values && !values.some(fits)) return true;
    const others = kindsOf(b);
    const byKind = [...kindsOf(a)].every((kind) => {
      if (!others.has(kind)) return true;
      if (kind === "integer" || kind === "fraction") return below(a, b) || below(b, a);
      return kind === "object" && depth < DEEPEST && this.#objects(a, b, depth);
    });
    return byKind || (depth < DEEPEST && (this.#options(a, b, depth) || this.#options(b, a, depth)));
  }

  /** Disjoint if all options of one are disjoint from the other. */
  #options(a: readonly SchemaNode[], b: readonly SchemaNode[], depth: number): boolean {
    return a.some((node) =>
      ["anyOf", "oneOf"].some((keyword) => {
        const options = this.schemas.list(node, keyword);
        return options.length > 0 && options.every((option) => this.are(this.schemas.all([option]), b, depth + 1));
      }),
    );
  }

  /** Objects are disjoint if a required property has disjoint schemas. */
  #objects(a: readonly SchemaNode[], b: readonly SchemaNode[], depth: number): boolean {
    const { schemas } = this;
    const required = new Set([...a, ...b].flatMap(({ keywords }) => (keywords.required ?? []) as string[]));
    const wanted = (nodes: readonly SchemaNode[], name: string) =>
      schemas.all(nodes.flatMap((node) => propertySchemas(schemas, node, name)));
    return [...required].some((name) => this.are(wanted(a, name), wanted(b, name), depth + 1));
  }
}

function below(a: readonly SchemaNode[], b: readonly SchemaNode[]): boolean {
  const { most, belowMost } = limitsOf(a);
  const { least, aboveLeast } = limitsOf(b);
  return most < least || (most === least && (belowMost || aboveLeast));
}

/**
 * Whether objects are distinguished by a required property with distinct strings, as by a discriminator: a shortcut for hundreds of
 * options, whose pairwise comparison would take long.
 */
export function toldApart(schemas: SchemaNodes, options: readonly (readonly SchemaNode[])[]): boolean {
  const objects = options.every((nodes) => [...kindsOf(nodes)].every((kind) => kind === "object"));
  const demanded = (nodes: readonly SchemaNode[]) =>
    new Set(nodes.flatMap(({ keywords }) => (keywords.required ?? []) as string[]));
  if (!objects || options.length === 0) return false;
  return [...demanded(options[0]!)].some((name) => {
    const seen = new Set<unknown>();
    return options.every((nodes) => {
      const values = demanded(nodes).has(name)
        ? valuesOf(schemas.all(nodes.flatMap((node) => propertySchemas(schemas, node, name))))
        : undefined;
      return values?.every((value) => typeof value === "string" && !seen.has(value) && seen.add(value)) ?? false;
    });
  });
}
