/** JSON as patterns: compact like `JSON.stringify`, with an optional space after commas and colons. */
import { type CodePoints, codePoints, common, except } from "./code-points.js";
import { STORED, spend } from "./compile-budget.js";
import { chars, choice, optional, type Pattern, repeat, sequence, text } from "./pattern.js";

/** Characters that are escaped in JSON strings. */
const ESCAPED: CodePoints = codePoints([
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]);

const SPACE = optional(text(" "));
export const COMMA = sequence(text(","), SPACE);
export const COLON = sequence(text(":"), SPACE);
export const QUOTE = text('"');

/** The escapes of these characters, shared by all patterns: an automaton may have thousands of edges with all of them. */
const ESCAPES = new Map(
  ESCAPED.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i)).map((point) => [
    point,
    text(JSON.stringify(String.fromCharCode(point)).slice(1, -1)),
  ]),
);

/** A character of a set within a JSON string. Each has one spelling, so that equal names are equal texts. */
export function stringChar(points: CodePoints): Pattern {
  const escapes = common(points, ESCAPED).flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) => ESCAPES.get(first + i)!),
  );
  spend((points.length + escapes.length) * STORED);
  const plain = chars(except(points, ESCAPED));
  return escapes.length === 0 ? plain : choice(plain, ...escapes);
}

/** Converts a pattern of characters (without rules) to the content of a JSON string. */
export function stringContent(content: Pattern): Pattern {
  switch (content.kind) {
    case "chars":
      return stringChar(content.points);
    case "sequence":
      return sequence(...content.parts.map(stringContent));
    case "choice":
      return choice(...content.options.map(stringContent));
    case "repeat":
      return repeat(stringContent(content.part), content.least, content.most);
    case "counted":
    case "rule":
      throw new Error(`a ${content.kind} within a string`);
  }
}

/** Pattern of one JSON value. */
export function literal(value: unknown): Pattern {
  if (Array.isArray(value)) return sequence(text("["), joined(value.map(literal)), text("]"));
  if (typeof value !== "object" || value === null) return text(JSON.stringify(value));
  const members = Object.entries(value).map(([name, inner]) => member(name, literal(inner)));
  return sequence(text("{"), joined(members), text("}"));
}

/** A property and its value. */
export function member(name: string, value: Pattern): Pattern {
  return sequence(text(JSON.stringify(name)), COLON, value);
}

function joined(items: readonly Pattern[]): Pattern {
  return sequence(...items.flatMap((item, i) => (i > 0 ? [COMMA, item] : [item])));
}
