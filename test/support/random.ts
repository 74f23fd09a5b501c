/** A small seeded generator (mulberry32), so that failures repeat. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` numbers of a normal distribution (Box and Muller 1958), rounded to float32. */
export function gaussians(count: number, seed: number, deviation: number): Float32Array {
  const next = random(seed);
  return Float32Array.from(
    { length: count },
    () => deviation * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
}

/** `count` numbers of roughly normal distribution, rounded to float32. */
export function normals(count: number, seed: number, scale = 1): Float32Array {
  const next = random(seed);
  return Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * 1.7 * scale);
}
