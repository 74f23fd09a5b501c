import { type DType, roundUp } from "../runtime/dtype.js";
import { LimitError } from "../runtime/errors.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";

/** How the elements of a packed matrix are held. */
export type WeightType = "f32" | "f16" | "bf16";

/** Columns of a panel: a workgroup's lanes each own one. */
export const PANEL = 32;
/** Consecutive inner elements that one lane loads at once. */
export const OCT = 8;

/** A run of a matrix's output columns in one buffer: panels × octs × PANEL lanes × 8 elements. */
export interface PackedBlock {
  readonly tensor: Tensor;
  readonly firstColumn: number;
  readonly columns: number;
}

/**
 * A weight matrix `[columns, inner]` in the order the matmul kernels read it: panels of 32 output columns, in a panel
 * octs of 8 consecutive inner elements, in an oct lane after lane; f32 octs are two rows of `vec4`, 16-bit octs one row of
 * four `u32`. Padded with zeros to whole octs. Split into blocks of whole panels so that no binding is over the limit.
 */
export class PackedMatrix {
  constructor(
    readonly columns: number,
    readonly inner: number,
    readonly type: WeightType,
    readonly label: string,
    readonly blocks: readonly PackedBlock[],
  ) {}

  get octs(): number {
    return Math.ceil(this.inner / OCT);
  }

  /** Width of the rows the matmul reads: `inner` with its padding. */
  get paddedInner(): number {
    return this.octs * OCT;
  }

  static allocate(device: Device, columns: number, inner: number, type: WeightType, label: string): PackedMatrix {
    const octs = Math.ceil(inner / OCT);
    const panelBytes = octs * OCT * PANEL * (type === "f32" ? 4 : 2);
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
        tensor: device.empty([count, octs, PANEL, OCT], dtype, panels > count ? `${label}#${blocks.length}` : label),
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

/** WGSL that loads the oct of a lane; `base` counts octs × PANEL from the start of the block. Binding 1. */
export const LOAD_OCT: Record<WeightType, string> = {
  f32: `
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;  // [panels, octs, 2, PANEL]
fn load(base: u32, lane: u32) -> Oct {
  return Oct(weights[2u * base + lane], weights[2u * base + PANEL + lane]);
}`,
  f16: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, octs, PANEL]
fn load(base: u32, lane: u32) -> Oct {
  let w = weights[base + lane];
  return Oct(vec4f(unpack2x16float(w.x), unpack2x16float(w.y)), vec4f(unpack2x16float(w.z), unpack2x16float(w.w)));
}`,
  bf16: `
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;  // [panels, octs, PANEL]
fn load(base: u32, lane: u32) -> Oct {
  let w = weights[base + lane];
  let low = bitcast<vec4f>(w << vec4u(16u));
  let high = bitcast<vec4f>(w & vec4u(0xffff0000u));
  return Oct(vec4f(low.x, high.x, low.y, high.y), vec4f(low.z, high.z, low.w, high.w));
}`,
};

/** The struct that `load` returns. */
export const OCT_STRUCT = "struct Oct { a: vec4f, b: vec4f }";
