import { type Automaton, automatonOf, intersection, patternOf } from "./automaton.js";
import { ANY } from "./code-points.js";
import { QUOTE, stringChar, stringContent } from "./json-text.js";
import { PatternFault } from "./network.js";
import { chars, type Pattern, repeat, sequence } from "./pattern.js";
import { someMatch } from "./regex.js";
import { FORMATS } from "./schema-formats.js";
import { badSchema } from "./schema-keywords.js";
import type { SchemaNode } from "./schema-nodes.js";

/** Lengths and numbers of items are not counted beyond this: nothing longer is written where there is a limit. */
const MOST_COUNTED = 10_000;

/** The least and the most that the nodes' two keywords leave. */
export function counts(nodes: readonly SchemaNode[], least: string, most: string): [number, number] {
  const all = (keyword: string) => nodes.map(({ keywords }) => keywords[keyword]).filter((n) => typeof n === "number");
  const from = Math.max(0, ...all(least));
  const to = Math.min(...all(most));
  return [from, to < Number.POSITIVE_INFINITY ? Math.min(to, Math.max(from, MOST_COUNTED)) : to];
}

/** Strings that fit all of the nodes, with their quotes. */
export function stringPattern(nodes: readonly SchemaNode[]): Pattern {
  const { least, most, sources } = conditions(nodes);
  if (sources.length === 0) return sequence(QUOTE, repeat(stringChar(ANY), least, most), QUOTE);
  const [only] = sources;
  const free = least === 0 && most === Number.POSITIVE_INFINITY;
  if (sources.length === 1 && free) return sequence(QUOTE, stringContent(someMatch(only!.source, only!.where)), QUOTE);
  return sequence(QUOTE, patternOf(stringAutomaton(nodes)!, stringChar), QUOTE);
}

/** The strings that fit all of the nodes, undefined where any does. */
export function stringAutomaton(nodes: readonly SchemaNode[]): Automaton | undefined {
  const { least, most, sources } = conditions(nodes);
  const patterns = sources.map(({ source, where }) => someMatch(source, where));
  if (least > 0 || most < Number.POSITIVE_INFINITY) patterns.push(repeat(chars(ANY), least, most));
  if (patterns.length === 0) return undefined;
  return within(nodes, () => patterns.map(automatonOf).reduce(intersection));
}

/** Says where in the schema conditions are too large to be met at once. */
export function within<T>(nodes: readonly SchemaNode[], work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof PatternFault)) throw cause;
    const path = nodes.at(-1)?.path ?? "";
    throw badSchema(
      path,
      "conditions that can be met at once",
      cause.message,
      "ask for shorter texts, or for less of them",
    );
  }
}

function conditions(nodes: readonly SchemaNode[]) {
  const [least, most] = counts(nodes, "minLength", "maxLength");
  const sources = nodes.flatMap(({ keywords, path }) => [
    ...(keywords.pattern === undefined
      ? []
      : [{ source: keywords.pattern as string, where: `schema: ${path}/pattern` }]),
    ...(keywords.format === undefined
      ? []
      : [{ source: FORMATS[keywords.format as string]!, where: `schema: ${path}/format` }]),
  ]);
  return { least, most, sources };
}
