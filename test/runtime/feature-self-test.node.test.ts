import { afterEach, describe, expect, test, vi } from "vitest";
import { create } from "webgpu";
import { matrixOf } from "../../src/runtime/adapter.js";
import { Device } from "../../src/runtime/device.js";
import { testF16, testSubgroupMatrix } from "../../src/runtime/feature-self-test.js";
import { useDevice } from "../support/device.js";

/** Kept for ever: a collected instance takes its devices and the process down with it. */
const dawn = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);

let opened: GPUDevice | undefined;
afterEach(() => opened?.destroy());

async function nullDevice(...features: string[]): Promise<GPUDevice> {
  const adapter = await dawn.requestAdapter();
  opened = await adapter!.requestDevice({ requiredFeatures: features as GPUFeatureName[] });
  return opened;
}

describe("what an adapter computes", () => {
  const held = useDevice();

  test("f16 passes where supported, and its absence is reported", async () => {
    const { gpu, facts } = held.device;
    const wrong = await testF16(gpu);
    if (facts.f16) expect(wrong).toBeUndefined();
    else expect(wrong).toMatch(/the shader was refused: .*f16/);
    await held.device.sync();
  });

  test("matrices without the feature are a reason, no fault of the device", async () => {
    expect(await testSubgroupMatrix(held.device.gpu, { m: 8, n: 8, k: 8, input: "f32" })).toMatch(
      /the shader was refused: .*subgroup_matrix/,
    );
    await held.device.sync();
  });
});

test.each([
  { m: 16, n: 16, k: 16, input: "f16" },
  { m: 8, n: 16, k: 16, input: "f16" },
  { m: 8, n: 8, k: 8, input: "f32" },
] as const)("the self-test of $m×$n×$k of $input compiles, and reports a wrong product", async (matrix) => {
  const gpu = await nullDevice("subgroups", "shader-f16", "chromium-experimental-subgroup-matrix");
  expect(await testSubgroupMatrix(gpu, matrix)).toMatch(
    /^element \[0, 0\] of a product came out as \S+ instead of 86926$/,
  );
});

/** What a driver makes of a product: of its factors, and of each sum. */
interface Driver {
  readonly factor?: (v: number) => number;
  readonly sum?: (v: number) => number;
  /** Index of the element that is stored at an index. */
  readonly place?: (at: number) => number;
}

/** Lets the null device answer as a driver would: the product of the two matrices that were written, row by row. */
function answeredBy(gpu: GPUDevice, { factor = (v) => v, sum = (v) => v, place = (at) => at }: Driver): void {
  const written: number[][] = [];
  vi.spyOn(gpu.queue, "writeBuffer").mockImplementation((_buffer, _offset, data) => {
    written.push(Array.from(data as Float32Array, factor));
  });
  const createBuffer = gpu.createBuffer.bind(gpu);
  vi.spyOn(gpu, "createBuffer").mockImplementation((descriptor) => {
    const buffer = createBuffer(descriptor);
    if ((descriptor.usage & 1) /* GPUBufferUsage.MAP_READ */ === 0) return buffer;
    vi.spyOn(buffer, "getMappedRange").mockImplementation(() => {
      const [a, b] = written as [number[], number[]];
      const side = Math.sqrt(descriptor.size / 4);
      const inner = a.length / side;
      const y = new Float32Array(side * side);
      for (let at = 0; at < y.length; at++) {
        const [row, column] = [Math.floor(at / side), at % side];
        let total = 0;
        for (let k = 0; k < inner; k++) total = sum(total + a[row * inner + k]! * b[column * inner + k]!);
        y[place(at)] = total;
      }
      return y.buffer;
    });
    return buffer;
  });
}

const LEAST_NORMAL = 2 ** -14;

describe.each<[string, Driver, RegExp | undefined]>([
  ["computes as it should", {}, undefined],
  ["has exact f32 sums only", { sum: Math.fround }, undefined],
  ["flushes subnormals of f16", { factor: (v) => (Math.abs(v) < LEAST_NORMAL ? 0 : v) }, /^element \[0, 2\] .* as 0 /],
  ["clamps large values", { factor: (v) => Math.max(-32768, Math.min(32768, v)) }, /^element \[1, 0\] /],
  [
    "adds in f16",
    { sum: (v) => (Math.abs(v) > 65504 ? Number.POSITIVE_INFINITY : v) },
    /^element \[0, 0\] .* as Infinity /,
  ],
  // Halves of a tile of 64 × 64.
  ["stores the quarters in another order", { place: (at) => at ^ 32 }, /^element \[0, 0\] /],
])("a driver that %s", (_name, driver, wrong) => {
  test("f16 and matrices", async () => {
    const gpu = await nullDevice("subgroups", "shader-f16", "chromium-experimental-subgroup-matrix");
    answeredBy(gpu, driver);
    const found = [await testF16(gpu), await testSubgroupMatrix(gpu, { m: 16, n: 16, k: 16, input: "f16" })];
    for (const one of found) {
      if (wrong) expect(one).toMatch(wrong);
      else expect(one).toBeUndefined();
    }
  });
});

test("a lost device fails the self-test", async () => {
  const gpu = await nullDevice("shader-f16");
  gpu.destroy();
  expect(await testF16(gpu)).toMatch(/lost|destroyed/);
});

test("a device that a program hands in is used as it is", async () => {
  const device = Device.from(await nullDevice("shader-f16"));
  expect(device.facts.f16).toBe(true);
  expect(device.facts.subgroupMatrix).toBeUndefined();
  device.dispose();
});

describe("the matrices of an adapter", () => {
  const all = ["subgroups", "shader-f16", "chromium-experimental-subgroup-matrix"];
  const config = (M: number, N: number, K: number, componentType = "f16", resultComponentType = "f32") => ({
    M,
    N,
    K,
    componentType,
    resultComponentType,
  });
  const pick = (configs: readonly object[], features = all, subgroupMaxSize = 32) =>
    matrixOf({
      features: new Set(features) as unknown as GPUSupportedFeatures,
      info: { subgroupMaxSize, subgroupMatrixConfigs: configs } as unknown as GPUAdapterInfo,
    });

  test("f32 before f16, large before small", () => {
    const [small, large] = [config(8, 8, 8), config(16, 16, 16)];
    expect(pick([small, large])).toEqual({ m: 16, n: 16, k: 16, input: "f16" });
    expect(pick([large, config(8, 8, 8, "f32")])).toEqual({ m: 8, n: 8, k: 8, input: "f32" });
  });

  test("none that adds up in f16, has other types or does not divide a tile", () => {
    expect(
      pick([config(16, 16, 16, "f16", "f16"), config(16, 16, 32, "i8", "i32"), config(16, 24, 16)]),
    ).toBeUndefined();
  });

  test("none without the features, or where subgroups may be larger than a workgroup", () => {
    for (const missing of all) {
      expect(
        pick(
          [config(16, 16, 16)],
          all.filter((name) => name !== missing),
        ),
      ).toBeUndefined();
    }
    expect(pick([config(16, 16, 16)], all, 256)).toBeUndefined();
  });
});
