import { ShapeError } from "../base/errors.js";
import type { AdapterFacts } from "../runtime/adapter.js";
import type { Kernel } from "../runtime/kernel.js";
import { MATRIX_TILE } from "../runtime/matrix-layout.js";
import type { Tensor } from "../runtime/tensor.js";
import { tuned } from "../runtime/tuning.js";
import { type Epilogue, epilogueCode } from "./epilogue.js";
import { FEW_ROWS, fewRowsBroadcastKernel } from "./few-rows-broadcast.js";
import { fewRowsQuantizedKernel, MOST_QUANTIZED_ROWS } from "./few-rows-quantized.js";
import { matmulBlockKernel } from "./matmul-block.js";
import { matmulBroadcastKernel } from "./matmul-broadcast.js";
import { matmulBroadcast4Kernel } from "./matmul-broadcast4.js";
import { matmulDot4Kernel, PACKED_BYTES } from "./matmul-dot4.js";
import { LARGE_DEPTH, LARGE_MATRIX_TILE, matmulSubgroupMatrix } from "./matmul-subgroup-matrix.js";
import { matmulTileKernel, TILES, tileFor } from "./matmul-tile.js";
import { GROUP_DOTS, matvecKernel } from "./matvec.js";
import { matvecBlockKernel, matvecBlockQuantizedKernel } from "./matvec-block.js";
import { matvecBroadcastKernel } from "./matvec-broadcast.js";
import { matvecQuantizedKernel } from "./matvec-quantized.js";
import { matvecRowsKernel } from "./matvec-rows.js";
import { rmsNorm } from "./norm.js";
import { NORM_SCALE, normedRows, normedRowsBroadcastKernel, normedRowsKernel } from "./normed-rows.js";
import { GROUP, LOAD_QUAD, PANEL, type PackedMatrix, QUAD } from "./packed.js";
import { floatPieces, quantizedPieces } from "./packed-pieces.js";
import { padRows } from "./pad-rows.js";
import { productPieces } from "./product-pieces.js";
import { quantizeActivations } from "./quantize-activations.js";
import { rowFragments } from "./row-fragments.js";
import { rowScales } from "./row-scales.js";
import { MATMUL_ACTIVATIONS, MATMUL_TILE, MATMUL_UNITS, MATVEC_BLOCKS, MATVEC_SLICES, widthClass } from "./tunables.js";

/**
 * Matrix product with a fused epilogue, `y = residual + activation(norm(x)·Wᵀ + bias)`: x `[rows, inner]` f32, W `[columns, inner]`
 * packed, y `[rows, columns]` f32, or `[rows, columns / 2]` with `swiglu`. `into` is y where the caller has it: the columns of a matrix that has
 * only some of its blocks. Throws ShapeError for widths that do not match.
 */
export function matmul(
  x: Tensor,
  weights: PackedMatrix,
  epilogue: Epilogue = {},
  label = weights.label,
  into?: Tensor,
): Tensor {
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
  const { norm, ...withoutNorm } = epilogue;
  const {
    kernel: chosen,
    rowsAGroup,
    columnsAGroup,
    fusesNorm = false,
    scalesRows = false,
    inFragments,
    inBytes = false,
    normsRows,
    reader,
  } = choose(rows, weights, device.facts, epilogue);
  const normed = norm && !fusesNorm && !normsRows ? rmsNorm(x, norm.weight, norm.epsilon) : x;
  const padded = width % QUAD === 0 ? normed : padRows(normed, weights.quads * QUAD);
  const scales = scalesRows && { rowScales: rowScales(padded, weights.quads) };
  const fragments = scales && inFragments && rowFragments(padded, scales.rowScales, weights.quads, inFragments);
  const scaled = norm && normsRows && normedRows(padded, weights.quads, norm, normsRows);
  const quantized = inBytes && quantizeActivations(padded, weights.quads);
  const outputs = epilogue.swiglu ? weights.columns / 2 : weights.columns;
  const shape = [...x.shape.slice(0, -1), outputs];
  const y = into?.expect(shape, `matmul ${weights.label}, into`) ?? device.empty(shape, "f32", label);
  const { header, tensors, parameters } = epilogueCode(fusesNorm ? epilogue : withoutNorm, padded, device.facts.onCPU);
  const kernel = chosen.variant({}, reader ?? LOAD_QUAD[weights.type], ...header);
  for (const { block, work } of productPieces(weights, rows, columnsAGroup, device.budget)) {
    device.run(
      kernel,
      {
        x: padded,
        weights: block.tensor,
        y,
        ...tensors,
        ...scales,
        ...(fragments && { x: fragments }),
        ...scaled,
        ...(quantized && { x: quantized.bytes, xScales: quantized.scales }),
      },
      {
        rows,
        quads: weights.quads,
        groups: weights.groups,
        columns: block.columns,
        firstColumn: block.firstColumn,
        stride: weights.columns,
        ...parameters,
        ...(fusesNorm && { epsilon: norm?.epsilon ?? 0 }),
      },
      // Whole panels: a workgroup's columns are not always contiguous in their panel.
      [Math.ceil((Math.ceil(block.columns / PANEL) * PANEL) / columnsAGroup), Math.ceil(rows / rowsAGroup)],
      work,
    );
  }
  return y;
}

interface Choice {
  readonly kernel: Kernel;
  /** Rows and columns of W's product that one workgroup computes. */
  readonly rowsAGroup: number;
  readonly columnsAGroup: number;
  /** Header lines that read the weights, where the kernel does not use LOAD_QUAD. */
  readonly reader?: string;
  /**
   * Whether the kernel can fuse the RMSNorm, and so has `epsilon` among its parameters; otherwise the norm is a dispatch of its
   * own.
   */
  readonly fusesNorm?: boolean;
  /** The kernel by which `normedRows` prepares the rows, whose scales are applied after the product. */
  readonly normsRows?: Kernel | undefined;
  /** Whether the kernel needs the rows' scales. */
  readonly scalesRows?: boolean;
  /** Whether, and how, the kernel needs the rows as fragments of subgroup matrices. */
  readonly inFragments?: Parameters<typeof rowFragments>[3];
  /** Whether the kernel multiplies rows in 8 bits. */
  readonly inBytes?: boolean;
}

/** Slices of `matvec` by the width of a matrix. */
const FITTING_SLICES = { narrow: 32, middle: 16, wide: 8 } as const;

/** The fewest with a norm: a row that few threads stage in workgroup memory takes many registers of each. */
const FEWEST_NORMED_SLICES = 16;

/** Lanes of a workgroup that every adapter has. */
const MOST_LANES = 256;

/** Returns the `matvec` variant for a matrix, or the `matvecRows` variant whose rows have the same sums. */
function matvecChoice(
  rows: number,
  weights: PackedMatrix,
  facts: AdapterFacts,
  { normed, swiglu }: { normed: boolean; swiglu: boolean },
): Choice {
  const shapes = widthClass(weights.columns);
  const LANES = swiglu ? 16 : 8;
  const wanted = tuned(facts.tuning, MATVEC_SLICES, shapes);
  const fitting = Math.max(FITTING_SLICES[shapes], normed ? FEWEST_NORMED_SLICES : 0);
  const SLICES = Math.min(wanted === "auto" ? fitting : wanted, MOST_LANES / LANES);
  const CHUNKS = normed ? Math.ceil(weights.quads / matvecKernel.constants.CHUNK) : 1;
  const WHOLE = weights.quads % GROUP === 0 ? 1 : 0;
  const columnsAGroup = LANES;
  const dots = GROUP_DOTS[weights.type];
  if (rows === 1) {
    const kernel = matvecKernel.variant({ LANES, SLICES, NORM: normed ? 1 : 0, CHUNKS, WHOLE });
    return { kernel, rowsAGroup: 1, columnsAGroup, fusesNorm: true, reader: dots };
  }
  const ROWS = rowsOfGroup(rows, FEW_ROWS);
  return {
    kernel: matvecRowsKernel.variant({ LANES, SLICES, ROWS, WHOLE }),
    rowsAGroup: ROWS,
    columnsAGroup,
    reader: dots + NORM_SCALE[normed ? "norm" : "none"],
    normsRows: normed ? normedRowsKernel.variant({ LANES, SLICES }) : undefined,
  };
}

/** Rows of a workgroup: a power of two, so that there are few variants. */
function rowsOfGroup(rows: number, most: number): number {
  return Math.min(most, 2 ** Math.ceil(Math.log2(rows)));
}

/** Returns the kernel for 2 to 16 rows on CPU adapters with subgroups: each row has the sums that it has alone. */
function fewRowsChoice(rows: number, { type }: PackedMatrix, lanes: number, normed: boolean): Choice {
  const isQuantized = type === "q8" || type === "q4";
  const ROWS = rowsOfGroup(rows, isQuantized ? MOST_QUANTIZED_ROWS : FEW_ROWS);
  const constants = { LANES: lanes, ROWS };
  return {
    kernel: isQuantized ? fewRowsQuantizedKernel.variant(constants) : fewRowsBroadcastKernel.variant(constants),
    rowsAGroup: ROWS,
    columnsAGroup: 4 * lanes,
    reader:
      (isQuantized ? quantizedPieces(type, lanes) : floatPieces(type, lanes)) + NORM_SCALE[normed ? "norm" : "none"],
    normsRows: normed
      ? normedRowsBroadcastKernel.variant({ LANES: lanes, PAIRS: isQuantized && lanes === 4 ? 1 : 0 })
      : undefined,
  };
}

/** Chooses the algorithm by rows, weight type and adapter. All of them support the epilogue, SwiGLU included. */
function choose(
  rows: number,
  weights: PackedMatrix,
  facts: AdapterFacts,
  { norm, swiglu = false, wideRange = false }: Epilogue,
): Choice {
  const { type } = weights;
  const normed = norm !== undefined;
  const lanes = facts.broadcastLanes;
  if (lanes && rows === 1) {
    const blocks = tuned(facts.tuning, MATVEC_BLOCKS);
    const BLOCKS = blocks !== "auto" ? blocks : lanes === 4 ? 2 : 1;
    const constants = { LANES: lanes, BLOCKS, NORM: normed ? 1 : 0 };
    const group = {
      rowsAGroup: 1,
      columnsAGroup: 4 * lanes * BLOCKS,
      fusesNorm: true,
    };
    if (type === "q8" || type === "q4") {
      return {
        ...group,
        kernel: matvecQuantizedKernel.variant(constants),
        reader: quantizedPieces(type, lanes),
      };
    }
    return { ...group, kernel: matvecBroadcastKernel.variant(constants), reader: floatPieces(type, lanes) };
  }
  if (lanes && rows <= FEW_ROWS) return fewRowsChoice(rows, weights, lanes, normed);
  if (lanes) {
    const kernel = lanes === 4 ? matmulBroadcast4Kernel : matmulBroadcastKernel;
    return { kernel, rowsAGroup: kernel.constants.ROWS, columnsAGroup: PANEL };
  }
  if (facts.onCPU && rows === 1) {
    const group = { rowsAGroup: 1, columnsAGroup: PANEL };
    if (type === "q8" || type === "q4") {
      return { ...group, kernel: matvecBlockQuantizedKernel, reader: quantizedPieces(type, lanes) };
    }
    return { ...group, kernel: matvecBlockKernel, reader: floatPieces(type, lanes) };
  }
  if (!facts.onCPU && rows <= FEW_ROWS) return matvecChoice(rows, weights, facts, { normed, swiglu });
  if (facts.onCPU) {
    return { kernel: matmulBlockKernel, rowsAGroup: matmulBlockKernel.constants.ROWS, columnsAGroup: PANEL };
  }
  const isQuantized = type === "q8" || type === "q4";
  if (isQuantized && facts.packedDots && tuned(facts.tuning, MATMUL_ACTIVATIONS) === "q8") {
    const { ROWS, COLUMNS } = matmulDot4Kernel.constants;
    const reader = LOAD_QUAD[type] + PACKED_BYTES[type];
    return { kernel: matmulDot4Kernel, rowsAGroup: ROWS, columnsAGroup: COLUMNS, inBytes: true, reader };
  }
  const units = tuned(facts.tuning, MATMUL_UNITS);
  if (facts.subgroupMatrix && units !== "tiles" && !(wideRange && facts.subgroupMatrix.input === "f16")) {
    const { m, k, input } = facts.subgroupMatrix;
    const scalesRows = input === "f16";
    const large = units === "large matrices" && scalesRows && rows > MATRIX_TILE;
    const kernel = matmulSubgroupMatrix(facts.subgroupMatrix, type, facts.maxWorkgroupBytes, large);
    const side = large ? LARGE_MATRIX_TILE : MATRIX_TILE;
    const inFragments = large && { inFragments: { m, k, depth: LARGE_DEPTH } };
    return { kernel, rowsAGroup: side, columnsAGroup: side, scalesRows, ...inFragments };
  }
  const size = tuned(facts.tuning, MATMUL_TILE, widthClass(weights.columns));
  const tile = size === "auto" ? tileFor(rows, weights.columns) : TILES[size];
  const kernel = matmulTileKernel.variant(tile);
  return { kernel, rowsAGroup: tile.ROWS, columnsAGroup: tile.COLUMNS };
}
