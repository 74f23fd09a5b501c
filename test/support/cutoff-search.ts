import { beforeEach } from "vitest";
import { oneChoice, PLAIN_CHOICE } from "../../src/kernels/choice-rows.js";
import { SEARCH_STATE } from "../../src/kernels/cutoff-floor.js";
import { type CutRanks, cutOf, rankWithCutoff, type Truncation } from "../../src/kernels/sampling-cutoff.js";
import type { Device } from "../../src/runtime/device.js";
import type { Tensor } from "../../src/runtime/tensor.js";

const placeOf = (name: string) => Number(new RegExp(`const ${name} = (\\d+)u`).exec(SEARCH_STATE)![1]);

/** Places of the numbers of a search for a sampling cutoff. */
export const searchState = {
  FLOOR: placeOf("FLOOR"),
  BY_BUCKET: placeOf("BY_BUCKET"),
  LISTED: placeOf("LISTED"),
  MASS: placeOf("MASS"),
};

/** Returns a function that searches for a cutoff, and returns the tensor `search` as it was bound. */
export function useSearches(held: { readonly device: Device }) {
  let search: Tensor;
  beforeEach(() => {
    const { run } = held.device;
    held.device.run = (kernel, tensors, ...others) => {
      search = tensors.search ?? search;
      run(kernel, tensors, ...others);
    };
  });
  return async (logits: Float32Array, some: Partial<Truncation>): Promise<Uint32Array> => {
    const { device } = held;
    const kept = device.scope(() => {
      cutRanks(device, logits, { topK: 0, topP: 1, minP: 0, ...some });
      return search;
    });
    const words = await kept.read("u32");
    kept.dispose();
    return words;
  };
}

/** Ranks one row of logits, and finds the cutoff. */
export function cutRanks(device: Device, logits: Float32Array, truncation: Truncation, temperature = 1): CutRanks {
  const { topK, topP, minP } = truncation;
  const logMinP = minP > 0 ? Math.log(minP) : PLAIN_CHOICE.logMinP;
  const rows = oneChoice({ ...PLAIN_CHOICE, inverseTemperature: 1 / temperature, topK, topP, logMinP });
  const x = device.upload(logits, [1, logits.length], "logits");
  return rankWithCutoff(x, logits.length, rows, {}, cutOf(truncation, logits.length, device.facts));
}

/** The rank of a number, as on the device. */
export function rankOf(value: number): number {
  const [size] = new Uint32Array(Float32Array.of(Math.abs(value)).buffer);
  return value < 0 ? 0x80000000 - size! : 0x80000000 + size!;
}
