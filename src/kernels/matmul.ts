import type { AdapterFacts } from "../runtime/adapter.js";
import { ShapeError } from "../runtime/errors.js";
import { Kernel } from "../runtime/kernel.js";
import type { Tensor } from "../runtime/tensor.js";
import { type Epilogue, epilogueHeader, epilogueTensors } from "./epilogue.js";
import { matmulBlockKernel } from "./matmul-block.js";
import { matmulBroadcastKernel } from "./matmul-broadcast.js";
import { matmulBroadcast4Kernel } from "./matmul-broadcast4.js";
import { matvecKernel } from "./matvec.js";
import { matvecBroadcastKernel, NORM_AT, PIECE_PRODUCTS } from "./matvec-broadcast.js";
import { GROUP_PRODUCTS, matvecQuantizedKernel } from "./matvec-quantized.js";
import { rmsNorm } from "./norm.js";
import { GROUP, LOAD_QUAD, PANEL, type PackedMatrix, QUAD, type WeightType } from "./packed.js";
import { padRows } from "./pad-rows.js";
import { swiglu } from "./swiglu.js";

export const matmulKernel = new Kernel(
  "matmul",
  `
struct Params { rows: u32, quads: u32, groups: u32, columns: u32, firstColumn: u32, stride: u32, residualRows: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4f>;         // [rows, quads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;     // [rows, stride]

fn put(sum: f32, row: u32, column: u32) {
  if (row >= params.rows) { return; }
  y[row * params.stride + column] = finish(sum, row, column, params.stride, params.residualRows);
}

// One lane a column, eight rows in registers; lanes read consecutive weights, and all of them the same row elements.
@compute @workgroup_size(PANEL)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * ROWS;
  let last = params.rows - 1u;
  let width = params.quads;
  var scale = vec2f();
  let x0 = row * width;
  let x1 = min(row + 1u, last) * width;
  let x2 = min(row + 2u, last) * width;
  let x3 = min(row + 3u, last) * width;
  let x4 = min(row + 4u, last) * width;
  let x5 = min(row + 5u, last) * width;
  let x6 = min(row + 6u, last) * width;
  let x7 = min(row + 7u, last) * width;
  var s0 = 0.0; var s1 = 0.0; var s2 = 0.0; var s3 = 0.0;
  var s4 = 0.0; var s5 = 0.0; var s6 = 0.0; var s7 = 0.0;
  for (var k = 0u; k < width; k++) {
    let block = group.x * params.groups + k / GROUP;
    if (k % GROUP == 0u) { scale = scaleOf(block, lane); }
    let w = load(block, k % GROUP, lane, scale);
    s0 += dot(x[x0 + k], w);
    s1 += dot(x[x1 + k], w);
    s2 += dot(x[x2 + k], w);
    s3 += dot(x[x3 + k], w);
    s4 += dot(x[x4 + k], w);
    s5 += dot(x[x5 + k], w);
    s6 += dot(x[x6 + k], w);
    s7 += dot(x[x7 + k], w);
  }
  let local = group.x * PANEL + lane;
  if (local >= params.columns) { return; }
  let column = params.firstColumn + local;
  put(s0, row, column);
  put(s1, row + 1u, column);
  put(s2, row + 2u, column);
  put(s3, row + 3u, column);
  put(s4, row + 4u, column);
  put(s5, row + 5u, column);
  put(s6, row + 6u, column);
  put(s7, row + 7u, column);
}
`,
  { PANEL, GROUP, ROWS: 8 },
);

/**
 * `y = residual + activation(norm(x)·Wᵀ + bias)`: x `[rows, inner]` f32, W `[columns, inner]` packed, y `[rows, columns]` f32.
 * Throws ShapeError where the widths do not fit.
 */
export function matmul(x: Tensor, weights: PackedMatrix, epilogue: Epilogue = {}, label = weights.label): Tensor {
  const [rows, width] = [x.length / x.size(-1), x.size(-1)];
  if (width !== weights.inner) {
    throw new ShapeError({
      where: `matmul ${weights.label}, tensor ${x.label}`,
      expected: `rows of ${weights.inner}`,
      got: `[${x.shape.join(", ")}]`,
      remedy: "multiply matrices whose inner sizes agree",
    });
  }
  epilogue.bias?.expect([weights.columns], `matmul ${weights.label}, bias`);
  epilogue.residual?.expect([-1, weights.columns], `matmul ${weights.label}, residual`);
  const { device } = x;
  const { norm, swiglu: gated, ...rest } = epilogue;
  const {
    kernel: chosen,
    rowsAGroup,
    columnsAGroup,
    fuses,
    reader,
  } = choose(rows, weights.type, device.facts, epilogue);
  const normed = norm && !fuses.norm ? rmsNorm(x, norm.weight, norm.epsilon) : x;
  const padded = width % QUAD === 0 ? normed : padRows(normed, weights.quads * QUAD);
  const outputs = gated && fuses.swiglu ? weights.columns / 2 : weights.columns;
  const y = device.empty([...x.shape.slice(0, -1), outputs], "f32", label);
  const kernel = chosen.variant({}, reader ?? LOAD_QUAD[weights.type], ...epilogueHeader(rest));
  for (const block of weights.blocks) {
    device.run(
      kernel,
      {
        x: padded,
        weights: block.tensor,
        y,
        ...epilogueTensors(rest),
        ...(norm && fuses.norm && { normWeight: norm.weight }),
      },
      {
        rows,
        quads: weights.quads,
        groups: weights.groups,
        columns: block.columns,
        firstColumn: block.firstColumn,
        stride: weights.columns,
        residualRows: rest.residual?.size(0) ?? 1,
        ...(fuses.epsilon && { epsilon: norm?.epsilon ?? 0 }),
      },
      // Whole panels: a group's columns may lie apart in its panel.
      [Math.ceil((Math.ceil(block.columns / PANEL) * PANEL) / columnsAGroup), Math.ceil(rows / rowsAGroup)],
    );
  }
  return gated && !fuses.swiglu ? swiglu(y) : y;
}

interface Choice {
  readonly kernel: Kernel;
  /** What one workgroup computes. */
  readonly rowsAGroup: number;
  readonly columnsAGroup: number;
  /** Header lines that read the weights, where the kernel has its own. */
  readonly reader?: string;
  /** What the kernel does itself; the rest are kernels before and after it. `epsilon` is among its parameters. */
  readonly fuses: { readonly norm: boolean; readonly swiglu: boolean; readonly epsilon: boolean };
}

/** The algorithm for a number of rows and a type of weights on an adapter. */
function choose(rows: number, type: WeightType, facts: AdapterFacts, { norm, swiglu: gated }: Epilogue): Choice {
  const lanes = facts.broadcastLanes;
  if (!lanes && facts.onCPU && rows > 1) {
    const kernel = matmulBlockKernel.variant({ SWIGLU: gated ? 1 : 0 });
    const fuses = { norm: false, swiglu: true, epsilon: false };
    return { kernel, rowsAGroup: kernel.constants.ROWS, columnsAGroup: PANEL, fuses };
  }
  if (!lanes) {
    const fuses = { norm: false, swiglu: false, epsilon: false };
    if (rows === 1) return { kernel: matvecKernel, rowsAGroup: 1, columnsAGroup: PANEL, fuses };
    return { kernel: matmulKernel, rowsAGroup: matmulKernel.constants.ROWS, columnsAGroup: PANEL, fuses };
  }
  const SWIGLU = gated ? 1 : 0;
  if (rows === 1) {
    const BLOCKS = lanes === 4 ? 2 : 1;
    const constants = { LANES: lanes, BLOCKS, SWIGLU, NORM: norm ? 1 : 0 };
    const normAt = norm ? NORM_AT.some : NORM_AT.none;
    const fuses = { norm: true, swiglu: true, epsilon: true };
    const group = { rowsAGroup: 1, columnsAGroup: 4 * lanes * BLOCKS, fuses };
    if (type === "q8" || type === "q4") {
      return { ...group, kernel: matvecQuantizedKernel.variant(constants, normAt), reader: GROUP_PRODUCTS[type] };
    }
    return { ...group, kernel: matvecBroadcastKernel.variant(constants, normAt), reader: PIECE_PRODUCTS[type] };
  }
  const fuses = { norm: false, swiglu: true, epsilon: false };
  const kernel = (lanes === 4 ? matmulBroadcast4Kernel : matmulBroadcastKernel).variant({ SWIGLU });
  return { kernel, rowsAGroup: kernel.constants.ROWS, columnsAGroup: PANEL, fuses };
}
