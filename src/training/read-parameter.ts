import { PackedMatrix } from "../kernels/packed.js";
import { readRows } from "./lora.js";
import { type NamedParameter, storedRow } from "./parameters.js";

/** Bytes of a chunk. */
const CHUNK_BYTES = 2 ** 22;

/** Yields the elements of a stored tensor as they are now on the device, f32 and row-major, some rows at a time. */
export async function* readParameter(named: NamedParameter): AsyncGenerator<Float32Array> {
  const { parameter, first = 0 } = named;
  if (!(parameter instanceof PackedMatrix)) {
    const values = await parameter.read();
    yield values.slice(first, first + (named.rows ?? values.length));
    return;
  }
  const rows = named.rows ?? parameter.columns;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / (4 * parameter.inner)));
  for (let from = 0; from < rows; from += step) {
    const ids = Array.from({ length: Math.min(step, rows - from) }, (_, i) => storedRow(named, from + i));
    yield await readRows(parameter, ids);
  }
}
