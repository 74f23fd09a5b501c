import { describe, expect, test } from "vitest";
import { quantizeRows } from "../../../src/bench/reference/pack.js";
import { GROUP_BYTES, PANEL_COLUMNS, type PackedType } from "../../../src/io/checkpoint/packed-tensors.js";
import { GROUP_ELEMENTS } from "../../../src/io/checkpoint/quantized.js";
import { GROUP, PANEL, PackedMatrix, QUAD } from "../../../src/kernels/packed.js";
import { narrowBF16, narrowF16 } from "../../../src/runtime/dtype.js";
import { useDevice } from "../../support/device.js";
import { indexOfFile } from "../../support/layers.js";
import { packedFile } from "../../support/packed.js";
import { normals } from "../../support/random.js";

const held = useDevice();
const TYPES = ["f32", "f16", "bf16", "q8", "q4"] as const;

/** Row-major bytes of a type. */
function rowMajor(values: Float32Array, inner: number, type: PackedType): Uint8Array {
  if (type === "q8" || type === "q4") return quantizeRows(values, inner, type);
  const stored = type === "f32" ? values : type === "f16" ? narrowF16(values) : narrowBF16(values);
  return new Uint8Array(stored.buffer.slice(0));
}

test("the format's sizes are those of the kernels", () => {
  expect([PANEL_COLUMNS, GROUP_ELEMENTS]).toEqual([PANEL, GROUP * QUAD]);
  for (const type of TYPES) {
    const arena = held.device.arena("sizes");
    const matrix = arena.run(() => PackedMatrix.allocate(held.device, PANEL, GROUP_ELEMENTS, type, "one group"));
    expect(GROUP_BYTES[type], type).toBe(matrix.sizeBytes);
    arena.dispose();
  }
});

describe.each(TYPES)("%s", (type) => {
  test.each([
    [1, 1],
    [3, 31],
    [33, 64],
    [70, 97],
  ])("parts of [%i, %i] that lie side by side are read as they were stored", async (rows, inner) => {
    const parts = ["a", "b"].map((name, i) => ({ name, shape: [rows + i, inner] }));
    const values = parts.map(({ shape }, i) => normals(shape[0]! * inner, 1 + i));
    const index = await indexOfFile(await packedFile(held.device, [{ name: "a+b", type, inner, parts, values }]));
    for (const [i, { name, shape }] of parts.entries()) {
      const stored = index.entries.get(name)!;
      expect(index.shapes.get(name)).toEqual(shape);
      expect(await index.read(stored, 0, stored.entry.lengthBytes)).toEqual(rowMajor(values[i]!, inner, type));
    }
  });

  test("interleaved parts, and any range of bytes", async () => {
    const [rows, inner] = [43, 65];
    const parts = ([0, 1] as const).map((interleave) => ({ name: `p${interleave}`, shape: [rows, inner], interleave }));
    const values = parts.map(({ interleave }) => normals(rows * inner, 1 + interleave));
    const index = await indexOfFile(await packedFile(held.device, [{ name: "both", type, inner, parts, values }]));
    for (const { name, interleave } of parts) {
      const stored = index.entries.get(name)!;
      const truth = rowMajor(values[interleave]!, inner, type);
      expect(stored.entry.lengthBytes).toBe(truth.length);
      for (const [from, to] of [
        [0, truth.length],
        [3, 5],
        [1000, 1731],
        [truth.length - 1, truth.length],
        [7, 7],
      ] as const) {
        expect(await index.read(stored, from, to - from)).toEqual(truth.slice(from, to));
      }
    }
  });
});

test("values without panels are f32 in the order of the parts", async () => {
  const [a, b] = [normals(5, 1), normals(6, 2)];
  const parts = [
    { name: "a", shape: [5] },
    { name: "b", shape: [3, 2] },
  ];
  const index = await indexOfFile(await packedFile(held.device, [{ name: "a+b", type: "f32", parts, values: [a, b] }]));
  const read = async (name: string, from: number, length: number) =>
    new Float32Array((await index.read(index.entries.get(name)!, from, length)).slice().buffer);
  expect(await read("a", 0, 20)).toEqual(a);
  expect(await read("b", 8, 12)).toEqual(b.slice(2, 5));
  expect(index.shapes.get("b")).toEqual([3, 2]);
});
