import { LimitError } from "../base/errors.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/**
 * The maximum size of a block. Adapters refuse single large buffers long before memory is full, some even at their stated limit.
 */
const BLOCK_BYTES = 512 * 1024 * 1024;

/** Storage dtype of a packed matrix: floats, or 8 or 4 bits with a scale per group of 32 elements. */
export type WeightType = "f32" | "f16" | "bf16" | QuantizedType;
/**
 * Group-wise quantisation along the inner dimension, with groups as in GPTQ (arXiv 2210.17323) and the arithmetic of GGML's blocks
 * (`ggml-quants.c`): q8 is `scale·n` with n from −127 to 127 (Q8_0), q4 is `scale·n + minimum` with n from 0 to 15 (Q4_1).
 */
export type QuantizedType = "q8" | "q4";

/** Columns of a panel: a workgroup's lanes each own one or a few. */
export const PANEL = 32;
/** Consecutive inner elements that make a `vec4`. */
export const QUAD = 4;
/** Quads of a group: 32 inner elements, which share a scale in the quantised types. */
export const GROUP = 8;

/** `u32` words of one group of a panel. */
const GROUP_WORDS: Record<WeightType, number> = {
  f32: GROUP * QUAD * PANEL,
  f16: (GROUP * QUAD * PANEL) / 2,
  bf16: (GROUP * QUAD * PANEL) / 2,
  q8: GROUP * PANEL + PANEL / 2,
  q4: (GROUP / 2) * PANEL + PANEL,
};

/** A range of a matrix's output columns in one buffer: panels × groups × words of a group. */
export interface PackedBlock {
  readonly tensor: Tensor;
  readonly firstColumn: number;
  readonly columns: number;
}

/**
 * A weight matrix `[columns, inner]` in the order the kernels read it: panels of 32 output columns; within a panel, groups of 32
 * consecutive inner elements; within a group, pieces of 16 bytes, column after column. A piece contains one quad of f32, two of
 * 16 bits, four of bytes, or eight of nibbles. A quantised group ends with its scales, those of columns c, c + 8, c + 16
 * and c + 24 adjacent. Padded with zeros to whole groups. Split into blocks of whole panels so that no binding exceeds the limit.
 * @example
 * ```ts
 * const w = packMatrix(device, new Float32Array(64 * 32), [64, 32], "w", "q8"); // [columns, inner]
 * console.log(w.type, w.sizeBytes);
 * ```
 */
export class PackedMatrix {
  constructor(
    readonly columns: number,
    readonly inner: number,
    readonly type: WeightType,
    readonly label: string,
    readonly blocks: readonly PackedBlock[],
  ) {}

  /** Quads of a row, the last one padded. */
  get quads(): number {
    return Math.ceil(this.inner / QUAD);
  }

  get groups(): number {
    return Math.ceil(this.quads / GROUP);
  }

  /** Bytes of a panel whose rows have `inner` elements. */
  static panelBytes(inner: number, type: WeightType): number {
    return 4 * Math.ceil(inner / QUAD / GROUP) * GROUP_WORDS[type];
  }

  /** Allocates a matrix `[columns, inner]` in as many blocks as the adapter's limits require. Throws LimitError. */
  static allocate(device: Device, columns: number, inner: number, type: WeightType, label: string): PackedMatrix {
    const panelWords = PackedMatrix.panelBytes(inner, type) / 4;
    const limit = Math.min(device.facts.maxBindingBytes, device.facts.maxBufferBytes, BLOCK_BYTES);
    const panelsABlock = Math.floor(limit / (panelWords * 4));
    if (panelsABlock === 0) {
      const fault = {
        where: `matrix ${label} [${columns}, ${inner}]`,
        expected: `${PANEL} columns to fit ${limit} bytes`,
        got: `${panelWords * 4} bytes`,
        remedy: "use an adapter with larger bindings, or fewer bits a weight",
      };
      throw new LimitError(fault, panelWords * 4);
    }
    const panels = Math.ceil(columns / PANEL);
    const blocks: PackedBlock[] = [];
    for (let first = 0; first < panels; first += panelsABlock) {
      const count = Math.min(panelsABlock, panels - first);
      blocks.push({
        tensor: device.empty([count, panelWords], "u32", panels > count ? `${label}#${blocks.length}` : label),
        firstColumn: first * PANEL,
        columns: Math.min(count * PANEL, columns - first * PANEL),
      });
    }
    return new PackedMatrix(columns, inner, type, label, blocks);
  }

  /** Bytes of adapter memory. */
  get sizeBytes(): number {
    return this.blocks.reduce((sum, block) => sum + block.tensor.sizeBytes, 0);
  }
}

/** Reads and dequantises; the same for every type. */
const LOAD = `fn scaleOf(group: u32, lane: u32) -> vec2f { return scaleIn(storedScale(group, lane), lane); }
fn load(group: u32, quad: u32, lane: u32, scale: vec2f) -> vec4f { return quadIn(stored(group, quad, lane), quad, scale); }`;

/** Reads the words of two 16-bit types. */
const HALVES = `@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, GROUP / 2, PANEL]
alias Stored = vec2u;
fn storedScale(group: u32, lane: u32) -> u32 { return 0u; }
fn scaleIn(stored: u32, lane: u32) -> vec2f { return vec2f(); }
fn stored(group: u32, quad: u32, lane: u32) -> Stored {
  let at = (group * GROUP / 2u + quad / 2u) * PANEL + lane;
  return vec2u(weights[at][quad % 2u * 2u], weights[at][quad % 2u * 2u + 1u]);
}`;

/**
 * WGSL that reads a packed block (binding 1) and dequantises it. `group` counts groups from the start of the block.
 * Call `scaleOf(group, lane)` once per group and pass its result to `load(group, quad, lane, scale)`. In two steps, for kernels that
 * load words long before they need them: `storedScale` and `stored` read words, `scaleIn` and `quadIn` dequantise them.
 */
export const LOAD_QUAD: Record<WeightType, string> = {
  f32: `
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;  // [panels, groups, GROUP, PANEL]
alias Stored = vec4f;
fn storedScale(group: u32, lane: u32) -> u32 { return 0u; }
fn scaleIn(stored: u32, lane: u32) -> vec2f { return vec2f(); }
fn stored(group: u32, quad: u32, lane: u32) -> Stored { return weights[(group * GROUP + quad) * PANEL + lane]; }
fn quadIn(stored: Stored, quad: u32, scale: vec2f) -> vec4f { return stored; }
${LOAD}`,
  f16: `
${HALVES}
fn quadIn(stored: Stored, quad: u32, scale: vec2f) -> vec4f { return vec4f(unpack2x16float(stored.x), unpack2x16float(stored.y)); }
${LOAD}`,
  bf16: `
${HALVES}
fn quadIn(stored: Stored, quad: u32, scale: vec2f) -> vec4f {
  return bitcast<vec4f>(vec4u(stored.x << 16u, stored.x & 0xffff0000u, stored.y << 16u, stored.y & 0xffff0000u));
}
${LOAD}`,
  // Bytes are stored with 128 added, so that they widen without a sign.
  q8: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, WORDS]
const WORDS = GROUP / 4u * PANEL + PANEL / 8u;
alias Stored = u32;
fn storedScale(group: u32, lane: u32) -> u32 {
  return weights[group * WORDS + GROUP / 4u * PANEL + lane % 8u / 2u][lane % 2u * 2u + lane / 16u];
}
fn scaleIn(stored: u32, lane: u32) -> vec2f {
  let scale = unpack2x16float(stored)[lane / 8u % 2u];
  return vec2f(scale, -128.0 * scale);
}
fn stored(group: u32, quad: u32, lane: u32) -> Stored { return weights[group * WORDS + quad / 4u * PANEL + lane][quad % 4u]; }
fn quadIn(w: Stored, quad: u32, scale: vec2f) -> vec4f {
  let n = vec4f(vec4i(vec4u(w & 0xffu, w & 0xff00u, w & 0xff0000u, w >> 24u)));
  return n * (scale.x * vec4f(1.0, 0.00390625, 0.0000152587890625, 1.0)) + scale.y;
}
${LOAD}`,
  q4: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, groups, WORDS]
const WORDS = PANEL + PANEL / 4u;
alias Stored = u32;
fn storedScale(group: u32, lane: u32) -> u32 { return weights[group * WORDS + PANEL + lane % 8u][lane / 8u]; }
fn scaleIn(stored: u32, lane: u32) -> vec2f { return unpack2x16float(stored); }
fn stored(group: u32, quad: u32, lane: u32) -> Stored { return weights[group * WORDS + lane][quad / 2u]; }
fn quadIn(stored: Stored, quad: u32, scale: vec2f) -> vec4f {
  let w = stored >> (16u * (quad % 2u));
  let n = vec4f(vec4i(vec4u(w) & vec4u(0xfu, 0xf0u, 0xf00u, 0xf000u)));
  return n * (scale.x * vec4f(1.0, 0.0625, 0.00390625, 0.000244140625)) + scale.y;
}
${LOAD}`,
};
