/** A bijection of 32-bit integers in which every bit of x changes about half of the bits (the finaliser of SplitMix32). */
export function mixed(x: number): number {
  let z = x >>> 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return (z ^ (z >>> 15)) >>> 0;
}

/**
 * Dropout of x in float64: element i is dropped where `mixed(mixed(i) + key)` is less than `rate·2³²`, others are scaled by `1/(1 − rate)`.
 * `before` is added.
 */
export function dropout(x: ArrayLike<number>, rate: number, key: number, before?: ArrayLike<number>): Float64Array {
  const dropped = Math.floor(rate * 2 ** 32);
  return Float64Array.from(x, (value, i) => {
    const isKept = mixed((mixed(i) + key) >>> 0) >= dropped;
    return (before?.[i] ?? 0) + (isKept ? value / (1 - rate) : 0);
  });
}
