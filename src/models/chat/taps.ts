import type { Device } from "../../runtime/device.js";
import type { Tensor } from "../../runtime/tensor.js";

/** A named intermediate in host memory. */
export interface Tap {
  readonly name: string;
  /** `[rows, width]` */
  readonly shape: readonly [number, number];
  readonly data: Float32Array;
}

/** Collects the named intermediates of a forward pass; pieces of the same name are concatenated by rows. */
export class TapRecorder {
  readonly #parts = new Map<string, { width: number; pieces: Promise<ArrayBuffer>[] }>();

  constructor(readonly device: Device) {}

  /** Records the intermediates of `work`. */
  during<T>(work: () => T): T {
    const outer = this.device.tap;
    this.device.tap = (name, x) => this.#take(name, x);
    try {
      return work();
    } finally {
      this.device.tap = outer;
    }
  }

  #take(name: string, x: Tensor): void {
    this.add(name, x.size(-1), x.device.read(x));
  }

  /** Adds rows from host memory. */
  add(name: string, width: number, rows: Promise<ArrayBuffer>): void {
    const part = this.#parts.get(name) ?? { width, pieces: [] };
    part.pieces.push(rows);
    this.#parts.set(name, part);
  }

  /** Waits for all recorded readbacks. */
  async collect(): Promise<Tap[]> {
    const taps: Tap[] = [];
    for (const [name, { width, pieces }] of this.#parts) {
      const parts = (await Promise.all(pieces)).map((bytes) => new Float32Array(bytes));
      const data = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        data.set(part, at);
        at += part.length;
      }
      taps.push({ name, shape: [data.length / width, width], data });
    }
    return taps;
  }
}
