import { CHUNK_BYTES } from "../layers/weights.js";
import { workload } from "./row-kernels.js";
import { Runs } from "./synthetic.js";
import type { Workload } from "./workload.js";

/** Queue writes of weights in the pieces of the loader: from host memory to the adapter, one submission and one wait for all. */
export function uploading(megabytes: number): Workload {
  const bytes = megabytes * 2 ** 20;
  const pieces = bytes / CHUNK_BYTES;
  const description = {
    name: "upload",
    what: "queue writes of weights, from host memory",
    shape: `${pieces} × ${CHUNK_BYTES / 2 ** 20} MiB`,
    flops: 0,
    otherBytes: bytes,
  };
  const own = workload(description, (device) => {
    const runs = new Runs(5);
    const numbers = Array.from({ length: pieces }, () => runs.view(CHUNK_BYTES / 4));
    const target = device.empty([bytes / 4], "f32", "upload");
    // A buffer of the pool may contain what an earlier run wrote.
    const zeros = new Float32Array(CHUNK_BYTES / 4);
    for (let at = 0; at < bytes; at += CHUNK_BYTES) device.write(target, zeros, at);
    return {
      run() {
        for (const [i, piece] of numbers.entries()) device.write(target, piece, i * CHUNK_BYTES);
        const last = device.empty([1], "f32", "last");
        device.copy(target, bytes - 4, last, 0, 4);
        return last;
      },
      async verify() {
        const got = await target.read();
        const right = numbers.every((piece, i) => piece.every((number, at) => number === got[i * piece.length + at]));
        return right ? 0 : Number.POSITIVE_INFINITY;
      },
    };
  });
  // A wait after each run: batches of runs would pile up in staging memory.
  return { ...own, readsBack: true };
}
