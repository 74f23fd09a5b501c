import { afterEach, describe, expect, test } from "vitest";
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
    /^element \[0, 0\] of a product came out as \S+ instead of 21463$/,
  );
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
