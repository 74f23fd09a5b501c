/** Random JSON schemas, and values that fit them, for tests of constrained answers. */

type Json = Record<string, unknown>;

/** A schema, and how to draw a value that fits it, its properties in the schema's order. */
export interface Drawn {
  readonly schema: Json;
  readonly value: () => unknown;
}

const NAMES = ["a", "id", "n", "is it", "größe", 'q"t', "x\\y", "😀"];
const WORDS = ["red", "blue", "", 'a "b"', "tab\there", "日本", "\u0000", "a/b\\c", "👍🏽"];
const PATTERNS: readonly (readonly [pattern: string, texts: readonly string[]])[] = [
  ["^[a-z]{2,4}$", ["ab", "xyz", "abcd"]],
  ["^\\d+$", ["0", "12", "3456"]],
  ["[aeiou]", ["a", "xyzu", "hello\n"]],
  ["^(?:on|off)$|^\\p{Lu}", ["on", "off", "Ärger", "X\"'"]],
  ['^"?\\\\?.$', ['"\\x', "y", '"']],
];
const FORMATS: readonly (readonly [format: string, texts: readonly string[]])[] = [
  ["date", ["2024-02-29", "1999-12-31"]],
  ["ipv4", ["127.0.0.1", "255.10.0.99"]],
  ["time", ["23:59:59Z", "00:00:00.5+05:30"]],
];

/** `next` gives numbers from 0 to 1, as `random` does. */
export function randomSchema(next: () => number, depth = 3): Drawn {
  const below = (n: number): number => Math.floor(next() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const chance = (p: number): boolean => next() < p;

  const string = (): Drawn => {
    if (chance(0.3)) {
      const [pattern, texts] = pick(PATTERNS);
      const lengths = chance(0.5) ? { minLength: 1, maxLength: 12 } : {};
      return { schema: { type: "string", pattern, ...lengths }, value: () => pick(texts) };
    }
    if (chance(0.2)) {
      const [format, texts] = pick(FORMATS);
      return { schema: { type: "string", format }, value: () => pick(texts) };
    }
    if (chance(0.5)) return { schema: { type: "string" }, value: () => pick(WORDS) };
    const [minLength, spare] = [below(4), below(4)];
    const text = () =>
      Array.from({ length: minLength + below(spare + 1) }, () => pick(["a", "é", "\n", '"', "字", "😀"])).join("");
    return { schema: { type: "string", minLength, maxLength: minLength + spare }, value: text };
  };

  const number = (): Drawn => {
    const whole = chance(0.6);
    const type = whole ? "integer" : "number";
    const rounded = (value: number): number => Number(value.toFixed(whole ? 0 : 4));
    const from = rounded(next() * 400 - 200);
    const to = rounded(from + 1 + next() * 300);
    switch (below(5)) {
      case 0:
        return { schema: { type }, value: () => (whole ? from : Number((from * 1e-9).toPrecision(9))) };
      case 1:
        return { schema: { type, minimum: from }, value: () => rounded(from + next() * 1000) };
      case 2:
        return { schema: { type, maximum: to }, value: () => rounded(to - next() * 1000) };
      case 3:
        return {
          schema: { type, exclusiveMinimum: from, maximum: to },
          value: () => rounded(to - next() * (to - from) * 0.99),
        };
      default: {
        const multipleOf = 1 + below(20);
        const most = multipleOf * (2 + below(9));
        return { schema: { type, multipleOf, minimum: 0, maximum: most }, value: () => multipleOf * below(3) };
      }
    }
  };

  const array = (): Drawn => {
    const item = randomSchema(next, depth - 1);
    if (chance(0.3)) {
      const first = randomSchema(next, depth - 1);
      const schema = { type: "array", prefixItems: [first.schema], items: item.schema, maxItems: 3 };
      return { schema, value: () => (chance(0.5) ? [] : [first.value(), item.value()]) };
    }
    const minItems = below(3);
    const maxItems = minItems + below(3);
    const schema = { type: "array", items: item.schema, minItems, ...(chance(0.7) && { maxItems }) };
    return {
      schema,
      value: () => Array.from({ length: minItems + below(maxItems - minItems + 1) }, () => item.value()),
    };
  };

  const object = (): Drawn => {
    const names = NAMES.filter(() => chance(0.4)).slice(0, 3);
    const members = names.map((name) => ({ name, ...randomSchema(next, depth - 1), needed: chance(0.6) }));
    const schema: Json = {
      type: "object",
      properties: Object.fromEntries(members.map(({ name, schema: inner }) => [name, inner])),
      required: members.filter(({ needed }) => needed).map(({ name }) => name),
    };
    const others = chance(0.4) ? randomSchema(next, 0) : undefined;
    if (others) schema[chance(0.7) ? "additionalProperties" : "patternProperties"] = others.schema;
    else if (chance(0.5)) schema.additionalProperties = false;
    if (schema.patternProperties) schema.patternProperties = { "^_": others!.schema };
    if (chance(0.2)) schema.maxProperties = names.length + 1;
    const value = () => {
      const entries = members.filter(({ needed }) => needed || chance(0.5)).map((one) => [one.name, one.value()]);
      if (others && chance(0.5)) entries.push(["_more", others.value()]);
      return Object.fromEntries(entries) as unknown;
    };
    return { schema, value };
  };

  const options = (): Drawn => {
    switch (below(4)) {
      case 0: {
        const values = [pick(WORDS), below(100), null, chance(0.5), { a: [1, pick(WORDS)] }].slice(0, 1 + below(5));
        return { schema: { enum: values }, value: () => pick(values) };
      }
      case 1: {
        const [a, b] = [randomSchema(next, depth - 1), randomSchema(next, depth - 1)];
        return { schema: { anyOf: [a.schema, b.schema] }, value: () => (chance(0.5) ? a : b).value() };
      }
      case 2: {
        const a = randomSchema(next, 0);
        const tagged = (kind: string) => ({
          type: "object",
          properties: { kind: { const: kind }, v: a.schema },
          required: ["kind", "v"],
        });
        const schema = { oneOf: [tagged("a"), tagged("b"), { type: "null" }] };
        return { schema, value: () => (chance(0.3) ? null : { kind: pick(["a", "b"]), v: a.value() }) };
      }
      default: {
        const a = string();
        return { schema: { allOf: [a.schema, { type: ["string", "null"], maxLength: 20 }] }, value: a.value };
      }
    }
  };

  const simple = [string, number, () => ({ schema: { type: "boolean" }, value: () => chance(0.5) })];
  return pick(depth > 0 ? [...simple, array, object, object, options] : simple)();
}

/** A list that refers to itself. */
export const CHAIN: Json = {
  $ref: "#/$defs/link",
  $defs: {
    link: {
      type: "object",
      properties: { v: { type: "integer" }, next: { anyOf: [{ $ref: "#/$defs/link" }, { type: "null" }] } },
      required: ["v", "next"],
      additionalProperties: false,
    },
  },
};
