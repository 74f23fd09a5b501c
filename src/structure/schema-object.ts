import { type Automaton, automatonOf, intersection, isEmpty, otherThan } from "./automaton.js";
import { COLON, COMMA, member, QUOTE } from "./json-text.js";
import { choice, EMPTY, type Pattern, Rule, repeat, sequence, text } from "./pattern.js";
import { matchAutomaton } from "./regex.js";
import { holds, propertySchemas } from "./schema-holds.js";
import { badSchema } from "./schema-keywords.js";
import { kindsOf, type SchemaNode, type SchemaNodes } from "./schema-nodes.js";
import { counts, pathOf, stringTexts, type Texts, textsPattern, within } from "./schema-string.js";

/** Maximum states: properties times the number of properties written before. */
const MOST_RESTS = 5000;

/** Additional properties: pattern of their names, and their schemas. */
interface Others {
  readonly names: Texts;
  readonly value: Pattern;
}

/**
 * Pattern of the objects that match all nodes. Named properties come in the order of the schema, optional ones may be omitted; others
 * follow if `additionalProperties` or `patternProperties` describe them, or if the schema has no properties at all.
 */
export function objectPattern(
  schemas: SchemaNodes,
  nodes: readonly SchemaNode[],
  value: (nodes: readonly SchemaNode[]) => Pattern,
): Pattern {
  const required = new Set(nodes.flatMap(({ keywords }) => (keywords.required ?? []) as string[]));
  const names = [...new Set([...nodes.flatMap((node) => [...schemas.named(node, "properties").keys()]), ...required])];
  const members = names
    .filter((name) => nodes.every((node) => nameHolds(schemas, node, name)))
    .map((name) => ({
      name,
      needed: required.has(name),
      pattern: member(name, value(nodes.flatMap((node) => propertySchemas(schemas, node, name)))),
    }));
  if ([...required].some((name) => !members.some((one) => one.name === name))) return choice();

  const others = otherProperties(schemas, nodes, names, value);
  const [least, most] = counts(nodes, "minProperties", "maxProperties");
  if (others.length > 0 && least > members.length + 1) {
    const path = `${nodes.find(({ keywords }) => keywords.minProperties === least)!.path}/minProperties`;
    const expected = `at most ${members.length + 1}: names that the schema doesn't give might repeat`;
    throw badSchema(path, expected, String(least), "name the properties");
  }
  const other = choice(
    ...others.map((one) => sequence(QUOTE, textsPattern(nodes, one.names), QUOTE, COLON, one.value)),
  );

  // State: `i` members passed and `count` properties written, counted only as far as it matters.
  const counted = least > 0 || most < Number.POSITIVE_INFINITY;
  const rests = new Map<string, Rule>();
  const rest = (i: number, count: number): Pattern => {
    const known = rests.get(`${i} ${count}`);
    if (known) return known;
    if (rests.size >= MOST_RESTS) {
      const path =
        nodes.find(({ keywords }) => keywords.minProperties ?? keywords.maxProperties)?.path ?? pathOf(nodes);
      const remedy = "leave minProperties and maxProperties out, or name fewer";
      throw badSchema(path, `fewer properties and counts of them than ${MOST_RESTS} together`, "more", remedy);
    }
    const rule = new Rule("an object");
    rests.set(`${i} ${count}`, rule);
    const comma = count > 0 ? COMMA : EMPTY;
    const one = members[i];
    const next = counted ? count + 1 : 1;
    if (one) {
      const written = count < most ? [sequence(comma, one.pattern, rest(i + 1, next))] : [];
      rule.body = choice(...written, ...(one.needed ? [] : [rest(i + 1, count)]));
    } else {
      const more = repeat(sequence(COMMA, other), 0, most - count - 1);
      const some = others.length > 0 && count < most && next >= least ? [sequence(comma, other, more)] : [];
      rule.body = sequence(choice(...some, ...(count >= least ? [EMPTY] : [])), text("}"));
    }
    return rule;
  };
  return sequence(text("{"), rest(0, 0));
}

function nameHolds(schemas: SchemaNodes, node: SchemaNode, name: string): boolean {
  const names = schemas.one(node, "propertyNames");
  return !names || holds(schemas, names, name);
}

function otherProperties(
  schemas: SchemaNodes,
  nodes: readonly SchemaNode[],
  names: readonly string[],
  value: (nodes: readonly SchemaNode[]) => Pattern,
): Others[] {
  const conditions: Texts[] = [{ automaton: otherThan(names), least: 0, most: Number.POSITIVE_INFINITY }];
  for (const node of nodes) {
    const schema = schemas.one(node, "propertyNames");
    if (schema) conditions.push(nameTexts(schemas, schema));
  }
  const least = Math.max(...conditions.map((one) => one.least));
  const most = Math.min(...conditions.map((one) => one.most));
  const automata = conditions.flatMap(({ automaton }) => automaton ?? []);
  const restricted = (extra: readonly Automaton[]): Texts & { automaton: Automaton } => ({
    automaton: within(nodes, () => [...extra, ...automata].reduce(intersection)),
    least,
    most,
  });

  const patterns = nodes.flatMap((node) =>
    [...schemas.named(node, "patternProperties")].map(([source, schema]) => {
      const where = `schema: ${node.path}/patternProperties`;
      const automaton = matchAutomaton(source, where);
      return { node, schema, names: restricted([automaton]) };
    }),
  );
  for (const [i, one] of patterns.entries()) {
    for (const two of patterns.slice(0, i)) {
      if (within(nodes, () => isEmpty(intersection(one.names.automaton, two.names.automaton)))) continue;
      const path = `${one.node.path}/patternProperties`;
      throw badSchema(
        path,
        "patterns of which no name matches two",
        "two that overlap",
        "write patterns that exclude each other",
      );
    }
  }
  const found = patterns.map(({ node, schema, names }): Others => {
    // A node without the pattern applies its own conditions.
    const besides = nodes
      .filter((other) => other !== node)
      .flatMap((other) => schemas.one(other, "additionalProperties") ?? []);
    return { names, value: value([schema, ...besides]) };
  });

  const additional = nodes.flatMap((node) => schemas.one(node, "additionalProperties") ?? []);
  const asked =
    additional.length > 0 || !nodes.some(({ keywords }) => keywords.properties ?? keywords.patternProperties);
  if (!asked || additional.some(({ never }) => never)) return found;
  if (patterns.length > 0) {
    const node = nodes.find(({ keywords }) => keywords.additionalProperties !== undefined)!;
    throw badSchema(
      `${node.path}/additionalProperties`,
      "false beside patternProperties",
      "a schema",
      "give the others a pattern of their own",
    );
  }
  return [{ names: restricted([]), value: value(additional) }];
}

/** Pattern of the names that match a schema. */
function nameTexts(schemas: SchemaNodes, schema: SchemaNode): Texts {
  const nodes = schemas.all([schema]);
  const listed = (...names: readonly string[]): Texts => ({
    automaton: automatonOf(choice(...names.map(text))),
    least: 0,
    most: Number.POSITIVE_INFINITY,
  });
  if (!kindsOf(nodes).has("string")) return listed();
  const values = nodes.flatMap(
    ({ keywords }) => (keywords.enum ?? ("const" in keywords ? [keywords.const] : [])) as unknown[],
  );
  if (values.length > 0) {
    const fitting = values.filter((name) => typeof name === "string" && holds(schemas, schema, name)) as string[];
    return listed(...fitting);
  }
  for (const { keywords, path } of nodes) {
    if (keywords.anyOf === undefined && keywords.oneOf === undefined) continue;
    throw badSchema(path, "one condition on names", "anyOf or oneOf", "write one pattern");
  }
  return stringTexts(nodes);
}
