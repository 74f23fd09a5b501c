import type { Kernel } from "./kernel.js";
import { misbound } from "./parameter-slots.js";
import type { Tensor } from "./tensor.js";

/**
 * Writes the tensors of a dispatch to `bound` in the order of the kernel's bindings, and marks them as used by submission `batch`.
 * Throws KernelError for a missing or unknown name, DisposedError for a tensor whose memory was freed.
 */
export function bindTensors(
  kernel: Kernel,
  tensors: Readonly<Record<string, Tensor>>,
  batch: number,
  bound: Tensor[],
): readonly Tensor[] {
  const { bindings } = kernel;
  bound.length = bindings.length;
  for (let i = 0; i < bindings.length; i++) {
    const { name } = bindings[i]!;
    const tensor = tensors[name];
    if (!tensor) throw misbound(kernel, `a tensor for binding \`${name}\``, "none");
    if (tensor.block.owner === undefined) tensor.check(`kernel ${kernel.name}, binding ${name}`);
    tensor.block.lastBatch = batch;
    bound[i] = tensor;
  }
  let given = 0;
  for (const _ in tensors) given++;
  if (given === bindings.length) return bound;
  const names = bindings.map((binding) => binding.name).join(", ");
  throw misbound(kernel, `the bindings ${names}`, Object.keys(tensors).join(", "));
}
