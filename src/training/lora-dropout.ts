import { dropout } from "../kernels/dropout.js";
import type { AdapterDropout } from "../layers/low-rank.js";
import { hashOf } from "./random.js";

/**
 * Dropout of what an adapter sees (`lora_dropout` of PEFT) for one sample of a step, undefined at rate 0: a function of seed, step, sample and
 * layer, so that a run that is resumed has the same. Modules of a fused layer (q, k and v; gate and up) share it, where PEFT draws for each.
 */
export function loraDropout(
  adapter: string,
  rate: number,
  { seed, step, sample }: { readonly seed: number; readonly step: number; readonly sample: number },
): AdapterDropout | undefined {
  if (rate === 0) return undefined;
  return {
    adapter,
    drop: (x, module, into) => dropout(x, { rate, key: hashOf(seed, step, sample, module) }, into),
  };
}
