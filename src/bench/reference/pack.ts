import { GROUP_ELEMENTS, type QuantizedType, quantizedRowBytes } from "../../io/safetensors.js";
import { narrowF16, widenF16 } from "../../runtime/dtype.js";

/** A quantised group of 32 elements: its levels, and its scale (and minimum) as f16. */
interface Group {
  readonly levels: number[];
  readonly halves: Uint16Array;
}

/** Quantisation level nearest to x, ties down. */
function nearest(x: number, step: number, from: number, to: number): number {
  const n = Math.round(x / step);
  const rest = x - n * step;
  return Math.min(Math.max(rest > step / 2 ? n + 1 : rest <= -step / 2 ? n - 1 : n, from), to);
}

function quantizeGroup(e: Float32Array, type: QuantizedType): Group {
  const least = type === "q4" ? e.reduce((a, b) => Math.min(a, b)) : 0;
  const most = type === "q4" ? e.reduce((a, b) => Math.max(a, b)) : e.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const share = Math.fround(1 / (type === "q4" ? 15 : 127));
  const halves = narrowF16(Float32Array.of(Math.fround(Math.fround(most - least) * share), least));
  if (halves[1] === 0x8000) halves[1] = 0; // min(-0, +0) is implementation-defined
  const [scale, lowest] = widenF16(halves) as unknown as [number, number];
  const step = Math.max(scale, 2 ** -100);
  const levels =
    type === "q4"
      ? Array.from(e, (x) => nearest(Math.fround(x - lowest), step, 0, 15))
      : Array.from(e, (x) => nearest(x, step, -127, 127) + 128);
  return { levels, halves };
}

/** Rows of f32 `[rows, inner]` as `io/checkpoint/quantized.ts` stores them; scales and levels equal those of the `pack` kernel bit for bit. */
export function quantizeRows(values: Float32Array, inner: number, type: QuantizedType): Uint8Array {
  const rows = values.length / inner;
  const rowBytes = quantizedRowBytes(type, inner);
  const groups = Math.ceil(inner / GROUP_ELEMENTS);
  const bytes = new Uint8Array(rows * rowBytes);
  const view = new DataView(bytes.buffer);
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const e = new Float32Array(GROUP_ELEMENTS);
      e.set(
        values.subarray(
          row * inner + group * GROUP_ELEMENTS,
          row * inner + Math.min((group + 1) * GROUP_ELEMENTS, inner),
        ),
      );
      const { levels, halves } = quantizeGroup(e, type);
      const at = row * rowBytes + group * (type === "q4" ? 20 : GROUP_ELEMENTS);
      if (type === "q4") {
        for (const [i, level] of levels.entries()) bytes[at + (i >> 1)]! |= level << (4 * (i & 1));
        view.setUint16(at + 16, halves[0]!, true);
        view.setUint16(at + 18, halves[1]!, true);
      } else {
        bytes.set(levels, at);
        view.setUint16(row * rowBytes + groups * GROUP_ELEMENTS + 2 * group, halves[0]!, true);
      }
    }
  }
  return bytes;
}
