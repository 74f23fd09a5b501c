import type { Device } from "../runtime/device.js";
import { type DType, roundUp } from "../runtime/dtype.js";
import { LimitError } from "../runtime/errors.js";
import type { Tensor } from "../runtime/tensor.js";

/** How the elements of a packed matrix are held. */
export type WeightType = "f32" | "f16" | "bf16";

/** Columns of a panel: a workgroup's lanes each own one. */
export const PANEL = 32;
/** Consecutive inner elements that one lane loads at once. */
export const QUAD = 4;

/** A run of a matrix's output columns in one buffer: panels × octs × PANEL lanes × 8 elements. */
export interface PackedBlock {
  readonly tensor: Tensor;
  readonly firstColumn: number;
  readonly columns: number;
}

/**
 * A weight matrix `[columns, inner]` in the order the matmul kernels read it: panels of 32 output columns, in a panel
 * quads of 4 consecutive inner elements, in a quad lane after lane: a `vec4` of f32, or two `u32` of 16-bit pairs. Padded with
 * zeros to whole quads. Split into blocks of whole panels so that no binding is over the limit.
 */
export class PackedMatrix {
  constructor(
    readonly columns: number,
    readonly inner: number,
    readonly type: WeightType,
    readonly label: string,
    readonly blocks: readonly PackedBlock[],
  ) {}

  get quads(): number {
    return Math.ceil(this.inner / QUAD);
  }

  /** Width of the rows the matmul reads: `inner` with its padding. */
  get paddedInner(): number {
    return this.quads * QUAD;
  }

  static allocate(device: Device, columns: number, inner: number, type: WeightType, label: string): PackedMatrix {
    const quads = Math.ceil(inner / QUAD);
    const panelBytes = quads * QUAD * PANEL * (type === "f32" ? 4 : 2);
    const limit = Math.min(device.facts.maxBindingBytes, device.facts.maxBufferBytes);
    const panelsABlock = Math.floor(limit / panelBytes);
    if (panelsABlock === 0) {
      throw new LimitError({
        where: `matrix ${label} [${columns}, ${inner}]`,
        expected: `${PANEL} columns to fit ${limit} bytes`,
        got: `${panelBytes} bytes`,
        remedy: "use an adapter with larger bindings",
      });
    }
    const panels = Math.ceil(columns / PANEL);
    const blocks: PackedBlock[] = [];
    for (let first = 0; first < panels; first += panelsABlock) {
      const count = Math.min(panelsABlock, panels - first);
      const dtype: DType = type;
      blocks.push({
        tensor: device.empty([count, quads, PANEL, QUAD], dtype, panels > count ? `${label}#${blocks.length}` : label),
        firstColumn: first * PANEL,
        columns: Math.min(count * PANEL, columns - first * PANEL),
      });
    }
    return new PackedMatrix(columns, inner, type, label, blocks);
  }

  /** Bytes on the adapter. */
  get sizeBytes(): number {
    return this.blocks.reduce((sum, block) => sum + roundUp(block.tensor.sizeBytes, 4), 0);
  }
}

/** WGSL that loads a lane's quad; `base` counts quads × PANEL from the start of the block. Binding 1. */
export const LOAD_QUAD: Record<WeightType, string> = {
  f32: `
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;  // [panels, quads, PANEL]
fn load(base: u32, lane: u32) -> vec4f { return weights[base + lane]; }`,
  f16: `
@group(0) @binding(1) var<storage, read> weights: array<vec2u>;  // [panels, quads, PANEL]
fn load(base: u32, lane: u32) -> vec4f {
  let w = weights[base + lane];
  return vec4f(unpack2x16float(w.x), unpack2x16float(w.y));
}`,
  bf16: `
@group(0) @binding(1) var<storage, read> weights: array<vec2u>;  // [panels, quads, PANEL]
fn load(base: u32, lane: u32) -> vec4f {
  let w = weights[base + lane];
  return bitcast<vec4f>(vec4u(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u));
}`,
};
