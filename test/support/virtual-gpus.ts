import { SIMULATED_GPU } from "../../src/bench/model-sizes.js";
import { Device } from "../../src/runtime/device.js";
import { DryRunGPU } from "../../src/runtime/dry-run-gpu.js";
import { bytesOf, type Rates } from "../../src/runtime/work-budget.js";

/** A GPU that computes nothing, and takes a time for it. */
export interface VirtualGPU {
  readonly device: Device;
  /** Milliseconds in which it had work. */
  readonly busy: number;
}

/** GPUs with a clock of their own, in milliseconds: it goes on when no program has anything to do, to the next end of work. */
export class VirtualGPUs {
  now = 0;
  readonly #events: { readonly at: number; readonly happen: () => void }[] = [];

  /** Opens a GPU. A copy to host memory takes its bytes at `hostBytes` a millisecond, and so does a write. */
  open(rates: Rates, hostBytes: number): VirtualGPU {
    const own = { busy: 0 };
    /** Work that is recorded, and the time at which what was submitted ends. */
    let [recorded, end] = [0, 0];
    const submit = (): void => {
      own.busy += recorded;
      end = Math.max(end, this.now) + recorded;
      recorded = 0;
    };
    const ended = (): Promise<void> => new Promise((happen) => this.#events.push({ at: end, happen }));
    const { gpu } = new DryRunGPU(SIMULATED_GPU);
    const createBuffer = (descriptor: GPUBufferDescriptor) =>
      Object.assign(gpu.createBuffer(descriptor), {
        mapAsync: async () => {
          end += descriptor.size / hostBytes;
          await ended();
        },
        getMappedRange: (_: number, bytes: number) => new ArrayBuffer(bytes),
        unmap: () => {},
      });
    const queue = {
      submit,
      writeBuffer: (_buffer: unknown, _offset: number, _data: unknown, _first: number, bytes: number) => {
        recorded += (bytes || 0) / hostBytes;
      },
      onSubmittedWorkDone: ended,
    };
    const replaced: Record<string | symbol, unknown> = { createBuffer, queue };
    const device = Device.from(new Proxy(gpu, { get: (of, key) => replaced[key] ?? Reflect.get(of, key) }));
    device.budget.rates = rates;
    const run = device.run.bind(device);
    device.run = (kernel, tensors, parameters, grid, work = bytesOf(tensors)) => {
      run(kernel, tensors, parameters, grid, work);
      recorded += Math.max((work.flops ?? 0) / rates.flops, work.bytes / rates.bytes);
    };
    return {
      device,
      get busy() {
        return own.busy;
      },
    };
  }

  /** Lets the clock go on until `work` is done. */
  async until<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = (): void => {
      isDone = true;
    };
    work.then(done, done);
    while (!isDone) {
      // What the program does next takes no time.
      for (let turn = 0; turn < 10 && !isDone; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (isDone) break;
      this.#events.sort((a, b) => a.at - b.at);
      const event = this.#events.shift();
      if (!event) continue;
      this.now = Math.max(this.now, event.at);
      event.happen();
    }
    return work;
  }
}
