import { type Geometry, modelTensors } from "../../src/bench/geometries.js";
import { SIMULATED_GPU } from "../../src/bench/model-sizes.js";
import { syntheticIndex } from "../../src/bench/synthetic.js";
import { type StoredType, WeightLoader } from "../../src/layers/weights.js";
import { Network } from "../../src/models/llava-onevision/network.js";
import { resolveLayout } from "../../src/models/llava-onevision/tensor-names.js";
import { Device } from "../../src/runtime/device.js";
import { DryRunGPU } from "../../src/runtime/dry-run-gpu.js";
import type { Kernel } from "../../src/runtime/kernel.js";
import { bytesOf, type Rates, type Work } from "../../src/runtime/work-budget.js";

/** Work of a dispatch as its operands and parameters imply it, whatever was declared: products and attention. */
function impliedWork(
  { name: kernel, constants }: Kernel,
  tensors: Parameters<Device["run"]>[1],
  parameters: Parameters<Device["run"]>[2],
  [, groups = 1, batches = 1]: readonly number[],
): { flops: number; bytes: number } {
  const { rows = 0, columns = 0, quads = 0, queries = 0, keys = 0, firstPosition = 0, causal, scale = 1 } = parameters;
  if (kernel.startsWith("mat")) return { flops: 8 * rows * columns * quads, bytes: tensors.weights!.sizeBytes };
  if (!kernel.startsWith("attention") || queries === 0) return { flops: 0, bytes: 0 };
  // The query heads of a key/value head may be one workgroup.
  const heads = groups * (constants.HEADS ?? 1);
  let seen = keys * queries;
  if (causal === 1) {
    seen = 0;
    for (let i = 0; i < queries; i++) seen += Math.min(keys, firstPosition + i + 1);
  }
  return { flops: 4 * batches * heads * seen * Math.round(scale ** -2), bytes: 0 };
}

/** What a device was given to do. */
export interface Count {
  dispatches: number;
  submissions: number;
  flops: number;
  /** Longest dispatch and submission in milliseconds at the rates, by declared and by implied work. */
  longest: { dispatch: number; submission: number; impliedDispatch: number; impliedSubmission: number };
}

/** Builds a network of random weights on a mock GPU that counts, at fixed rates. */
export function counting(geometry: Geometry, type: StoredType, rates: Rates) {
  const { gpu } = new DryRunGPU(SIMULATED_GPU);
  const count: Count = {
    dispatches: 0,
    submissions: 0,
    flops: 0,
    longest: { dispatch: 0, submission: 0, impliedDispatch: 0, impliedSubmission: 0 },
  };
  const open = { declared: 0, implied: 0 };
  const { longest } = count;
  const queue = {
    submit: () => {
      count.submissions++;
      longest.submission = Math.max(longest.submission, open.declared);
      longest.impliedSubmission = Math.max(longest.impliedSubmission, open.implied);
      Object.assign(open, { declared: 0, implied: 0 });
    },
    writeBuffer: () => {},
    onSubmittedWorkDone: () => new Promise(() => {}),
  };
  const device = Device.from(new Proxy(gpu, { get: (own, key) => (key === "queue" ? queue : Reflect.get(own, key)) }));
  device.budget.rates = rates;
  const time = (work: Work): number => Math.max((work.flops ?? 0) / rates.flops, work.bytes / rates.bytes);
  const add = (declared: number, implied: number): void => {
    open.declared += declared;
    open.implied += implied;
    longest.dispatch = Math.max(longest.dispatch, declared);
    longest.impliedDispatch = Math.max(longest.impliedDispatch, implied);
  };
  const [run, copy] = [device.run.bind(device), device.copy.bind(device)];
  device.run = (kernel, tensors, parameters, grid, work) => {
    run(kernel, tensors, parameters, grid, work);
    const implied = impliedWork(kernel, tensors, parameters, grid as readonly number[]);
    count.dispatches++;
    count.flops += implied.flops;
    add(time(work ?? bytesOf(tensors)), time(implied));
  };
  device.copy = (source, from, target, to, length) => {
    copy(source, from, target, to, length);
    add(time({ bytes: 2 * length }), time({ bytes: 2 * length }));
  };
  const index = syntheticIndex(modelTensors(geometry), "BF16");
  const layout = resolveLayout(index.shapes.keys(), { tied: geometry.text.tied });
  const loader = new WeightLoader(device, index);
  const dtype = { vision: type, projector: type, language: type, embed: type };
  const arena = device.arena("model");
  const network = arena.run(
    () => new Network(loader.root(), { ...geometry, layout }, dtype, device.empty([3, 256], "f32", "levels")),
  );
  loader.check("synthetic", (name) => layout.ignored(name));
  return { device, arena, network, count };
}
