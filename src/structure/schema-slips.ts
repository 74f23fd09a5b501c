/** Names that aren't near a keyword and yet are taken for one. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  property: "properties",
  props: "properties",
  regex: "pattern",
  min: "minimum",
  max: "maximum",
};
/** Longer names are nobody's slip. */
const LONGEST = 40;

/**
 * The keyword that an unknown one was likely meant to be; undefined where it is likely somebody's own note: what begins with
 * `x-`, has signs that keywords have not, or differs by more than a slip of the hand.
 */
export function likelySlip(name: string, keywords: readonly string[]): string | undefined {
  if (name.length > LONGEST || /^x-|[^\w$-]/i.test(name)) return undefined;
  if (Object.hasOwn(OTHER_NAMES, name)) return OTHER_NAMES[name];
  const written = plain(name);
  return keywords.find((keyword) => keyword !== name && alike(written, plain(keyword)));
}

/** How a name reads whatever the style of writing it: minLength, min_length, MinLength. */
function plain(name: string): string {
  return name.replaceAll(/[$_-]/g, "").toLowerCase();
}

/** Whether two names are the same but for one character, two neighbours in a long one, or the order of two. */
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
