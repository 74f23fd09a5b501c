const GOLDEN = 0x9e3779b9;

/** Uniform numbers in [0, 1) from a seed: SplitMix32, the same on every machine. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + GOLDEN) >>> 0;
    return mixed(state) / 2 ** 32;
  };
}

/** A 32-bit hash of integers and texts, the same on every machine. */
export function hashOf(...values: readonly (number | string)[]): number {
  const units = values.flatMap((value) =>
    typeof value === "number" ? [value] : [...value].map((character) => character.codePointAt(0)!),
  );
  return units.reduce((hash, unit) => mixed(Math.imul(hash, 31) + unit + GOLDEN), values.length);
}

/** The finaliser of SplitMix32, a bijection of 32-bit integers. */
function mixed(x: number): number {
  let z = x >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/** The numbers from 0 to `count` − 1 in random order (Fisher–Yates). */
export function shuffled(count: number, seed: number): number[] {
  const random = randomNumbers(seed);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
