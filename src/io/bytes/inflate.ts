/**
 * Inflates zlib streams where the runtime's decompressor is not sufficient: returns the bytes before an error in a damaged stream, and
 * works synchronously for short texts. Sources: RFC 1950 and RFC 1951.
 */

const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
];
const DISTANCE_BITS = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
/** Order of the code length code lengths in a dynamic block. */
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const MAX_CODE_BITS = 15;

/** A canonical Huffman code: the number of codes of each length, and the symbols in code order. */
interface Code {
  counts: Uint16Array;
  symbols: Uint16Array;
}

/** Builds a code from its lengths; undefined if they are oversubscribed or, except for a single code, incomplete. */
function makeCode(lengths: Uint8Array): Code | undefined {
  const counts = new Uint16Array(MAX_CODE_BITS + 1);
  for (const length of lengths) counts[length]!++;
  let left = 1;
  for (let length = 1; length <= MAX_CODE_BITS; length++) {
    left = left * 2 - counts[length]!;
    if (left < 0) return undefined;
  }
  const used = lengths.length - counts[0]!;
  if (left > 0 && used > 1) return undefined;
  const starts = new Uint16Array(MAX_CODE_BITS + 2);
  for (let length = 1; length <= MAX_CODE_BITS; length++) starts[length + 1] = starts[length]! + counts[length]!;
  const symbols = new Uint16Array(lengths.length);
  lengths.forEach((length, symbol) => {
    if (length > 0) symbols[starts[length]!++] = symbol;
  });
  return { counts, symbols };
}

const FIXED = [
  makeCode(Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)))!,
  makeCode(new Uint8Array(32).fill(5))!,
] as const;

/** Thrown within this file: at the end of the input, for an invalid stream, and if `out` is full but the stream continues. */
class Exhausted extends Error {}
class StreamFault extends Error {}
class Full extends Error {}

/**
 * Result of inflating: `ended` (complete, checksum correct), `cut` (truncated), `broken` (invalid) or `full` (the output is full, but the
 * stream continues).
 */
export interface Inflated {
  filled: number;
  outcome: "ended" | "cut" | "broken" | "full";
}

class Inflater {
  filled = 0;
  #at = 2;
  #bits = 0;
  #held = 0;

  constructor(
    readonly input: Uint8Array,
    readonly out: Uint8Array,
  ) {}

  read(count: number): number {
    while (this.#held < count) {
      const byte = this.input[this.#at++];
      if (byte === undefined) throw new Exhausted();
      this.#bits |= byte << this.#held;
      this.#held += 8;
    }
    const value = this.#bits & ((1 << count) - 1);
    this.#bits >>>= count;
    this.#held -= count;
    return value;
  }

  symbol({ counts, symbols }: Code): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= MAX_CODE_BITS; length++) {
      code |= this.read(1);
      const count = counts[length]!;
      if (code - count < first) return symbols[index + code - first]!;
      index += count;
      first = (first + count) * 2;
      code *= 2;
    }
    throw new StreamFault();
  }

  stored(): void {
    this.#bits = 0;
    this.#held = 0;
    if (this.#at + 4 > this.input.length) throw new Exhausted();
    const length = this.input[this.#at]! | (this.input[this.#at + 1]! << 8);
    const check = this.input[this.#at + 2]! | (this.input[this.#at + 3]! << 8);
    if (!(length === (~check & 0xffff))) throw new StreamFault();
    this.#at += 4;
    for (let i = 0; i < length; i++) {
      if (this.filled === this.out.length) throw new Full();
      const byte = this.input[this.#at++];
      if (byte === undefined) throw new Exhausted();
      this.out[this.filled++] = byte;
    }
  }

  dynamicCodes(): readonly [Code, Code] {
    const literals = this.read(5) + 257;
    const distances = this.read(5) + 1;
    const codes = this.read(4) + 4;
    const lengths = new Uint8Array(19);
    for (let i = 0; i < codes; i++) lengths[CODE_ORDER[i]!] = this.read(3);
    const lengthCode = makeCode(lengths);
    if (!lengthCode || literals > 286) throw new StreamFault();
    const all = new Uint8Array(literals + distances);
    for (let i = 0; i < all.length; ) {
      const symbol = this.symbol(lengthCode);
      if (symbol < 16) {
        all[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw new StreamFault();
      const value = symbol === 16 ? all[i - 1]! : 0;
      const repeat = symbol === 16 ? 3 + this.read(2) : symbol === 17 ? 3 + this.read(3) : 11 + this.read(7);
      if (i + repeat > all.length) throw new StreamFault();
      all.fill(value, i, i + repeat);
      i += repeat;
    }
    const literal = makeCode(all.subarray(0, literals));
    const distance = makeCode(all.subarray(literals));
    if (!literal || !distance || all[256] === 0) throw new StreamFault();
    return [literal, distance];
  }

  block([literal, distance]: readonly [Code, Code]): void {
    for (;;) {
      const symbol = this.symbol(literal);
      if (symbol === 256) return;
      if (this.filled === this.out.length) throw new Full();
      if (symbol < 256) {
        this.out[this.filled++] = symbol;
        continue;
      }
      const length = LENGTH_BASE[symbol - 257];
      if (length === undefined) throw new StreamFault();
      const count = length + this.read(LENGTH_BITS[symbol - 257]!);
      const far = this.symbol(distance);
      const base = DISTANCE_BASE[far];
      if (base === undefined) throw new StreamFault();
      const back = base + this.read(DISTANCE_BITS[far]!);
      if (back > this.filled) throw new StreamFault();
      for (let i = 0; i < count && this.filled < this.out.length; i++, this.filled++) {
        this.out[this.filled] = this.out[this.filled - back]!;
      }
    }
  }

  run(): void {
    const [method, flags] = [this.input[0] ?? 0, this.input[1] ?? 0];
    if (this.input.length < 2) throw new Exhausted();
    if ((method & 15) !== 8 || method >> 4 > 7 || (method * 256 + flags) % 31 !== 0 || flags & 32)
      throw new StreamFault();
    for (let last = 0; last === 0; ) {
      last = this.read(1);
      const kind = this.read(2);
      if (kind === 3) throw new StreamFault();
      if (kind === 0) this.stored();
      else this.block(kind === 1 ? FIXED : this.dynamicCodes());
    }
    this.#bits = 0;
    this.#held = 0;
    const checksum = this.input.subarray(this.#at, this.#at + 4);
    if (checksum.length < 4) throw new Exhausted();
    const [a, b] = adler32(this.out.subarray(0, this.filled));
    if (checksum.some((byte, i) => byte !== [b >> 8, b & 255, a >> 8, a & 255][i])) throw new StreamFault();
  }
}

function adler32(bytes: Uint8Array): [a: number, b: number] {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return [a, b];
}

/** Inflates a zlib stream into `out`, up to its end or the first error. */
export function inflateInto(input: Uint8Array, out: Uint8Array): Inflated {
  const inflater = new Inflater(input, out);
  let outcome: Inflated["outcome"] = "ended";
  try {
    inflater.run();
  } catch (error) {
    if (error instanceof Exhausted) outcome = "cut";
    else if (error instanceof StreamFault) outcome = "broken";
    else if (error instanceof Full) outcome = "full";
    else throw error;
  }
  return { filled: inflater.filled, outcome };
}
