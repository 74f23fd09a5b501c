import { COMMA, literal } from "./json-text.js";
import { choice, EMPTY, NEVER, type Pattern, Rule, repeat, sequence, text } from "./pattern.js";
import { valuesOf } from "./schema-apart.js";
import { equal, holds } from "./schema-holds.js";
import { badSchema } from "./schema-keywords.js";
import type { SchemaNode, SchemaNodes } from "./schema-nodes.js";
import { counts } from "./schema-string.js";

/** Maximum distinct values; the subsets of more would be too many. */
const MOST_DISTINCT = 8;

/** Pattern of the arrays that match all nodes. */
export function arrayPattern(
  schemas: SchemaNodes,
  nodes: readonly SchemaNode[],
  value: (nodes: readonly SchemaNode[]) => Pattern,
): Pattern {
  const prefixes = nodes.map((node) => schemas.list(node, "prefixItems"));
  const longest = Math.max(0, ...prefixes.map(({ length }) => length));
  const [least, most] = counts(nodes, "minItems", "maxItems");
  if (least > most) return NEVER;
  const unique = nodes.find(({ keywords }) => keywords.uniqueItems === true);
  if (unique && most > 1) {
    const items = schemas.all(nodes.flatMap((node) => schemas.one(node, "items") ?? []));
    const values = longest === 0 ? distinctValues(schemas, items) : undefined;
    if (values) return sequence(text("["), distinctItems(values, least, most));
    const expected = `false, or items (and no prefixItems) of an enum of at most ${MOST_DISTINCT} values`;
    throw badSchema(
      `${unique.path}/uniqueItems`,
      expected,
      "true",
      "uniqueness of other items can't be enforced: leave it out",
    );
  }

  const item = (index: number): Pattern =>
    value(nodes.flatMap((node, i) => prefixes[i]![index] ?? schemas.one(node, "items") ?? []));
  /** Pattern after `count` items. */
  const rest = (count: number): Pattern => {
    const end = count >= least ? text("]") : NEVER;
    if (count >= most) return end;
    if (count > 0 && count >= longest) {
      return sequence(repeat(sequence(COMMA, item(count)), Math.max(0, least - count), most - count), text("]"));
    }
    return choice(end, sequence(count > 0 ? COMMA : EMPTY, item(count), rest(count + 1)));
  };
  return sequence(text("["), rest(0));
}

function distinctValues(schemas: SchemaNodes, items: readonly SchemaNode[]): unknown[] | undefined {
  const values: unknown[] = [];
  for (const value of valuesOf(items) ?? []) {
    const fits = items.every((node) => holds(schemas, node, value));
    if (fits && !values.some((known) => equal(known, value))) values.push(value);
  }
  return valuesOf(items) && values.length <= MOST_DISTINCT ? values : undefined;
}

/** Lists of distinct values in any order; one rule per subset of written values. */
function distinctItems(values: readonly unknown[], least: number, most: number): Pattern {
  const rests = new Map<number, Rule>();
  const rest = (written: number, count: number): Pattern => {
    let rule = rests.get(written);
    if (rule) return rule;
    rule = new Rule("items that differ");
    rests.set(written, rule);
    const next = values.flatMap((value, i) => {
      if ((written >> i) & 1 || count >= most) return [];
      return [sequence(count > 0 ? COMMA : EMPTY, literal(value), rest(written | (1 << i), count + 1))];
    });
    rule.body = choice(...next, ...(count >= least ? [text("]")] : []));
    return rule;
  };
  return rest(0, 0);
}
