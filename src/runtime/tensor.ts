import { DisposedError, ShapeError } from "../base/errors.js";
import type { Device } from "./device.js";
import { bytesPerElement, type DType, elementCount, showShape, sizeInBytes } from "./dtype.js";
import type { Block } from "./pool.js";

/** Alignment of the offset of a storage binding that every adapter supports, in bytes. */
const BINDING_ALIGNMENT = 256;

/** Returns the smallest number of rows of `rowBytes` at whose multiples a part of a tensor may begin. */
export function partStep(rowBytes: number): number {
  let step = 1;
  while ((step * rowBytes) % BINDING_ALIGNMENT !== 0) step *= 2;
  return step;
}

/**
 * A shape, a dtype, a label and a GPU buffer. A tensor does not own its memory: the scope, Model or Session in which it was
 * allocated does. `dispose()` frees the memory early; a view shares its base's memory.
 * @example
 * ```ts
 * const x = device.upload(new Float32Array([1, 2, 3, 4]), [2, 2], "x");
 * console.log(x.shape, x.dtype, await x.read());
 * ```
 */
export class Tensor {
  /** Number of elements. */
  readonly length: number;
  readonly sizeBytes: number;

  constructor(
    readonly device: Device,
    readonly shape: readonly number[],
    readonly dtype: DType,
    readonly label: string,
    readonly block: Block,
    /** Where the tensor begins in its block; not 0 only for a part of another tensor. */
    readonly offsetBytes = 0,
  ) {
    this.length = elementCount(shape);
    this.sizeBytes = sizeInBytes(shape, dtype);
  }

  /** Returns the size of dimension `i`; negative `i` counts from the end. Throws ShapeError. */
  size(i: number): number {
    const at = i < 0 ? this.shape.length + i : i;
    const size = this.shape[at];
    if (size === undefined) {
      throw new ShapeError({
        where: `tensor ${this.label}`,
        expected: `a dimension ${i}`,
        got: showShape(this.shape),
        remedy: "check the number of dimensions",
      });
    }
    return size;
  }

  /** Returns the same memory with another shape of as many elements. Throws ShapeError. */
  view(shape: readonly number[], label = this.label): Tensor {
    if (elementCount(shape) !== this.length) {
      throw new ShapeError({
        where: `view of ${this.label}`,
        expected: `${this.length} elements as in ${showShape(this.shape)}`,
        got: showShape(shape),
        remedy: "keep the number of elements",
      });
    }
    return new Tensor(this.device, shape, this.dtype, label, this.block, this.offsetBytes);
  }

  /**
   * Returns the elements from `first` on, as many as `shape` has, in the same memory. Throws ShapeError for elements that the tensor does
   * not have, or that do not begin at a multiple of 256 bytes, which bindings need.
   */
  part(first: number, shape: readonly number[], label = this.label): Tensor {
    const firstByte = first * bytesPerElement(this.dtype);
    if (first + elementCount(shape) > this.length || partStep(firstByte) > 1) {
      throw new ShapeError({
        where: `part of ${this.label}`,
        expected: `elements of ${this.length} from a multiple of ${BINDING_ALIGNMENT} bytes on`,
        got: `${showShape(shape)} from element ${first} on, byte ${firstByte}`,
        remedy: "begin earlier, or copy the elements with `device.copy`",
      });
    }
    return new Tensor(this.device, shape, this.dtype, label, this.block, this.offsetBytes + firstByte);
  }

  /** Throws ShapeError unless the shape is `expected`; `-1` matches any size. */
  expect(expected: readonly number[], where: string): this {
    const same = this.shape.length === expected.length && expected.every((n, i) => n === -1 || n === this.shape[i]);
    if (!same) {
      throw new ShapeError({
        where: `${where}, tensor ${this.label}`,
        expected: showShape(expected).replaceAll("-1", "any"),
        got: showShape(this.shape),
        remedy: "check the shapes of the operands",
      });
    }
    return this;
  }

  /**
   * Copies the tensor's bytes to host memory and returns them as a Float32Array, or as a Uint32Array with "u32". The dtype is neither
   * checked nor converted: use this for f32 and u32 tensors, and `device.read` for others. Throws the device's pending error, if any.
   */
  async read(): Promise<Float32Array>;
  async read(as: "u32"): Promise<Uint32Array>;
  async read(as?: "u32"): Promise<Float32Array | Uint32Array> {
    const bytes = await this.device.read(this);
    return as === "u32" ? new Uint32Array(bytes) : new Float32Array(bytes);
  }

  /** Frees the memory before its owner does. */
  dispose(): void {
    this.device.free(this);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Throws DisposedError if the memory was freed. */
  check(where: string): void {
    if (this.block.owner === undefined) {
      throw new DisposedError({
        where: `${where}, tensor ${this.label}`,
        expected: "a live tensor",
        got: "one whose memory was freed",
        remedy: "return it from the scope that made it, or use it before its owner is disposed",
      });
    }
  }

  toString(): string {
    return `${this.label} ${this.dtype}${showShape(this.shape)} (${bytesPerElement(this.dtype) * this.length} bytes)`;
  }
}
