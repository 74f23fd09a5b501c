import { choice, NEVER, type Pattern, sequence } from "./pattern.js";

/** Represent `^` and `$` during parsing; compared by identity. */
export const START: Pattern = { kind: "choice", options: [NEVER] };
export const END: Pattern = { kind: "choice", options: [NEVER, NEVER] };

/** One alternative: a body without anchors, and whether it is anchored at the text's start and end. */
export interface Anchored {
  readonly start: boolean;
  readonly end: boolean;
  readonly body: Pattern;
}

/** Splits an expression into alternatives without anchors; undefined if an anchor is neither at the start nor at the end. */
export function alternatives(pattern: Pattern): Anchored[] | undefined {
  if (!isAnchored(pattern)) return [{ start: false, end: false, body: pattern }];
  return inSequence([pattern], false, false);
}

function inSequence(parts: readonly Pattern[], start: boolean, end: boolean): Anchored[] | undefined {
  if (!parts.some(isAnchored)) return [{ start, end, body: sequence(...parts) }];
  const [first, last] = [parts[0]!, parts.at(-1)!];
  if (first === START) return inSequence(parts.slice(1), true, end);
  if (last === END) return inSequence(parts.slice(0, -1), start, true);
  if (isAnchored(first)) return opened(first, (inner) => inSequence([...inner, ...parts.slice(1)], start, end));
  if (isAnchored(last)) return opened(last, (inner) => inSequence([...parts.slice(0, -1), ...inner], start, end));
  return undefined;
}

/** Combines the alternatives of a choice's options, or of a sequence's parts. */
function opened(pattern: Pattern, use: (inner: readonly Pattern[]) => Anchored[] | undefined): Anchored[] | undefined {
  if (pattern === START || pattern === END) return undefined;
  if (pattern.kind === "sequence") return use(pattern.parts);
  if (pattern.kind !== "choice") return undefined;
  // Options without anchors stay together.
  const plain = pattern.options.filter((option) => !isAnchored(option));
  const groups = pattern.options.filter(isAnchored).map((option) => [option]);
  if (plain.length > 0) groups.push([choice(...plain)]);
  const found = groups.map(use);
  return found.every((some) => some !== undefined) ? found.flat() : undefined;
}

function isAnchored(pattern: Pattern): boolean {
  if (pattern === START || pattern === END) return true;
  if (pattern.kind === "sequence") return pattern.parts.some(isAnchored);
  if (pattern.kind === "choice") return pattern.options.some(isAnchored);
  return pattern.kind === "repeat" && isAnchored(pattern.part);
}
