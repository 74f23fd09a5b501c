import { choice, type Pattern, sequence } from "./pattern.js";

/** Choices of at most this many options are not factored. */
const FEW_OPTIONS = 8;

/**
 * Left-factors a choice: options with the same first characters are merged into a trie, so that thousands of words are not
 * matched in parallel.
 */
export function byBeginning(options: readonly Pattern[]): readonly Pattern[] {
  if (options.length <= FEW_OPTIONS) return options;
  return grouped(
    options.map((option) => flattened([option])),
    0,
  );
}

/** Options as lists of parts with a common prefix of `at` parts. */
function grouped(options: readonly (readonly Pattern[])[], at: number): readonly Pattern[] {
  const groups = new Map<string | number, (readonly Pattern[])[]>();
  const found: Pattern[] = [];
  for (const parts of options) {
    const key = pointsOf(parts[at]);
    if (key === undefined) {
      found.push(sequence(...parts.slice(at)));
      continue;
    }
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(parts);
  }
  for (const group of groups.values()) {
    const [first] = group as [readonly Pattern[]];
    let end = at + 1;
    const alike = (): boolean => {
      const key = pointsOf(first[end]);
      return key !== undefined && group.every((parts) => pointsOf(parts[end]) === key);
    };
    while (group.length > 1 && alike()) end++;
    found.push(
      group.length === 1
        ? sequence(...first.slice(at))
        : sequence(...first.slice(at, end), choice(...grouped(group, end))),
    );
  }
  return found;
}

function pointsOf(part: Pattern | undefined): string | number | undefined {
  if (part?.kind !== "chars") return undefined;
  const [only, ...others] = part.points;
  return only && others.length === 0 && only[0] === only[1] ? only[0] : part.points.join();
}

/** Flattens nested sequences. */
function flattened(parts: readonly Pattern[]): readonly Pattern[] {
  return parts.flatMap((part) => (part.kind === "sequence" ? flattened(part.parts) : [part]));
}
