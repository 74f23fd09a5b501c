import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { addHeadRows } from "./add-head-rows.js";
import { type HeadPart, headRows, transpose } from "./head-rows.js";
import { matmul } from "./matmul.js";
import { pack } from "./pack.js";
import { PackedMatrix } from "./packed.js";
import { softmaxGradient } from "./softmax-gradient.js";
import { setZero } from "./zeros.js";

/** Sizes of an attention whose gradient is computed. */
export interface AttentionGradientShape {
  /** Sequences or tiles, of `rows` rows each. */
  readonly batches: number;
  readonly rows: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly causal: boolean;
}

/** Bytes of a block of probabilities. */
const BLOCK_BYTES = 64 * 1024 * 1024;
/** Rows of a block with a causal mask: what lies right of the block is not computed. */
const CAUSAL_ROWS = 512;

/**
 * Gradient of attention without a cache: the probabilities are computed again, some rows at a time, so that no whole matrix of them exists.
 * qkv `[B·T, (H + 2K)·C]` is queries, keys and values side by side, after the rotation; dy `[B·T, H·C]` → dqkv `[B·T, (H + 2K)·C]`. With
 * `P = softmax(q·kᵀ / √C)` and `dS = P ⊙ (dP − rowsum(P ⊙ dP)) / √C`, `dP = dY·vᵀ`: `dq = dS·k`, `dk = dSᵀ·q`, `dv = Pᵀ·dY`. The query
 * heads that share a key/value head are rows of one product.
 */
export function attentionGradient(qkv: Tensor, dy: Tensor, shape: AttentionGradientShape): Tensor {
  const { batches, rows, heads, keyValueHeads, headSize, causal } = shape;
  const { device } = qkv;
  const stride = (heads + 2 * keyValueHeads) * headSize;
  qkv.expect([batches * rows, stride], "attention gradient, qkv");
  dy.expect([batches * rows, heads * headSize], "attention gradient, dy");
  const dqkv = device.empty([batches * rows, stride], "f32", "dqkv");
  setZero(dqkv);
  const group = heads / keyValueHeads;
  const limit = Math.min(BLOCK_BYTES, device.facts.maxBindingBytes);
  const fitting = Math.max(1, Math.floor(limit / (4 * rows * group)));
  const most = Math.min(rows, fitting, causal ? CAUSAL_ROWS : rows);
  for (let batch = 0; batch < batches; batch++) {
    for (let head = 0; head < keyValueHeads; head++) {
      for (let first = 0; first < rows; first += most) {
        const count = Math.min(most, rows - first);
        const columns = { columns: headSize, firstColumn: head * group * headSize };
        const queries = { firstRow: batch * rows + first, rows: count, heads: group, ...columns };
        const keyRows = { firstRow: batch * rows, rows: causal ? first + count : rows, heads: 1, columns: headSize };
        const keys = { ...keyRows, firstColumn: (heads + head) * headSize };
        const values = { ...keyRows, firstColumn: (heads + keyValueHeads + head) * headSize };
        const seen = causal ? { rowsAHead: count, firstRow: first } : undefined;
        device.scope(() => addBlock({ qkv, dy, dqkv }, { queries, keys, values }, seen));
      }
    }
  }
  return dqkv;
}

/** Adds the gradients of a block of queries, of the heads that share a key/value head. */
function addBlock(
  { qkv, dy, dqkv }: { readonly qkv: Tensor; readonly dy: Tensor; readonly dqkv: Tensor },
  { queries, keys, values }: { readonly queries: HeadPart; readonly keys: HeadPart; readonly values: HeadPart },
  seen: Parameters<typeof softmaxGradient>[3],
): void {
  const { device } = qkv;
  const packed = (tensor: Tensor): PackedMatrix => packRows(device, tensor);
  const p = product(headRows(qkv, queries), packed(headRows(qkv, keys))); // q·kᵀ: [G·n, m]
  const ds = product(headRows(dy, queries), packed(headRows(qkv, values))); // dY·vᵀ: [G·n, m]
  softmaxGradient(p, ds, queries.columns ** -0.5, seen);
  addHeadRows(product(ds, packed(headRows(qkv, keys, true))), dqkv, queries); // dS·k: [G·n, C]
  addHeadRows(product(transpose(ds), packed(headRows(qkv, queries, true))), dqkv, keys); // dSᵀ·q: [m, C]
  addHeadRows(product(transpose(p), packed(headRows(dy, queries, true))), dqkv, values); // Pᵀ·dY: [m, C]
}

/** x·wᵀ in the range of f32: gradients are smaller, and activations larger, than f16 holds. */
function product(x: Tensor, w: PackedMatrix): Tensor {
  return matmul(x, w, { wideRange: true });
}

/** Packs a matrix `[columns, inner]`, in the current arena. */
export function packRows(device: Device, x: Tensor): PackedMatrix {
  const [columns, inner] = [x.size(0), x.size(1)];
  const matrix = PackedMatrix.allocate(device, columns, inner, "f32", x.label);
  pack(x, "f32", columns, matrix, 0);
  return matrix;
}
