/**
 * Parses the sequence header of an AV1 stream: frame size, bit depth, chroma subsampling and colour.
 * Source: AV1 Bitstream & Decoding Process Specification, sections 5.3 to 5.5.
 */
import { MediaError } from "../../base/errors.js";

export interface Av1Sequence {
  /** Maximum frame size in pixels. */
  width: number;
  height: number;
  bits: 8 | 10 | 12;
  monochrome: boolean;
  /** Whether chroma is subsampled by 2 along x and along y. */
  halfX: boolean;
  halfY: boolean;
  /** Matrix coefficients and colour primaries, code points of ITU-T H.273; 2 is "unspecified". */
  matrix: number;
  primaries: number;
  fullRange: boolean;
}

const OBU_SEQUENCE_HEADER = 1;
const UNSPECIFIED = 2;

/** Bit reader, most significant bit first. Reads past the end return zeros and set `overrun`. */
class Bits {
  #at = 0;
  constructor(readonly bytes: Uint8Array) {}

  get overrun(): boolean {
    return this.#at > this.bytes.length * 8;
  }

  read(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++, this.#at++) {
      value = value * 2 + (((this.bytes[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1);
    }
    return value;
  }

  flag(): boolean {
    return this.read(1) === 1;
  }

  /** Skips a variable-length unsigned integer (`uvlc`). */
  skipUvlc(): void {
    let zeros = 0;
    while (zeros < 32 && !this.overrun && !this.flag()) zeros++;
    this.read(zeros < 32 ? zeros : 0);
  }
}

/** Returns the payload of the first sequence header OBU; undefined if there is none. */
function sequencePayload(stream: Uint8Array): Uint8Array | undefined {
  for (let at = 0; at < stream.length; ) {
    const header = stream[at]!;
    const type = (header >> 3) & 15;
    let start = at + (header & 4 ? 2 : 1);
    let length = stream.length - start;
    if (header & 2) {
      length = 0;
      for (let i = 0; i < 8; i++) {
        const byte = stream[start++] ?? 0;
        length += (byte & 127) * 2 ** (7 * i);
        if (byte < 128) break;
      }
    }
    if (type === OBU_SEQUENCE_HEADER) return stream.subarray(start, start + length);
    if (length < 0) return undefined;
    at = start + length;
  }
  return undefined;
}

/** Skips timing information and operating points, which precede the frame size unless the header is reduced (still pictures). */
function skipOperatingPoints(bits: Bits): void {
  let decoderModel = false;
  let delayBits = 0;
  if (bits.flag()) {
    bits.read(64);
    if (bits.flag()) bits.skipUvlc();
    decoderModel = bits.flag();
    if (decoderModel) {
      delayBits = bits.read(5) + 1;
      bits.read(32);
      bits.read(10);
    }
  }
  const initialDelay = bits.flag();
  const points = bits.read(5) + 1;
  for (let i = 0; i < points; i++) {
    bits.read(12);
    if (bits.read(5) > 7) bits.read(1);
    if (decoderModel && bits.flag()) bits.read(2 * delayBits + 1);
    if (initialDelay && bits.flag()) bits.read(4);
  }
}

/** Skips the coding tool flags between the frame size and the colour configuration. */
function skipTools(bits: Bits, reduced: boolean): void {
  if (!reduced && bits.flag()) bits.read(7);
  bits.read(3);
  if (!reduced) {
    bits.read(4);
    const orderHint = bits.flag();
    if (orderHint) bits.read(2);
    const choosesScreenTools = bits.flag();
    const screenTools = choosesScreenTools || bits.flag();
    if (screenTools && !bits.flag()) bits.read(1);
    if (orderHint) bits.read(3);
  }
  bits.read(3);
}

function readColour(bits: Bits, profile: number): Omit<Av1Sequence, "width" | "height"> {
  const high = bits.flag();
  const depth = profile === 2 && high ? (bits.flag() ? 12 : 10) : high ? 10 : 8;
  const monochrome = profile !== 1 && bits.flag();
  const described = bits.flag();
  const primaries = described ? bits.read(8) : UNSPECIFIED;
  const transfer = described ? bits.read(8) : UNSPECIFIED;
  const matrix = described ? bits.read(8) : UNSPECIFIED;
  const common = { bits: depth, monochrome, primaries, matrix } as const;
  if (monochrome) return { ...common, fullRange: bits.flag(), halfX: true, halfY: true };
  // sRGB with the identity matrix is always full range, 4:4:4.
  if (primaries === 1 && transfer === 13 && matrix === 0) {
    return { ...common, fullRange: true, halfX: false, halfY: false };
  }
  const fullRange = bits.flag();
  if (profile === 0) return { ...common, fullRange, halfX: true, halfY: true };
  if (profile === 1) return { ...common, fullRange, halfX: false, halfY: false };
  const halfX = depth === 12 ? bits.flag() : true;
  const halfY = depth === 12 && halfX ? bits.flag() : false;
  return { ...common, fullRange, halfX, halfY };
}

/** Reads the first sequence header of `stream`, a sequence of OBUs. Throws MediaError naming `where` if there is none. */
export function readAv1Sequence(stream: Uint8Array, where: string): Av1Sequence {
  const payload = sequencePayload(stream);
  const bits = new Bits(payload ?? new Uint8Array(0));
  const profile = bits.read(3);
  bits.read(1);
  const reduced = bits.flag();
  if (reduced) bits.read(5);
  else skipOperatingPoints(bits);
  const widthBits = bits.read(4) + 1;
  const heightBits = bits.read(4) + 1;
  const width = bits.read(widthBits) + 1;
  const height = bits.read(heightBits) + 1;
  skipTools(bits, reduced);
  const colour = readColour(bits, profile);
  if (!payload || bits.overrun || profile > 2) {
    throw new MediaError({
      where,
      expected: "an AV1 sequence header of profile 0 to 2",
      got: payload ? `${payload.length} bytes that are none` : "none",
      remedy: "get an undamaged copy of the picture",
    });
  }
  return { width, height, ...colour };
}
