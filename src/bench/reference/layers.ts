import { gather } from "../../kernels/gather.js";
import type { PackedMatrix } from "../../kernels/packed.js";
import type { Linear } from "../../layers/linear.js";
import type { Qwen2Layer } from "../../models/llava-onevision/qwen2.js";
import type { SigLIPLayer } from "../../models/llava-onevision/siglip.js";
import type { Tensor } from "../../runtime/tensor.js";
import { attention } from "./attention.js";
import { matmul, type ReferenceEpilogue } from "./matmul.js";
import { layerNorm, rmsNorm } from "./norm.js";
import { rope } from "./rope.js";
import { swiglu } from "./swiglu.js";

/** Unpacks and dequantises a packed matrix: `[columns, inner]`, or only the given columns. */
export async function heldMatrix(matrix: PackedMatrix, columns?: readonly number[]): Promise<Float32Array> {
  const { device } = matrix.blocks[0]!.tensor;
  const total = columns?.length ?? matrix.columns;
  const whole = new Float32Array(total * matrix.inner);
  const most = Math.min(4096, Math.floor(device.facts.maxBindingBytes / (matrix.inner * 4)));
  for (let first = 0; first < total; first += most) {
    const count = Math.min(most, total - first);
    const ids = Uint32Array.from({ length: count }, (_, i) => columns?.[first + i] ?? first + i);
    const rows = device.scope(() => gather(device.upload(ids, [count], "ids"), matrix, "rows"));
    whole.set(await rows.read(), first * matrix.inner);
    rows.dispose();
  }
  return whole;
}

/** Elements of dequantised weights that exist at a time: a matrix of the 72B model is 484 million. */
const BLOCK_ELEMENTS = 2 ** 26;

async function linear(
  x: ArrayLike<number>,
  { weight, bias: added }: Linear,
  epilogue: Omit<ReferenceEpilogue, "bias"> = {},
): Promise<Float64Array> {
  const { columns, inner } = weight;
  const rows = x.length / inner;
  const bias = added && (await added.read());
  const residual = epilogue.residual && Float64Array.from(epilogue.residual);
  const y = new Float64Array(rows * columns);
  const step = Math.ceil(BLOCK_ELEMENTS / inner);
  for (let first = 0; first < columns; first += step) {
    const own = Array.from({ length: Math.min(step, columns - first) }, (_, i) => first + i);
    const part = matmul(x, await heldMatrix(weight, own), rows, inner, own.length, {
      ...epilogue,
      ...(bias && { bias: bias.subarray(first) }),
      ...(residual && { residual: columnsOf(residual, columns, first, own.length) }),
    });
    for (let i = 0; i < part.length; i++) {
      y[Math.floor(i / own.length) * columns + first + (i % own.length)] = part[i]!;
    }
  }
  return y;
}

/** Columns `first` to `first + width` of rows of `stride`. */
function columnsOf(x: Float64Array, stride: number, first: number, width: number): Float64Array {
  const out = new Float64Array((x.length / stride) * width);
  for (let i = 0; i < out.length; i++) out[i] = x[Math.floor(i / width) * stride + first + (i % width)]!;
  return out;
}

const read = (tensor: Tensor): Promise<Float32Array> => tensor.read();

/** One SigLIP layer in float64, one tile. x `[P, D]`. */
export async function siglipLayer(x: ArrayLike<number>, layer: SigLIPLayer): Promise<Float64Array> {
  const { norm1, norm2, attention: own, mlp } = layer;
  const { width, heads } = own;
  const patches = x.length / width;
  const h = layerNorm(x, await read(norm1.weight), await read(norm1.bias), norm1.epsilon);
  const qkv = await linear(h, own.qkv);
  const [q, k, v] = [0, 1, 2].map((i) => columnsOf(qkv, 3 * width, i * width, width));
  const sizes = { batches: 1, queries: patches, keys: patches, heads, keyValueHeads: heads, headSize: width / heads };
  const attended = await linear(attention(q!, k!, v!, sizes), own.out, { residual: x });
  const g = layerNorm(attended, await read(norm2.weight), await read(norm2.bias), norm2.epsilon);
  return linear(await linear(g, mlp.fc1, { activation: "gelu_tanh" }), mlp.fc2, { residual: attended });
}

/** One Qwen2 layer in float64 over positions 0 to T, no cache. x `[T, D]`. */
export async function qwen2Layer(x: ArrayLike<number>, layer: Qwen2Layer): Promise<Float64Array> {
  const { inputNorm, postNorm, attention: own, mlp } = layer;
  const { width, heads, keyValueHeads, headSize } = own.sizes;
  const rows = x.length / width;
  const [qWidth, kvWidth] = [heads * headSize, keyValueHeads * headSize];
  const stride = qWidth + 2 * kvWidth;
  const h = rmsNorm(x, await read(inputNorm.weight), inputNorm.epsilon);
  const [cosines, sines] = [await read(own.rotary.cosines), await read(own.rotary.sines)];
  const qkv = rope(await linear(h, own.qkv), cosines, sines, stride, qWidth + kvWidth, headSize / 2, 0);
  const attended = await linear(
    attention(
      columnsOf(qkv, stride, 0, qWidth),
      columnsOf(qkv, stride, qWidth, kvWidth),
      columnsOf(qkv, stride, qWidth + kvWidth, kvWidth),
      { batches: 1, queries: rows, keys: rows, heads, keyValueHeads, headSize, causalFrom: 0 },
    ),
    own.out,
    { residual: x },
  );
  const g = rmsNorm(attended, await read(postNorm.weight), postNorm.epsilon);
  const hidden = swiglu(await linear(g, mlp.gateUp), rows);
  return linear(hidden, mlp.down, { residual: attended });
}
