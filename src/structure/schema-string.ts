import { accepts, longest } from "./automata.js";
import { type Automaton, intersection, patternOf } from "./automaton.js";
import { ANY } from "./code-points.js";
import { LengthCosts } from "./counted.js";
import { PatternFault } from "./fault.js";
import { QUOTE, stringChar, stringContent } from "./json-text.js";
import { fewestBytes, NEVER, type Pattern, repeat, sequence } from "./pattern.js";
import { matchAutomaton, someMatch } from "./regex.js";
import { FORMATS, isTextFormat } from "./schema-formats.js";
import { badSchema } from "./schema-keywords.js";
import type { SchemaNode } from "./schema-nodes.js";

/** Combines the nodes' minimum and maximum. */
export function counts(nodes: readonly SchemaNode[], least: string, most: string): [number, number] {
  const all = (keyword: string) => nodes.map(({ keywords }) => keywords[keyword]).filter((n) => typeof n === "number");
  return [Math.max(0, ...all(least)), Math.min(...all(most))];
}

/** Texts of an automaton (or all texts) with `least` to `most` characters. */
export interface Texts {
  readonly automaton: Automaton | undefined;
  readonly least: number;
  readonly most: number;
}

/** Combines the nodes' conditions on strings. */
export function stringTexts(nodes: readonly SchemaNode[]): Texts {
  const { least, most, sources } = conditions(nodes);
  const automata = sources.map(({ source, where }) => matchAutomaton(source, where));
  return {
    least,
    most,
    automaton: automata.length > 0 ? within(nodes, () => automata.reduce(intersection)) : undefined,
  };
}

/** Converts texts to JSON strings, with escapes. */
export function textsPattern(nodes: readonly SchemaNode[], { automaton, least, most }: Texts): Pattern {
  if (least > most) return NEVER;
  if (!automaton) return repeat(stringChar(ANY), least, most);
  // Most formats and many expressions already respect the length limit.
  const free = least === 0 && (most === Number.POSITIVE_INFINITY || longest(automaton) <= most);
  if (free) return patternOf(automaton, stringChar);
  const characters = automaton.edges.map((some) => some.map(({ points }) => stringChar(points)));
  const bytes = characters.map((some) => some.map(fewestBytes));
  const costs = within(nodes, () => new LengthCosts(automaton, bytes, least, most));
  return { kind: "counted", costs, characters };
}

/** Pattern of the JSON strings that match all nodes, with quotes. */
export function stringPattern(nodes: readonly SchemaNode[]): Pattern {
  const { least, most, sources } = conditions(nodes);
  const [only, ...others] = sources;
  if (only && others.length === 0 && least === 0 && most === Number.POSITIVE_INFINITY) {
    const found = someMatch(only.source, only.where);
    return sequence(QUOTE, "kind" in found ? stringContent(found) : patternOf(found, stringChar), QUOTE);
  }
  return sequence(QUOTE, textsPattern(nodes, stringTexts(nodes)), QUOTE);
}

const matchers = new Map<string, Automaton>();
/** Maximum cached automata of expressions. */
const MOST_MATCHERS = 64;

/** Whether an expression matches within the text, in time linear in the text. */
export function matches(source: string, where: string, text: string): boolean {
  const automaton = matchers.get(source) ?? matchAutomaton(source, where);
  if (matchers.size >= MOST_MATCHERS) matchers.clear();
  matchers.set(source, automaton);
  return accepts(automaton, text);
}

/** Converts the error of conditions whose combination is too large, with the path in the schema. */
export function within<T>(nodes: readonly SchemaNode[], work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof PatternFault)) throw cause;
    throw badSchema(
      pathOf(nodes),
      "conditions that can be combined",
      cause.message,
      "ask for shorter texts, or for less of them",
    );
  }
}

export const pathOf = (nodes: readonly SchemaNode[]): string => nodes.at(-1)?.path ?? "";

/** A lookahead that only limits the length, such as `^(?=.{1,253}$)`, with an optional trailing dot. */
const LENGTH = /^\^\(\?=\.\{(\d+),(\d+)\}(?:\\\.\?)?\$\)/;

/** Maximum expressions on one text; each multiplies the states. */
const MOST_SOURCES = 6;

interface Source {
  readonly source: string;
  readonly where: string;
}

function conditions(nodes: readonly SchemaNode[]): { least: number; most: number; sources: readonly Source[] } {
  let [least, most] = counts(nodes, "minLength", "maxLength");
  const sources: Source[] = [];
  for (const { keywords, path } of nodes) {
    const { pattern, format } = keywords;
    const where = `schema: ${path}/pattern`;
    const counting = typeof pattern === "string" ? LENGTH.exec(pattern) : null;
    if (counting) {
      [least, most] = [Math.max(least, Number(counting[1])), Math.min(most, Number(counting[2]))];
      sources.push({ source: `^${(pattern as string).slice(counting[0].length)}`, where }, { source: "^.*$", where });
    } else if (pattern !== undefined) sources.push({ source: pattern as string, where });
    if (isTextFormat(format)) sources.push({ source: FORMATS[format]!, where: `schema: ${path}/format` });
  }
  const known = new Set<string>();
  const different = sources.filter(({ source }) => known.size < known.add(source).size);
  if (different.length > MOST_SOURCES) {
    const expected = `at most ${MOST_SOURCES} patterns and formats of one text`;
    throw badSchema(pathOf(nodes), expected, String(different.length), "write fewer");
  }
  return { least, most, sources: different };
}
