/** Names that are often used for a keyword without being similar to it. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  property: "properties",
  props: "properties",
  regex: "pattern",
  min: "minimum",
  max: "maximum",
};
/** Longer names are not typos. */
const LONGEST = 40;

/**
 * Returns the keyword that an unknown one likely misspells; undefined if it is likely an annotation: a name with the prefix `x-`, with
 * other characters than keywords have, or with more than one typo.
 */
export function likelySlip(name: string, keywords: readonly string[]): string | undefined {
  if (name.length > LONGEST || /^x-|[^\w$-]/i.test(name)) return undefined;
  if (Object.hasOwn(OTHER_NAMES, name)) return OTHER_NAMES[name];
  const written = plain(name);
  return keywords.find((keyword) => keyword !== name && alike(written, plain(keyword)));
}

/** Folds naming styles: minLength, min_length, MinLength. */
function plain(name: string): string {
  return name.replaceAll(/[$_-]/g, "").toLowerCase();
}

/** Whether two names differ by one edit, by two adjacent characters in a long name, or by a transposition. */
function alike(a: string, b: string): boolean {
  if (a === b) return true;
  const length = Math.max(a.length, b.length);
  const shorter = Math.min(a.length, b.length);
  if (shorter < 4) return false;
  let before = 0;
  while (before < shorter && a[before] === b[before]) before++;
  let behind = 0;
  while (behind < shorter - before && a.at(-1 - behind) === b.at(-1 - behind)) behind++;
  const differing = length - before - behind;
  if (differing <= 1) return true;
  const swapped =
    a.length === b.length && differing === 2 && a[before] === b[before + 1] && a[before + 1] === b[before];
  return swapped || (differing === 2 && length >= 8);
}
