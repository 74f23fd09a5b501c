import { PatternFault } from "./fault.js";
import { commonStep, type NumberLimits, type Step } from "./json-number.js";
import { rangeOf } from "./schema-formats.js";
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
  // Multiples of a whole number are whole.
  if (step?.places === 0) whole = true;
  return { whole, least, most, aboveLeast, belowMost, step };
}

/** Each unit is a state at each digit. */
const MOST_UNITS = 100;

/** How far properties within properties are compared. */
const DEEPEST = 8;

/** Comparisons of schemas for one `oneOf`. */
const MOST_COMPARED = 20_000;

/** Whether certainly no value fits two schemas. What was found is kept: schemas with much in common meet again and again. */
export class Apart {
  readonly #found = new Map<string, boolean>();
  #compared = 0;

  constructor(readonly schemas: SchemaNodes) {}

  /** Both lists are as `SchemaNodes.all` makes them. Throws PatternFault if that takes too long. */
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
    // Of `enum` and `const` each value is asked.
    for (const values of [valuesOf(a), valuesOf(b)]) if (values && !values.some(fits)) return true;
    const others = kindsOf(b);
    const byKind = [...kindsOf(a)].every((kind) => {
      if (!others.has(kind)) return true;
      if (kind === "integer" || kind === "fraction") return below(a, b) || below(b, a);
      return kind === "object" && depth < DEEPEST && this.#objects(a, b, depth);
    });
    return byKind || (depth < DEEPEST && (this.#options(a, b, depth) || this.#options(b, a, depth)));
  }

  /** If no option of one can be the other, nothing can. */
  #options(a: readonly SchemaNode[], b: readonly SchemaNode[], depth: number): boolean {
    return a.some((node) =>
      ["anyOf", "oneOf"].some((keyword) => {
        const options = this.schemas.list(node, keyword);
        return options.length > 0 && options.every((option) => this.are(this.schemas.all([option]), b, depth + 1));
      }),
    );
  }

  /** A property that one demands, and that can't be what both want of it, tells objects apart. */
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
 * Whether objects are told apart by one property that all of them demand, each with texts of its own, as where there is a
 * discriminator: that is seen at once, where comparing hundreds with each other would take long.
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
