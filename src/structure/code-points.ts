/** Sets of characters and their UTF-8 encodings. */

export type Range = readonly [first: number, last: number];

/** Sorted, disjoint, non-adjacent ranges of Unicode code points, without surrogates, which UTF-8 cannot encode. */
export type CodePoints = readonly Range[];

/** Every character. */
export const ANY: CodePoints = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

/** Normalises ranges to a set. */
export function codePoints(ranges: readonly Range[]): CodePoints {
  const merged: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else if (first <= last) merged.push([first, last]);
  }
  return common(merged, ANY);
}

/** Intersection. */
export function common(a: CodePoints, b: CodePoints): CodePoints {
  const found: Range[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [first, last] = [Math.max(a[i]![0], b[j]![0]), Math.min(a[i]![1], b[j]![1])];
    if (first <= last) found.push([first, last]);
    if (a[i]![1] < b[j]![1]) i++;
    else j++;
  }
  return found;
}

/** Difference of `a` and `b`. */
export function except(a: CodePoints, b: CodePoints): CodePoints {
  const others: Range[] = [];
  let next = 0;
  for (const [first, last] of b) {
    if (first > next) others.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= 0x10ffff) others.push([next, 0x10ffff]);
  return common(a, others);
}

/** Range of each byte of a sequence. */
export type ByteRanges = readonly Range[];

/** Converts a set to UTF-8: sequences of byte ranges whose union is the encodings of its characters. */
export function utf8(points: CodePoints): ByteRanges[] {
  const found: ByteRanges[] = [];
  for (const [first, last] of points) {
    for (const [least, most, length] of LENGTHS) {
      const [from, to] = [Math.max(first, least), Math.min(last, most)];
      if (from <= to) split(bytesOf(from, length), bytesOf(to, length), [], found);
    }
  }
  return found;
}

/** Code point ranges by the length of their encoding. */
const LENGTHS = [
  [0, 0x7f, 1],
  [0x80, 0x7ff, 2],
  [0x800, 0xffff, 3],
  [0x10000, 0x10ffff, 4],
] as const;

function bytesOf(point: number, length: number): number[] {
  if (length === 1) return [point];
  const bytes: number[] = [];
  for (let i = 1; i < length; i++, point >>= 6) bytes.unshift(0x80 | (point & 0x3f));
  return [((0xf00 >> length) & 0xff) | point, ...bytes];
}

/** Splits the range between two encodings of equal length into sequences with independent byte ranges. */
function split(low: readonly number[], high: readonly number[], before: ByteRanges, found: ByteRanges[]): void {
  const [least, most] = [low[0]!, high[0]!];
  const [lows, highs] = [low.slice(1), high.slice(1)];
  if (lows.length === 0) {
    found.push([...before, [least, most]]);
    return;
  }
  if (least === most) {
    split(lows, highs, [...before, [least, least]], found);
    return;
  }
  const [zeros, ones] = [lows.map(() => 0x80), lows.map(() => 0xbf)];
  const wholeLow = lows.every((byte) => byte === 0x80);
  const wholeHigh = highs.every((byte) => byte === 0xbf);
  if (!wholeLow) split(lows, ones, [...before, [least, least]], found);
  const [from, to] = [wholeLow ? least : least + 1, wholeHigh ? most : most - 1];
  if (from <= to) found.push([...before, [from, to], ...lows.map((): Range => [0x80, 0xbf])]);
  if (!wholeHigh) split(zeros, highs, [...before, [most, most]], found);
}
