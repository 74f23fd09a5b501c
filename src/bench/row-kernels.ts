import { argmax } from "../kernels/argmax.js";
import { copyRows } from "../kernels/copy-rows.js";
import { gather } from "../kernels/gather.js";
import { layerNorm, rmsNorm } from "../kernels/norm.js";
import { packMatrix } from "../kernels/pack.js";
import { patchify } from "../kernels/patchify.js";
import { resample } from "../kernels/resample.js";
import { rope } from "../kernels/rope.js";
import { packVideo } from "../models/llava-onevision/packing.js";
import type { Device } from "../runtime/device.js";
import type { Tensor } from "../runtime/tensor.js";
import { relativeError } from "./compare.js";
import { heldMatrix } from "./reference/layers.js";
import { layerNorm as layerNormReference, rmsNorm as rmsNormReference } from "./reference/norm.js";
import { rope as ropeReference } from "./reference/rope.js";
import { patchify as patchifyReference, resample as resampleReference } from "./reference/rows.js";
import { normals, Runs } from "./synthetic.js";
import { randomBytes, siglipLevels } from "./verify.js";
import { type BenchType, VOCABULARY, type Workload } from "./workload.js";

/** Memory-bound kernels, which do not multiply matrices. */

export interface Made {
  /** Records one run. */
  readonly run: () => Tensor;
  /** Largest relative error of the result. */
  readonly verify: (y: Tensor) => Promise<number>;
}

export type Description = Pick<Workload, "name" | "what" | "shape" | "flops" | "otherBytes"> & {
  readonly weights?: number;
};

/** A workload of a kernel whose operands one function makes; its result is verified as a whole. */
export function workload(description: Description, make: (device: Device, type: BenchType) => Made): Workload {
  return {
    weights: 0,
    ...description,
    kind: "other",
    async prepare(device, type) {
      const arena = device.arena(description.name);
      const { run, verify } = arena.run(() => make(device, type));
      return {
        run,
        async verify() {
          const y = device.scope(run);
          try {
            return await verify(y);
          } finally {
            y.dispose();
          }
        },
        dispose: () => arena.dispose(),
      };
    },
  };
}

const EPSILON = 1e-6;

export function rootNorm(name: string, rows: number, width: number): Workload {
  const bytes = 4 * (2 * rows * width + width);
  const description = { name, what: "RMSNorm", shape: `${rows}×${width}`, flops: 4 * rows * width };
  return workload({ ...description, otherBytes: bytes }, (device) => {
    const [x, w] = [new Runs(1).take(rows * width), normals(width, 2)];
    const [input, weight] = [device.upload(x, [rows, width], "x"), device.upload(w, [width], "weight")];
    return {
      run: () => rmsNorm(input, weight, EPSILON),
      verify: async (y) => relativeError(await y.read(), rmsNormReference(x, w, EPSILON)),
    };
  });
}

export function meanNorm(rows: number, width: number): Workload {
  const bytes = 4 * (2 * rows * width + 2 * width);
  const description = { name: "layer_norm", what: "LayerNorm", shape: `${rows}×${width}`, flops: 7 * rows * width };
  return workload({ ...description, otherBytes: bytes }, (device) => {
    const [x, w, b] = [new Runs(1).take(rows * width), normals(width, 2), normals(width, 3)];
    const input = device.upload(x, [rows, width], "x");
    const [weight, bias] = [device.upload(w, [width], "weight"), device.upload(b, [width], "bias")];
    return {
      run: () => layerNorm(input, weight, bias, EPSILON),
      verify: async (y) => relativeError(await y.read(), layerNormReference(x, w, b, EPSILON)),
    };
  });
}

function rotation(rows: number, heads: number, keyValueHeads: number, headSize: number): Workload {
  const [queryWidth, keyWidth, half] = [heads * headSize, keyValueHeads * headSize, headSize / 2];
  const width = queryWidth + 2 * keyWidth;
  const description = {
    name: "rope",
    what: "0.5B: rotation of queries and keys, keys and values into the cache",
    shape: `${rows}×${width}`,
    flops: 3 * rows * (queryWidth + keyWidth),
    otherBytes: 4 * (2 * rows * width + 2 * rows * half),
  };
  return workload(description, (device) => {
    const x = new Runs(1).take(rows * width);
    const angles = normals(rows * half, 2);
    const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)];
    const input = device.upload(x, [rows, width], "x");
    const [c, s] = [device.upload(cosines, [rows, half], "cosines"), device.upload(sines, [rows, half], "sines")];
    const [keys, values] = ["keys", "values"].map((label) => device.empty([rows, keyWidth], "f32", label));
    return {
      run: () => rope(input, c, s, keys!, values!, 0),
      async verify(y) {
        const truth = ropeReference(x, cosines, sines, width, queryWidth + keyWidth, half, 0);
        const columns = (first: number, count: number): Float64Array =>
          Float64Array.from(
            { length: rows * count },
            (_, i) => truth[Math.floor(i / count) * width + first + (i % count)]!,
          );
        return Math.max(
          relativeError(await y.read(), columns(0, queryWidth)),
          relativeError(await keys!.read(), columns(queryWidth, keyWidth)),
          relativeError(await values!.read(), columns(queryWidth + keyWidth, keyWidth)),
        );
      },
    };
  });
}

function gathering(rows: number, entries: number, width: number): Workload {
  const description = {
    name: "gather",
    what: "embeddings of a prompt, from the packed table",
    shape: `${rows} of ${entries}×${width}`,
    flops: 0,
    weights: rows * width,
    otherBytes: 4 * (rows + rows * width),
  };
  return workload(description, (device, type) => {
    const table = packMatrix(device, new Runs(1).take(entries * width), [entries, width], "table", type);
    const ids = Uint32Array.from({ length: rows }, (_, i) => (i * 2654435761) % entries);
    const numbers = device.upload(ids, [rows], "ids");
    return {
      run: () => gather(numbers, table, "rows"),
      // Unquantised rows must equal the table's; quantised ones are dequantised as in the verification of products.
      async verify(y) {
        const got = await y.read();
        const held = await heldMatrix(table);
        let worst = 0;
        for (const [i, id] of ids.entries()) {
          const row = held.subarray(id * width, (id + 1) * width);
          worst = Math.max(worst, relativeError(got.subarray(i * width, (i + 1) * width), row));
        }
        return worst;
      },
    };
  });
}

function patching(tiles: number, side: number, patch: number): Workload {
  const outputs = tiles * Math.floor(side / patch) ** 2 * 3 * patch ** 2;
  const description = {
    name: "patchify",
    what: "tiles to normalised patches",
    shape: `${tiles}×${side}×${side}`,
    flops: 0,
    otherBytes: tiles * side * side * 3 + 4 * outputs,
  };
  return workload(description, (device) => {
    const [pixels, levels] = [randomBytes(tiles * side * side * 3), siglipLevels()];
    const input = device.upload(pixels, [tiles, side, side, 3], "pixels");
    const table = device.upload(levels, [3, 256], "levels");
    return {
      run: () => patchify(input, table, patch),
      verify: async (y) => relativeError(await y.read(), patchifyReference(pixels, levels, tiles, side, patch)),
    };
  });
}

function choosing(count: number): Workload {
  const description = { name: "argmax", what: "the largest logit", shape: `${count}`, flops: 0, otherBytes: 4 * count };
  return workload(description, (device) => {
    const x = new Runs(1).take(count);
    const input = device.upload(x, [count], "logits");
    const best = x.reduce((top, value, i) => (value > x[top]! ? i : top), 0);
    return {
      run: () => argmax(input, count),
      verify: async (y) => ((await y.read("u32"))[0] === best ? 0 : Number.POSITIVE_INFINITY),
    };
  });
}

function copying(rows: number, width: number): Workload {
  const description = {
    name: "copy_rows",
    what: "visual tokens to their rows",
    shape: `${rows}×${width}`,
    flops: 0,
    otherBytes: 8 * rows + 8 * rows * width,
  };
  return workload(description, (device) => {
    const x = new Runs(1).take(rows * width);
    const source = device.upload(x, [rows, width], "source");
    // In reverse order, so that an in-order copy is detected.
    const pairs = Uint32Array.from({ length: 2 * rows }, (_, i) => (i % 2 === 0 ? i / 2 : rows - 1 - (i - 1) / 2));
    const places = device.upload(pairs, [rows, 2], "rows");
    return {
      run() {
        const target = device.empty([rows, width], "f32", "target");
        copyRows(source, places, target);
        return target;
      },
      async verify(y) {
        const got = await y.read();
        let worst = 0;
        for (let row = 0; row < rows; row++) {
          const truth = x.subarray((rows - 1 - row) * width, (rows - row) * width);
          worst = Math.max(worst, relativeError(got.subarray(row * width, (row + 1) * width), truth));
        }
        return worst;
      },
    };
  });
}

function blending(frames: number, cells: number, width: number): Workload {
  const { featureRows, resample: step } = packVideo(frames, cells);
  const { rows, sources, weights } = step!;
  const description = {
    name: "resample",
    what: `${frames} frames of a clip, pooled`,
    shape: `${featureRows}×${width} → ${rows}×${width}`,
    flops: 6 * rows * width,
    otherBytes: 24 * rows + 4 * width * (featureRows + rows),
  };
  return workload(description, (device) => {
    const x = new Runs(1).take(featureRows * width);
    const piece = { first: 0, tensor: device.upload(x, [featureRows, width], "features") };
    const from = device.upload(sources, [rows, 4], "sources");
    const by = device.upload(weights, [rows, 2], "weights");
    return {
      run: () => resample([piece], from, by, "pooled"),
      verify: async (y) => relativeError(await y.read(), resampleReference(x, sources, weights, width)),
    };
  });
}

export const ROW_KERNELS: readonly Workload[] = [
  rootNorm("rms_norm", 1024, 3584),
  rootNorm("rms_norm_05b_row", 1, 896),
  rootNorm("rms_norm_7b_row", 1, 3584),
  meanNorm(1458, 1152),
  rotation(1024, 14, 2, 64),
  gathering(1024, 16384, 896),
  patching(2, 384, 14),
  choosing(VOCABULARY),
  copying(1485, 896),
  blending(8, 27, 896),
];
